"""Rebuilds JPEG files from coefficients and the sections of their frame and recipe: written from docs/format.md and
ITU-T T.81 alone, to test that page.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jpeg_scans import LONGEST_RUN, Coder, Frame, Scan, Table, coded, codes_of, optimal
from numpy.typing import NDArray

from image_reader import Cursor, require

BASES = (  # tables K.1 and K.2, by rank
    [16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51,
     61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77,
     113, 121, 112, 100, 120, 92, 101, 103, 99],
    [17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, *[99] * 50],
)  # fmt: skip
K3_TO_K6 = {  # by class and whether chrominance: how many codes have 1, 2, ... bits, and the symbols
    (0, 0): ("00010501010101010100000000000000", "000102030405060708090a0b"),
    (0, 1): ("00030101010101010101010000000000", "000102030405060708090a0b"),
    (1, 0): ("0002010303020403050504040000017d", "01020300041105122131410613516107227114328191a1082342b1c11552d1f024"
        "33627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788"
        "898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1"
        "f2f3f4f5f6f7f8f9fa"),
    (1, 1): ("00020102040403040705040400010277", "0001020311040521310612415107617113223281081442"
        "91a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a63646566676869"
        "6a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5"
        "d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"),
}  # fmt: skip
COMPONENTS, SAMPLINGS = (1, 3, 3, 4, 4, 4), (0x00, 0x11, 0x22, 0x21, 0x12)
GREY, YCBCR, RGB, CMYK, ADOBE_CMYK, YCCK = range(6)
OPTIMAL = 3
JFIF = bytes.fromhex("4a46494600010100000100010000")


# --- the frame


def read_table(cursor: Cursor, known: Sequence[list[int]]) -> list[int]:
    code = cursor.integer(1)
    if not code:
        return [cursor.varint() for _ in range(64)]
    if code > 200:
        return known[code - 201]
    quality = (code - 1) % 100 + 1
    p = 5000 // quality if quality < 50 else 200 - 2 * quality
    return [min(max((base * p + 50) // 100, 1), 255) for base in BASES[code > 100]]


def read_frame(data: bytes, width: int, height: int) -> Frame:
    """data: without its CRC."""
    cursor = Cursor(data)
    sampling, colour = divmod(cursor.integer(1), 8)
    frame = Frame(width, height, colour)
    for number in range(COMPONENTS[colour]):
        listed = 0x11 if number else SAMPLINGS[sampling]
        frame.factors.append(listed if sampling else cursor.integer(1))
        frame.steps.append(read_table(cursor, frame.steps))
    require(cursor.at == len(data), "the frame has further bytes")
    return frame


# --- items of the recipe


@dataclass
class Huffman:
    kind: int
    slot: int
    source: int
    codes: Table = (b"", b"")


Item = Any  # bytes as they are, a list of Huffman, a Scan, or ("restart", MCUs) and ("frame", marker, ids)


def marker(code: int, data: bytes) -> bytes:
    return bytes([255, code]) + (len(data) + 2).to_bytes(2, "big") + data


def quantisation(tables: Sequence[tuple[int, list[int]]]) -> bytes:
    return marker(
        0xDB,
        b"".join(
            bytes([slot]) + b"".join(step.to_bytes(1 + slot // 16, "big") for step in steps) for slot, steps in tables
        ),
    )


def frame_item(frame: Frame, code: int, only: int, parts: Sequence[tuple[int, int]]) -> tuple[str, bytes, list[int]]:
    sizes = frame.height.to_bytes(2, "big") + frame.width.to_bytes(2, "big")
    factors = [only] if len(parts) == 1 else frame.factors
    listed = b"".join(bytes([part[0], factor, part[1]]) for part, factor in zip(parts, factors, strict=True))
    return "frame", marker(code, b"\x08" + sizes + bytes([len(parts)]) + listed), [name for name, _ in parts]


class Lists:
    """The items that a number from 16 to 28 stands for."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self.has_chroma = frame, frame.colour in (YCBCR, YCCK)
        self.slots = range(2 if self.has_chroma else 1)

    def slot(self, component: int) -> int:
        return int(self.has_chroma and component in (1, 2))

    def quantisation(self) -> list[tuple[int, list[int]]]:
        tables = [self.frame.steps[slot] for slot in self.slots]
        return [(slot + 16 * (max(steps) > 255), steps) for slot, steps in enumerate(tables)]

    def header(self, code: int) -> Item:
        names = {RGB: b"RGB", CMYK: b"CMYK", ADOBE_CMYK: b"CMYK"}.get(self.frame.colour, b"\1\2\3\4")
        return frame_item(self.frame, code, 0x11, [(names[k], self.slot(k)) for k in range(len(self.frame.factors))])

    def huffman(self, optimal: bool) -> list[Item]:
        return [[Huffman(kind, slot, OPTIMAL if optimal else slot + 1)] for slot in self.slots for kind in (0, 1)]

    def sequential(self) -> Item:
        return Scan([(k, self.slot(k), self.slot(k)) for k in range(len(self.frame.factors))], 0, 63, 0, 0)

    def script(self) -> list[Item]:
        every = range(len(self.frame.factors))
        first: list[Item] = [[Huffman(0, slot, OPTIMAL)] for slot in self.slots]
        first.append(Scan([(k, self.slot(k), 0) for k in every], 0, 0, 0, 1))
        second: list[Item] = [Scan([(k, 0, 0) for k in every], 0, 0, 1, 0)]
        if self.frame.colour == YCBCR:
            before = [(0, 1, 5, 0, 2), (2, 1, 63, 0, 1), (1, 1, 63, 0, 1), (0, 6, 63, 0, 2), (0, 1, 63, 2, 1)]
            after = [(k, 1, 63, 1, 0) for k in (2, 1, 0)]
        else:
            before = [(k, *rest) for rest in ((1, 5, 0, 2), (6, 63, 0, 2), (1, 63, 2, 1)) for k in every]
            after = [(k, 1, 63, 1, 0) for k in every]
        return [*first, *self._others(before), *second, *self._others(after)]

    def _others(self, scans: Sequence[tuple[int, ...]]) -> Iterator[Item]:
        for component, *rest in scans:
            yield [Huffman(1, self.slot(component), OPTIMAL)]
            yield Scan([(component, 0, self.slot(component))], *rest)

    def items(self, number: int) -> list[Item]:
        jfif, end = [marker(0xE0, JFIF)], [b"\xff\xd9"]
        together = [quantisation(self.quantisation())]
        each = [quantisation([table]) for table in self.quantisation()]
        baseline, progressive = [self.header(0xC0)], [self.header(0xC2)]
        whole, standard = [*jfif, *each, *baseline], self.huffman(False)
        scan = [self.sequential()]
        return [
            [*whole, *standard, *scan, *end], [*whole, *self.huffman(True), *scan, *end],
            [*jfif, *each, *progressive, *self.script(), *end], [*self.script(), *end], [*scan, *end], jfif, together,
            each, baseline, progressive, [[table for tables in standard for table in tables]], standard,
            self.huffman(True),
        ][number - 16]  # fmt: skip


