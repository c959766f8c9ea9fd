"""Codes the scans of JPEG files, by docs/format.md and ITU-T T.81 alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

LONGEST_RUN, MOST_CORRECTIONS = 32767, 937
Table = tuple[bytes, bytes]  # counts of codes by length, and symbols
Emit = Callable[..., None]


@dataclass
class Frame:
    width: int
    height: int
    colour: int
    factors: list[int] = field(default_factory=list)  # 16 x horizontal + vertical
    steps: list[list[int]] = field(default_factory=list)

    def blocks(self, component: int, used: bool) -> tuple[int, int]:
        """Columns and rows; those that have pixels."""
        factors, sizes = divmod(self.factors[component], 16), (self.width, self.height)
        across, down = (
            upwards(upwards(size * factor, most), 8) if used else upwards(size, 8 * most) * factor
            for size, factor, most in zip(sizes, factors, self.most(), strict=True)
        )
        return across, down

    def most(self) -> tuple[int, int]:
        pairs = [divmod(each, 16) for each in self.factors]
        return max(h for h, _ in pairs), max(v for _, v in pairs)


@dataclass
class Scan:
    parts: list[tuple[int, int, int]]  # component, slots of DC and AC
    first: int
    last: int
    high: int
    low: int
    padding: int = 0
    bits: bytes = b""
    longest: int = LONGEST_RUN
    gathers: bool = False
    breaks: set[int] = field(default_factory=set)
    zero_runs: dict[int, int] = field(default_factory=dict)


def upwards(size: int, unit: int) -> int:
    return -(-size // unit)


class Coder:
    """Codes a scan. symbol: called with class, slot and symbol. bits: with a value and their number. end: at the end of
    an interval, with the number of the restart marker that follows, or None."""

    def __init__(self, frame: Frame, values: Sequence[NDArray[Any]], scan: Scan, progressive: bool) -> None:
        self.frame, self.values, self.scan, self.progressive = frame, values, scan, progressive

    def run(self, interval: int, symbol: Emit, bits: Emit, end: Emit) -> None:
        self.symbol, self.bits = symbol, bits
        self.reset()
        for index, mcu, component, dc, ac, block in self.order():
            if interval and mcu and mcu % interval == 0 and mcu != self.mcu:
                self.end_run()
                end(mcu // interval % 8 - 1 & 7)
                self.reset()
            self.mcu = mcu
            self.block(index, component, dc, ac, [int(value) for value in block])
        self.end_run()
        end(None)

    def reset(self) -> None:
        self.before, self.length, self.gathered, self.mcu = Counter[int](), 0, list[int](), -1

    def order(self) -> Iterator[tuple[Any, ...]]:
        parts, index = self.scan.parts, 0
        if len(parts) == 1:
            columns, rows = self.frame.blocks(parts[0][0], True)
            for row in range(rows):
                for column in range(columns):
                    yield index, index, *parts[0], self.values[parts[0][0]][row, column]
                    index += 1
            return
        across, down = (
            blocks // factor
            for blocks, factor in zip(self.frame.blocks(0, False), divmod(self.frame.factors[0], 16), strict=True)
        )
        for mcu in range(across * down):
            y, x = divmod(mcu, across)
            for component, dc, ac in parts:
                h, v = divmod(self.frame.factors[component], 16)
                for number in range(h * v):
                    block = self.values[component][y * v + number // h, x * h + number % h]
                    yield index, mcu, component, dc, ac, block
                    index += 1

    def block(self, index: int, component: int, dc: int, ac: int, values: list[int]) -> None:
        scan, self.ac = self.scan, ac
        if not scan.first:
            self.mean(values[0] >> scan.low, component, dc)
        if not scan.last:
            return
        extra = scan.zero_runs.get(index, 0)
        if index in scan.breaks:
            self.end_run()
        sizes = [abs(value) >> scan.low for value in values]
        if scan.high:
            self.refine(values, sizes, extra)
        else:
            self.rest(values, sizes, extra)
        if not self.progressive:
            if self.length:
                self.symbol(1, ac, 0)
            self.length = 0
        elif self.length >= scan.longest or (not scan.gathers and len(self.gathered) > MOST_CORRECTIONS):
            self.end_run()

    def mean(self, value: int, component: int, slot: int) -> None:
        if self.scan.high:
            return self.bits(value & 1, 1)
        difference = value - self.before[component]
        self.before[component] = value
        size = abs(difference).bit_length()
        self.symbol(0, slot, size)
        self.bits(difference - (difference < 0), size)

    def rest(self, values: list[int], sizes: list[int], extra: int) -> None:
        zeros = 0
        for rank in range(max(self.scan.first, 1), self.scan.last + 1):
            if not sizes[rank]:
                zeros += 1
                continue
            self.end_run()
            for _ in range(zeros // 16):
                self.symbol(1, self.ac, 0xF0)
            size = sizes[rank].bit_length()
            self.symbol(1, self.ac, zeros % 16 * 16 + size)
            self.bits(sizes[rank] if values[rank] > 0 else ~sizes[rank], size)
            zeros = 0
        while extra and zeros > 16:
            self.end_run()
            self.symbol(1, self.ac, 0xF0)
            extra, zeros = extra - 1, zeros - 16
        self.length += zeros > 0

    def refine(self, values: list[int], sizes: list[int], extra: int) -> None:
        ranks = range(self.scan.first, self.scan.last + 1)
        last_new = max((rank for rank in ranks if sizes[rank] == 1), default=-1)
        zeros, own = 0, list[int]()
        for rank in [*ranks, 64]:
            size = sizes[rank] if rank < 64 else 2
            if not size:
                zeros += 1
                continue
            while zeros >= 16 and (rank <= last_new or extra):
                extra -= rank > last_new
                self.end_run()
                self.symbol(1, self.ac, 0xF0)
                own = self.flush(own)
                zeros -= 16
            if rank < 64 and size > 1:
                own.append(size & 1)
            elif rank < 64:
                self.end_run()
                self.symbol(1, self.ac, zeros * 16 + 1)
                self.bits(int(values[rank] > 0), 1)
                own, zeros = self.flush(own), 0
        self.length += zeros > 0 or bool(own)
        self.gathered += own

    def flush(self, corrections: list[int]) -> list[int]:
        for bit in corrections:
            self.bits(bit, 1)
        return []

    def end_run(self) -> None:
        if self.length:
            size = self.length.bit_length() - 1
            self.symbol(1, self.ac, size * 16)
            self.bits(self.length, size)
            self.length, self.gathered = 0, self.flush(self.gathered)


def optimal(counts: Counter[int]) -> Table:
    """T.81, section K.2."""
    frequency, lengths = {**counts, 256: 1}, Counter[int]()
    members = {symbol: [symbol] for symbol in frequency}
    while len(frequency) > 1:
        first, second = sorted(frequency, key=lambda symbol: (frequency[symbol], -symbol))[:2]
        frequency[first] += frequency.pop(second)
        members[first] += members.pop(second)
        lengths.update(members[first])
    bits = Counter(lengths.values())
    for length in range(max(bits, default=0), 16, -1):  # figure K.3
        while bits[length]:
            shorter = next(k for k in range(length - 2, 0, -1) if bits[k])
            bits[length] -= 2
            bits[length - 1] += 1
            bits[shorter + 1] += 2
            bits[shorter] -= 1
    if longest := max((length for length, count in bits.items() if count), default=0):
        bits[longest] -= 1
    symbols = sorted((symbol for symbol in lengths if symbol < 256), key=lambda symbol: (lengths[symbol], symbol))
    return bytes(bits[k] for k in range(1, 17)), bytes(symbols)


def codes_of(table: Table) -> dict[int, tuple[int, int]]:
    """Code and length by symbol."""
    code, symbols, found = 0, iter(table[1]), {}
    for length, count in enumerate(table[0], start=1):
        for _ in range(count):
            found[next(symbols)] = code, length
            code += 1
        code *= 2
    return found


def coded(coder: Coder, interval: int, tables: dict[tuple[int, int], dict[int, tuple[int, int]]]) -> bytes:
    out, held, padding = bytearray(), list[str](), iter(coder.scan.bits)

    def bits(value: int, count: int) -> None:
        if count:
            held.append(format(value & (1 << count) - 1, f"0{count}b"))

    def end(restart: int | None) -> None:
        text = "".join(held)
        held.clear()
        for _ in range(-len(text) % 8):
            text += str(next(padding) if coder.scan.padding == 2 else 1 - coder.scan.padding)
        whole = int(text or "0", 2).to_bytes(len(text) // 8, "big")
        out.extend(whole.replace(b"\xff", b"\xff\0"))
        if restart is not None:
            out.extend((255, 0xD0 + restart))

    coder.run(interval, lambda kind, slot, symbol: bits(*tables[kind, slot][symbol]), bits, end)
    return bytes(out)
