"""Reads .ddpma archives without ddpmcodec: written from docs/format.md alone, to test that page."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import image_reader
from image_reader import Bad, Cursor, cut_parts, inflate, problems, require
from networks import Model
from pixel_reader import Coding, Tile
from positions import Lane

MAGIC, MARK = b"\xddA\r\n\1", b"\xddB\r\n"  # the magic with the version
FILES, CONTEXT, BITS_BACK = 0, 1, 2


class Entry(NamedTuple):
    name: str
    number: int
    mode: str
    width: int
    height: int
    length: int
    icc: int
    exif: int


class Block(NamedTuple):
    total: int
    kind: int
    entries: tuple[Entry, ...]
    value_lengths: tuple[int, ...]
    words: int  # of a stack
    effort: int
    levels: int  # how many noise levels
    repeats: bool
    alpha_repeats: bool
    runs: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]  # of the streams of runs: words, and bytes of the state
    alpha_sizes: tuple[tuple[int, int], ...]  # likewise of those runs that have an alpha stream, in order
    initial: tuple[int, ...]
    latent_levels: tuple[int, ...]
    model_number: int
    model_id: bytes
    checks: tuple[int, ...]
    latent_id: bytes
    profile: dict[str, Any]

    def lengths(self) -> list[int]:
        streams = [4 * words + state for words, state in (*self.alpha_sizes, *self.sizes)]
        stack = [4 * self.words] if self.kind == BITS_BACK else []
        return [*self.value_lengths, *(entry.length for entry in self.entries), *streams, *stack]

    def coded_alphas(self, run: int) -> list[int]:
        """Positions of the images whose alpha planes are in the alpha stream of a run."""
        first = sum(self.runs[:run])
        return [k for k in range(first, first + self.runs[run]) if without_section(self.entries[k])]


def without_section(entry: Entry) -> bool:
    return entry.mode in ("LA", "RGBA") and not entry.length


def signed(value: int) -> int:
    return value // 2 if value % 2 == 0 else -(value + 1) // 2


def read_header(header: bytes) -> Block:
    cursor = Cursor(header)
    total, kind, n = cursor.varint(), cursor.varint(), cursor.varint()
    require(total <= 1 << 20 and kind <= BITS_BACK and 1 <= n <= 512, f"{total} images, kind {kind}, {n} in a block")
    numbers = list(accumulate((signed(step) + 1 for step in cursor.column(n)), initial=-1))[1:]
    require(len({*numbers}) == n and all(0 <= number < total for number in numbers), "numbers of images")
    modes, widths, heights = cursor.column(n), cursor.column(n), cursor.column(n)
    most = 1 << (28 if kind == FILES else 16)
    require(max(modes) < len(image_reader.MODES), "a mode that is none")
    require(all(0 < w * h <= most for w, h in zip(widths, heights, strict=True)), "a size that cannot be")
    lengths = [cursor.varint() if kind == FILES or mode in (2, 3) else 0 for mode in modes]
    icc, exif, values, runs, sizes = [0] * n, [0] * n, list[int](), list[int](), list[tuple[int, int]]()
    initial, latent, words, effort, levels, number, profile_length = list[int](), list[int](), 0, 0, 0, 0, 0
    repeats, alpha_sizes = 0, list[tuple[int, int]]()
    if kind != FILES:
        icc, exif, values = cursor.column(n), cursor.column(n), cursor.column(cursor.varint())
        effort, levels, number, runs = cursor.varint(), cursor.varint(), cursor.varint(), cursor.column(cursor.varint())
        require(len(values) <= 1024 and max(icc + exif) <= len(values), "values that are not there")
        repeats, effort = divmod(effort, 8)
        require(repeats <= (3 if kind == CONTEXT else 0), "repeats")
        require(0 <= effort <= 3 and levels in image_reader.LEVELS and number <= 255, "effort, levels or model")
        require(min(runs, default=0) > 0 and sum(runs) == n, "runs")
    if kind == CONTEXT:
        ends = [*accumulate(runs)]
        spans = [range(end - run, end) for run, end in zip(runs, ends, strict=True)]
        coded = [any(modes[k] in (2, 3) and not lengths[k] for k in span) for span in spans]
        sizes = [(size // 5, 4 + size % 5) for size in cursor.column(len(runs))]
        alpha_sizes = [(size // 5, 4 + size % 5) for size in cursor.column(sum(coded))]
    if kind == BITS_BACK:
        words, initial = cursor.varint(), cursor.column(len(runs))
        latent = list(accumulate(accumulate(map(signed, cursor.column(cursor.varint())))))
        rising = all(a < b for a, b in zip([0, *latent], latent, strict=False))
        require(1 <= len(latent) <= 4096 and rising and latent[-1] <= 1 << 26, "latent levels")
        profile_length = cursor.varint()
        require(all(image_reader.MODES[mode].startswith("RGB") for mode in modes), "a grey image by bits back")
        require(all(flag < 2 and (not flag or run == 1) for flag, run in zip(initial, runs, strict=True)), "runs")
    names = read_names(cursor, n)
    model_id = cursor.take(4 if kind != FILES and not number else 0)
    checks = [cursor.integer(4) for _ in initial]
    latent_id = cursor.take(4 if kind == BITS_BACK else 0)
    profile = json.loads(cursor.take(profile_length) or b"{}")
    require(cursor.at == len(header) and isinstance(profile, dict), "bytes behind a header, or a profile that is none")
    columns = (names, numbers, [image_reader.MODES[mode] for mode in modes], widths, heights, lengths, icc, exif)
    block = Block(
        total, kind, tuple(map(Entry, *columns)), tuple(values), words, effort, levels, bool(repeats & 1),
        bool(repeats & 2), tuple(runs), tuple(sizes), tuple(alpha_sizes),
        tuple(initial), tuple(latent), number, model_id, tuple(checks), latent_id, profile,
    )  # fmt: skip
    check_runs(block)
    return block


def read_names(cursor: Cursor, count: int) -> list[str]:
    names, name = list[str](), b""
    for _ in range(count):
        shared, rest = cursor.varint(), cursor.varint()
        require(shared <= len(name), "a name shares more than there is")
        require(shared + rest <= 4096, "a name of more than 4,096 bytes")
        name = name[:shared] + cursor.take(rest)
        names.append(name.decode())
    require(len({*names}) == count, "two images have one name")
    return names


def check_runs(block: Block) -> None:
    place = 0
    for run in block.runs:
        images = block.entries[place : place + run]
        place += run
        shapes = {(image.width, image.height, image.mode.startswith("RGB")) for image in images}
        pixels = sum(image.width * image.height for image in images)
        require(len(shapes) == 1 and pixels <= 1 << 17, "a run of several sizes, or too many pixels")


class Archive(NamedTuple):
    blocks: tuple[Block, ...]
    bodies: tuple[list[bytes], ...]  # a block has values, then files or alpha sections, alpha streams and streams
    heads_intact: bool
    index_bytes: int  # 0: rebuilt
    missing: int
    following: int

    def entries(self) -> list[Entry]:
        return sorted((entry for block in self.blocks for entry in block.entries), key=lambda entry: entry.number)


def checked(cursor: Cursor, magic: bytes) -> bytes:
    """What follows a magic (with a version, where it has one), a length and a CRC-32 of all three."""
    start = cursor.at
    require(cursor.take(len(magic)) == magic, "no magic")
    length = cursor.varint()
    covered = cursor.data[start : cursor.at]
    check, content = cursor.integer(4), cursor.take(length)
    require(zlib.crc32(covered + content) == check, "a CRC-32 does not match")
    return content


def read_archive(data: bytes) -> Archive:
    require(data[:5] == MAGIC or MARK in data, "not an archive of version 1")
    try:
        cursor = Cursor(data)
        index = Cursor(inflate(checked(cursor, MAGIC), 1 << 27))
        headers = [(index.varint(), read_header(index.take(index.varint()))) for _ in range(index.varint())]
        numbers = sorted(entry.number for _, block in headers for entry in block.entries)
        names = {entry.name for _, block in headers for entry in block.entries}
        require(index.at == len(index.data) and len(names) == len(numbers), "the index contradicts itself")
        require_few([block for _, block in headers])
        require(all(numbers == list(range(block.total)) for _, block in headers), "images are missing in the index")
    except (Bad, ValueError) as error:
        found = list(scan(data))
        require_few([block for block, _ in found])
        if not found:
            raise Bad(f"no index and no block: {error}") from error
        end = max(at + sum(block.lengths()) for block, at in found)
        return bodies_of(data, found, end, True, 0)
    places, at = list[tuple[Block, int]](), cursor.at
    for length, block in headers:
        body = at + len(MARK) + varint_size(length) + 4 + length
        places.append((block, body))
        at = body + sum(block.lengths())
    moved = [place_of(data, block, body, length) for (block, body), (length, _) in zip(places, headers, strict=True)]
    intact = None not in moved
    places = [(block, body if new is None else new) for (block, body), new in zip(places, moved, strict=True)]
    return bodies_of(data, places, at, intact, cursor.at)


def require_few(blocks: Sequence[Block]) -> None:
    names = [entry.name for block in blocks for entry in block.entries]
    require(len(names) <= 1 << 20 and sum(map(len, names)) <= 1 << 26, "too many images, or letters in names")
    listed = sum(len(block.value_lengths) + len(block.latent_levels) for block in blocks)
    require(listed <= 1 << 22, "too many values and latent levels")


def varint_size(value: int) -> int:
    return max(1, -(-value.bit_length() // 7))


def place_of(data: bytes, block: Block, body: int, length: int) -> int | None:
    """Where the body of a block is: where the index says, or elsewhere; None where its header is nowhere."""
    start = body - length - 4 - varint_size(length) - len(MARK)
    found = block_at(data, start)
    if found and found[0] == block:
        return body
    return next((at for other, at in scan(data) if other == block), None)


def bodies_of(data: bytes, places: Sequence[tuple[Block, int]], end: int, intact: bool, index_bytes: int) -> Archive:
    bodies = tuple(cut_parts(data, body, block.lengths()) for block, body in places)
    blocks = tuple(block for block, _ in places)
    return Archive(blocks, bodies, intact, index_bytes, max(0, end - len(data)), max(0, len(data) - end))


def block_at(data: bytes, start: int) -> tuple[Block, int] | None:
    cursor = Cursor(data, start)
    try:
        return read_header(inflate(checked(cursor, MARK), 1 << 22)), cursor.at
    except (Bad, ValueError):
        return None


def scan(data: bytes) -> Iterator[tuple[Block, int]]:
    """Blocks with undamaged headers, and where their bodies begin."""
    seen, at = set[int](), data.find(MARK)
    while at >= 0:
        found = block_at(data, at)
        if found and seen.isdisjoint(own := {entry.number for entry in found[0].entries}):
            seen |= own
            yield found
        at = data.find(MARK, found[1] if found else at + 1)


def check_archive(archive: Archive) -> Iterator[str]:
    """All that is wrong with an archive and can be found without a network."""
    if not archive.index_bytes:
        yield "the index is damaged"
    if lost := max((block.total for block in archive.blocks), default=0) - len(archive.entries()):
        yield f"{lost} images are lost"
    if not archive.heads_intact:
        yield "the header of a block is damaged"
    if archive.missing or archive.following:
        yield f"{archive.missing} bytes are missing, {archive.following} follow the end"
    for block, parts in zip(archive.blocks, archive.bodies, strict=True):
        values, sections, alphas, streams = cut_body(block, parts)
        for value in values:
            yield from problems(read_value, value)
        for entry, section in zip(block.entries, sections, strict=True):
            if block.kind == FILES:
                yield from (f"{entry.name}: {problem}" for problem in check_entry(entry, section))
            elif entry.mode in ("LA", "RGBA") and not (block.kind == CONTEXT and without_section(entry)):
                yield from problems(image_reader.read_alpha, section, entry.width, entry.height)
        for stream, (_, state) in zip((*alphas, *streams), (*block.alpha_sizes, *block.sizes), strict=False):
            yield from problems(image_reader.open_stream, stream, state)
        if block.kind == BITS_BACK:
            yield from problems(open_stack, streams[0])


def read_value(value: bytes) -> None:
    kinds = {*image_reader.read_metadata(value)}
    require(kinds in ({1}, {2}, {3}, {2, 3}), f"a value with metadata of the kinds {sorted(kinds)}")


def cut_body(block: Block, parts: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Values, files or alpha sections, alpha streams, streams."""
    counts = len(block.value_lengths), len(block.entries), len(block.alpha_sizes)
    ends = [*accumulate(counts), len(parts)]
    return [parts[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def check_entry(entry: Entry, file: bytes) -> Iterator[str]:
    try:
        image = image_reader.read_image(file)
    except Bad as error:
        yield str(error)
        return
    if (image.mode, image.width, image.height) != (entry.mode, entry.width, entry.height):
        yield "it is another image than the archive says"
    yield from image_reader.check_image(image)


def open_stack(words: bytes) -> tuple[int, list[int]]:
    """State and words of a block's stack, in decoding order."""
    require(len(words) >= 8 and len(words) % 4 == 0, f"a stack of {len(words)} bytes")
    high, low, *rest = np.frombuffer(words, "<u4").tolist()
    require(image_reader.LOW <= high << 32 | low < image_reader.HIGH, "the first state of a stack is none")
    return high << 32 | low, rest


# --- pixels


def decode_run(block: Block, parts: Sequence[bytes], run: int, model: Model) -> dict[str, NDArray[np.uint8]]:
    """The colour samples of the images of a run, by name, (height, width, channels)."""
    require(block.kind == CONTEXT, "a run that the context model does not code")
    first = sum(block.runs[:run])
    entries, stream = block.entries[first : first + block.runs[run]], cut_body(block, parts)[3][run]
    coding = Coding(block.effort, block.levels, block.repeats)
    channels = 3 if entries[0].mode.startswith("RGB") else 1
    return decode_together(entries, stream, block.sizes[run][1], coding, channels, model)


def decode_alphas(block: Block, parts: Sequence[bytes], run: int, model: Model) -> dict[str, NDArray[np.uint8]]:
    """The alpha planes that a run codes, by name, (height, width)."""
    entries = [block.entries[position] for position in block.coded_alphas(run)]
    if not entries:
        return {}
    number = sum(bool(block.coded_alphas(other)) for other in range(run))
    stream, (_, state) = cut_body(block, parts)[2][number], block.alpha_sizes[number]
    coding = Coding(block.effort, 0, block.alpha_repeats)
    planes = decode_together(entries, stream, state, coding, 1, model)
    return {name: plane[..., 0] for name, plane in planes.items()}


def decode_together(
    entries: Sequence[Entry], stream: bytes, state_bytes: int, coding: Coding, channels: int, model: Model
) -> dict[str, NDArray[np.uint8]]:
    """Images that share a stream, by name."""
    lane = Lane(*image_reader.open_stream(stream, state_bytes))
    shape = entries[0].height, entries[0].width, channels
    found = Tile(model, coding, shape, [lane], len(entries)).decode()
    check = (1 << 24) + zlib.crc32(found.tobytes()) % (1 << 24)
    require(lane.state == check and not lane.words, "the check of a run does not match")
    return {entry.name: pixels for entry, pixels in zip(entries, found, strict=True)}