def read_items(cursor: Cursor, frame: Frame) -> Iterator[Item]:
    while cursor.at < len(cursor.data):
        number = cursor.integer(1)
        if number >= 0xC0:
            bare = 0xD0 <= number <= 0xD9
            yield bytes([255, number]) if bare else marker(number, cursor.take(cursor.varint()))
        elif number >= 16:
            yield from Lists(frame).items(number)
        elif number == 0:
            yield cursor.take(cursor.varint())
        elif number == 1:
            yield b"\xff" * cursor.varint()
        elif number == 2:
            yield b"\xff\xd9"
        elif number == 3:
            yield "restart", cursor.varint()
        elif number == 4:
            count = cursor.varint()
            yield quantisation([(cursor.integer(1), read_table(cursor, frame.steps)) for _ in range(count)])
        elif number == 5:
            yield [read_huffman(cursor) for _ in range(cursor.varint())]
        elif number == 6:
            code, only = cursor.integer(1), cursor.integer(1)
            yield frame_item(frame, code, only, [(cursor.integer(1), cursor.integer(1)) for _ in frame.factors])
        else:
            require(number == 7, f"an item has the number {number}")
            yield read_scan(cursor)


def read_huffman(cursor: Cursor) -> Huffman:
    first = cursor.integer(1)
    table = Huffman(first >> 2 & 3, first & 3, first >> 4)
    if not table.source:
        counts = cursor.take(16)
        table.codes = counts, cursor.take(sum(counts))
    return table


def read_scan(cursor: Cursor) -> Scan:
    parts = [cursor.integer(1) for _ in range(cursor.integer(1))]
    first, last, bits = cursor.integer(1), cursor.integer(1), cursor.integer(1)
    scan = Scan([(part >> 4, part >> 2 & 3, part & 3) for part in parts], first, last, bits >> 4, bits & 15)
    flags = cursor.integer(1)
    scan.padding, scan.gathers = flags & 3, bool(flags & 8)
    scan.bits = cursor.take(cursor.varint()) if scan.padding == 2 else b""
    scan.longest = cursor.varint() if flags & 4 else LONGEST_RUN
    block = 0
    for _ in range(cursor.varint() if flags & 16 else 0):
        scan.breaks.add(block := block + cursor.varint())
    block = 0
    for _ in range(cursor.varint() if flags & 32 else 0):
        block += cursor.varint()
        scan.zero_runs[block] = cursor.integer(1)
    return scan


# --- the file


def rebuilt(frame: Frame, recipe: bytes, values: Sequence[NDArray[Any]]) -> bytes:
    """The JPEG file. recipe: the section. values: of each component, [rows, columns, rank]."""
    cursor = Cursor(recipe)
    length, is_deflated = divmod(cursor.varint(), 2)
    check, rest = cursor.integer(4), recipe[cursor.at :]
    items = [*read_items(Cursor(zlib.decompress(rest, -15) if is_deflated else rest), frame)]
    require(len(items) <= length, "there are more items than bytes")
    fill_tables(frame, items, values)
    file = b"\xff\xd8" + b"".join(_written(frame, items, values))
    require((len(file), zlib.crc32(file)) == (length, check), "the file is not the one that was encoded")
    return file


def _scans(items: Sequence[Item]) -> Iterator[tuple[Item, int, bool, list[int]]]:
    """Each item, with what is set before it: restart interval, whether scans are progressive, names of components."""
    interval, progressive, names = 0, False, list[int]()
    for item in items:
        if isinstance(item, tuple) and item[0] == "restart":
            interval = item[1]
        elif isinstance(item, tuple):
            progressive, names = item[1][1] == 0xC2, item[2]
        yield item, interval, progressive, names


def fill_tables(frame: Frame, items: Sequence[Item], values: Sequence[NDArray[Any]]) -> None:
    """Give Huffman tables that are not listed their codes."""
    current: dict[tuple[int, int], Counter[int]] = {}
    wanted: list[tuple[Huffman, Counter[int]]] = []
    for item, interval, progressive, _ in _scans(items):
        for table in item if isinstance(item, list) else []:
            current[table.kind, table.slot] = Counter()
            wanted.append((table, current[table.kind, table.slot]))
        if isinstance(item, Scan):
            count = lambda kind, slot, symbol: current[kind, slot].update([symbol])  # noqa: E731
            Coder(frame, values, item, progressive).run(interval, count, lambda *_: None, lambda _: None)
    for table, counts in wanted:
        if table.source == OPTIMAL:
            table.codes = optimal(counts)
        elif table.source:
            counted, symbols = K3_TO_K6[table.kind, table.source - 1]
            table.codes = bytes.fromhex(counted), bytes.fromhex(symbols)


def _written(frame: Frame, items: Sequence[Item], values: Sequence[NDArray[Any]]) -> Iterator[bytes]:
    current: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}
    for item, interval, progressive, names in _scans(items):
        if isinstance(item, bytes):
            yield item
        elif isinstance(item, list):
            yield marker(0xC4, b"".join(bytes([16 * t.kind + t.slot]) + t.codes[0] + t.codes[1] for t in item))
            current.update({(table.kind, table.slot): codes_of(table.codes) for table in item})
        elif isinstance(item, Scan):
            parts = b"".join(bytes([names[component], 16 * dc + ac]) for component, dc, ac in item.parts)
            ranks = bytes([item.first, item.last, 16 * item.high + item.low])
            yield marker(0xDA, bytes([len(item.parts)]) + parts + ranks)
            yield coded(Coder(frame, values, item, progressive), interval, current)
        elif item[0] == "restart":
            yield marker(0xDD, item[1].to_bytes(2, "big"))
        else:
            yield item[1]
