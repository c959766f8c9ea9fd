"""Reads .ddpm files without ddpmcodec: written from docs/format.md alone, to test that page.

It needs the standard library and numpy. What only a network can check (pixels), or a decoder of JPEG, is left out.
"""

from __future__ import annotations

import zlib
from binascii import crc_hqx
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MODES = ("L", "RGB", "LA", "RGBA", "1")
MAGIC = b"\xdd\n"
SQUARE, TILED, SECTIONS, EXTENDED = 8, 16, 32, 8
ALPHA, METADATA, FRAME, RECIPE, KEPT, LOW_BITS = KNOWN = 0x81, 0x42, 0x83, 0xC4, 0xC5, 0xC6  # tags of sections
AFTER, CRITICAL = 64, 128
MOST_SIDE_OF_JPEG = 65535
CODINGS = ("context model", "JPEG coefficients")  # by kind of the payload
LEVELS = (0, 1, 2, 5)
SEGMENTS_OF_JPEG = 9
SEGMENTS_OF_STEPS = {0: (8,), 1: (7, 8), 2: (7, 7, 8), 5: (7, 7, 7, 7, 7, 8)}  # by noise levels
PARTS = {7: (1, 1, 1, 1, 1, 2, 4), 8: (2,) * 8}  # of the segments of a step, by how many these are
LEAST, LOW, HIGH, PRECISION = 1 << 24, 1 << 31, 1 << 63, 24
LANES = 4


class Bad(Exception):
    """The data is not what docs/format.md says."""


def require(holds: bool, problem: str) -> None:
    if not holds:
        raise Bad(problem)


class Cursor:
    """Takes fields off bytes."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, count: int) -> bytes:
        require(self.at + count <= len(self.data), f"the data ends before byte {self.at + count}")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def varint(self) -> int:
        value = 0
        for place in range(5):
            byte = self.integer(1)
            value |= (byte & 127) << 7 * place
            if byte < 128:
                require(byte > 0 or place == 0, "a varint is not canonical")
                return value
        raise Bad("a varint has more than five bytes")

    def column(self, count: int) -> list[int]:
        return [self.varint() for _ in range(count)]


def inflate(data: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj(-15)
    try:
        found = inflater.decompress(data, most + 1)
    except zlib.error as error:
        raise Bad(f"deflate: {error}") from error
    require(len(found) <= most, f"a section inflates to more than {most} bytes")
    require(inflater.eof and not inflater.unused_data, "a deflate stream does not end where its field does")
    return found


# --- one image


class Samples(NamedTuple):
    """Bits of a sample of the image, and of a coded value, and how one is made of the other."""

    source_bits: int
    bits: int
    scaling: int

    def sample_of(self, value: int) -> int:
        more = self.source_bits - self.bits
        repeated = value >> self.bits - more if self.scaling == 2 else 0
        return (value << (more if self.scaling else 0)) + repeated


class Image(NamedTuple):
    """A file cut into its parts; of a prefix the last ones are short or empty."""

    mode: str
    width: int
    height: int
    is_jpeg: bool  # its coefficients are coded
    effort: int
    levels: int
    model_number: int
    model_id: bytes
    state_bytes: int
    orientation: int
    plain: bool
    segments: int | None  # of a tile; None: not tiled
    tile: tuple[int, int]  # width and height
    tiles: int
    start: int  # bytes of header and index
    sections: dict[int, int]  # lengths by tag
    lengths: tuple[int, ...]  # of the chunks, or of the payload
    checks: tuple[int, ...]
    alpha: bytes
    chunks: tuple[bytes, ...]
    metadata: bytes
    frame: bytes
    recipe: bytes
    kept: bytes
    low_bits: bytes
    samples: Samples
    missing: int
    lossy: bool

    @property
    def has_alpha(self) -> bool:
        return self.mode in ("LA", "RGBA")


def read_image(data: bytes) -> Image:
    cursor = Cursor(data)
    require(cursor.take(2) == MAGIC, "not a .ddpm file")
    flags, coding = cursor.integer(1), cursor.integer(1)
    version, mode, effort, levels, repeats = flags >> 6, flags & 7, coding >> 4 & 7, coding & 7, coding >> 7
    require(version == 1 and mode < len(MODES), f"version {version}, mode {mode}")
    extension = cursor.integer(1) if coding & EXTENDED else 0x70
    kind, bits = extension & 15, (extension >> 4) + 1
    require(kind < len(CODINGS) and (bits == 8 or not kind), f"kind {kind}, {bits} bits")
    samples = read_samples(cursor, bits, mode) if coding & EXTENDED and not kind else Samples(8, 8, 0)
    require(kind <= effort <= 3, f"effort {effort}")
    require(levels <= 3 if kind else levels in LEVELS, f"{levels} levels")
    require(not (kind and (repeats or mode > 1)), f"coefficients with repeats {repeats} of mode {mode}")
    is_jpeg, tiled, has_alpha = bool(kind), bool(flags & TILED), mode in (2, 3)
    number = cursor.integer(1)
    model_id = b"" if number else cursor.take(4)
    width = cursor.varint()
    height = width if flags & SQUARE else cursor.varint()
    require(0 < width * height <= 1 << 28, f"{width} x {height} pixels")
    require(not is_jpeg or max(width, height) <= MOST_SIDE_OF_JPEG, f"{width} x {height} pixels of a JPEG")
    require(bool(flags & SQUARE) == (width == height), "a height that should be left out")
    orientation, sections = read_sections(cursor, kind) if flags & SECTIONS else (1, {})
    require((ALPHA in sections) == (has_alpha and not is_jpeg), "an alpha section that should not be there, or should")
    require((LOW_BITS in sections) == (bits > 8), "low bits that should not be there, or should")
    require(is_jpeg == (FRAME in sections) == (RECIPE in sections), "a frame or a recipe too many, or too few")
    tile, tiles, lengths, checks, state = (width, height), 1, (0,), (), 4
    segments = SEGMENTS_OF_JPEG + levels if is_jpeg else sum(SEGMENTS_OF_STEPS[levels])
    require(tiled or width * height <= 1 << 21, "one tile of too many pixels")
    if tiled or is_jpeg:
        tile = (cursor.varint(), cursor.varint()) if tiled else (width, height)
        require(not (is_jpeg and tiled and tile == (width, height)), "a grid of a single tile")
        tiles, lengths, checks = read_index(cursor, (width, height), tile, segments)
    else:
        size = cursor.varint()
        state = 4 + size % 5
        lengths = (state + 4 * (size // 5),)
    plain = not (tiled or is_jpeg or sections)
    if not (tiled or is_jpeg or plain):
        check_crc16(cursor, data[: cursor.at])
    before, after = tags_of(sections, 0), tags_of(sections, AFTER)
    every = [*(sections[tag] for tag in before), *lengths, *(sections[tag] for tag in after)]
    end = cursor.at + sum(every)
    lossy = has_mark(data) and len(data) - 6 >= cursor.at and len(data) < end
    data = data[:-6] if lossy else data
    require(len(data) <= end, f"{len(data) - end} bytes follow the end")
    parts = cut_parts(data, cursor.at, every)
    chunks = parts[len(before) : len(before) + len(lengths)]
    found = dict(zip([*before, *after], [*parts[: len(before)], *parts[len(before) + len(lengths) :]], strict=True))
    return Image(
        MODES[mode], width, height, is_jpeg, effort, levels, number, model_id, state, orientation, plain,
        segments if tiled or is_jpeg else None, tile, tiles, cursor.at, sections, tuple(lengths), tuple(checks),
        found.get(ALPHA, b""), tuple(chunks), found.get(METADATA, b""), found.get(FRAME, b""),
        found.get(RECIPE, b""), found.get(KEPT, b""), found.get(LOW_BITS, b""), samples, end - len(data), lossy,
    )  # fmt: skip


def read_samples(cursor: Cursor, bits: int, mode: int) -> Samples:
    field = cursor.integer(1)
    samples = Samples((field & 15) + 1, bits, field >> 4)
    more = samples.source_bits - bits
    possible = ((0, 16), (1, 16), (1, bits))[samples.scaling] if samples.scaling < 3 else (1, 0)
    require(possible[0] <= more <= possible[1], f"scaling {samples.scaling} from {bits} to {samples.source_bits} bits")
    require(bits >= 8 < samples.source_bits and mode < 4, f"samples of {samples.source_bits} bits")
    return samples


def read_low_bits(image: Image) -> list[tuple[int, list[int]]]:
    """State and words of the low bits of each tile."""
    cursor = Cursor(image.low_bits)
    lengths = cursor.column(image.tiles)
    check_crc16(cursor, cursor.data[: cursor.at])
    require(cursor.at + sum(lengths) == len(cursor.data), "low bits do not fill their section")
    tiles = [cursor.take(length) for length in lengths]
    require(all(tile and 4 <= tile[0] <= 8 for tile in tiles), "a state of low bits")
    return [open_stream(tile[1:], tile[0]) for tile in tiles]


def read_sections(cursor: Cursor, kind: int) -> tuple[int, dict[int, int]]:
    """The orientation, and the lengths of sections by tag."""
    orientation, sections = cursor.integer(1), dict[int, int]()
    while tag := cursor.integer(1):
        types = [0, *(other & 63 for other in sections)]
        sections[tag] = cursor.varint()
        require(tag & 63 > types[-1] and sections[tag] > 0, f"section {tag} is empty or out of order")
        require(tag in KNOWN or not (tag & 63 < 7 or tag & CRITICAL), f"unknown section {tag}")
    require(1 <= orientation <= 8, f"orientation {orientation}")
    require(bool(sections), "an empty list of sections")
    require(sections.get(METADATA, 0) <= 1 << 24 and not (kind and METADATA in sections), "metadata")
    require(not (kind and KEPT in sections), "a kept file besides a JPEG")
    return orientation, sections


def tags_of(sections: dict[int, int], place: int) -> list[int]:
    return [tag for tag in sections if tag & AFTER == place]


def has_mark(data: bytes) -> bool:
    return data[-6:] == b"\xddE" + zlib.crc32(data[:-6]).to_bytes(4, "little")


def read_index(
    cursor: Cursor, image: tuple[int, int], tile: tuple[int, int], segments: int
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """The number of tiles, and lengths and checks of the chunks."""
    (width, height), (tile_width, tile_height), size = image, tile, cursor.varint()
    require(1 <= tile_width <= width and 1 <= tile_height <= height, f"tiles of {tile_width} x {tile_height}")
    require(tile_width * tile_height <= 1 << 21, "tiles too large")
    tiles = -(-width // tile_width) * -(-height // tile_height)
    require(tiles * segments <= 1 << 20, f"{tiles * segments} chunks")
    check_crc16(cursor, cursor.data[: cursor.at])
    entries = Cursor(cursor.take(size))
    pairs = [(entries.varint(), entries.integer(2)) for _ in range(tiles * segments)]
    require(entries.at == size, "the index holds more than its chunks")
    check_crc16(cursor, entries.data)
    return tiles, tuple(length for length, _ in pairs), tuple(check for _, check in pairs)


def check_crc16(cursor: Cursor, covered: bytes) -> None:
    require(cursor.integer(2) == crc_hqx(covered, 0xFFFF), "the CRC-16 of header or index does not match")


def cut_parts(data: bytes, start: int, lengths: Sequence[int]) -> list[bytes]:
    ends = list(accumulate(lengths, initial=start))
    return [data[first:last] for first, last in pairwise(ends)]


def describe_image(image: Image, size: int) -> dict[str, Any]:
    kept = read_kept(image.kept) if image.kept else None
    return {
        "width": kept.width if kept else image.width,
        "height": kept.height if kept else image.height,
        "mode": image.mode,
        "bits": image.samples.source_bits,
        "coded_bits": image.samples.bits,
        "coding": "kept whole" if kept else CODINGS[image.is_jpeg],
        "format": kept.format if kept else None,
        "ending": kept.ending if kept else None,
        "reason": kept.reason if kept else None,
        "original_bytes": len(kept.content) if kept else read_recipe(image)[0] if image.is_jpeg else None,
        "effort": image.effort,
        "levels": image.levels,
        "steps": steps_of(image),
        "model_number": image.model_number or None,
        "model_id": image.model_id.hex() or None,
        "orientation": image.orientation,
        "tiles": image.tiles,
        "segments": image.segments,
        "bytes": size,
        "missing_bytes": image.missing,
        "header_bytes": image.start,
        "alpha_bytes": image.sections.get(ALPHA, 0),
        "pixel_bytes": sum(map(len, image.chunks)),
        "metadata_bytes": image.sections.get(METADATA, 0),
        "recipe_bytes": image.sections.get(FRAME, 0) + image.sections.get(RECIPE, 0),
    }


def steps_of(image: Image) -> int:
    return SEGMENTS_OF_JPEG + image.levels if image.is_jpeg else len(SEGMENTS_OF_STEPS[image.levels])


def streams(image: Image) -> list[tuple[int, list[int]]]:
    """State and words of the single stream, or of all lanes of all tiles."""
    if image.segments is None:
        return [open_stream(image.chunks[0], image.state_bytes)]
    parts = [count for segments in SEGMENTS_OF_STEPS[image.levels] for count in PARTS[segments]]
    return [lane for tile in range(image.tiles) for lane in open_lanes(image.chunks[tile :: image.tiles], parts)]


def covered(image: Image, data: bytes) -> bytes:
    """What the check of the stream covers of the header of a plain file: all but the last varint."""
    end = image.start - 1
    while data[end - 1] > 127:
        end -= 1
    return data[:end] if image.plain else b""


def check_image(image: Image) -> Iterator[str]:
    """All that is wrong with a file and can be found without a network."""
    if image.missing:
        yield f"{image.missing} bytes are missing"
        return
    for place, (chunk, check) in enumerate(zip(image.chunks, image.checks, strict=False)):
        if crc_hqx(chunk, 0xFFFF) != check:
            yield f"segment {place // image.tiles} of tile {place % image.tiles} is damaged"
    if image.is_jpeg:
        yield from problems(check_frame, image)
        yield from problems(read_recipe, image)
    else:
        yield from problems(streams, image)
    if is_coded_alpha(image.alpha):
        yield from problems(check_alpha_file, image)
    elif image.has_alpha:
        yield from problems(read_alpha, image.alpha, image.width, image.height)
    yield from problems(read_metadata, image.metadata)
    if image.low_bits:
        yield from problems(read_low_bits, image)
    if image.kept:
        yield from problems(read_kept, image.kept)


def problems(read: Callable[..., object], *arguments: object) -> Iterator[str]:
    try:
        read(*arguments)
    except Bad as error:
        yield str(error)


def check_frame(image: Image) -> None:
    require(crc_hqx(image.frame[2:], 0xFFFF) == int.from_bytes(image.frame[:2], "little"), "the frame is damaged")


def read_recipe(image: Image) -> tuple[int, int, bytes]:
    """Length and CRC-32 of the JPEG file, and the items of its recipe."""
    cursor = Cursor(image.recipe)
    first, check = cursor.varint(), cursor.integer(4)
    items, length = cursor.data[cursor.at :], first // 2
    require(length <= 1 << 30, f"a JPEG of {length} bytes")
    return length, check, inflate(items, 2 * length + 64) if first % 2 else items


def read_alpha(section: bytes, width: int, height: int) -> NDArray[np.uint8]:
    rows = inflate(section[:-4], width * height)
    require(len(rows) == width * height, "the alpha section holds too few pixels")
    plane = np.cumsum(np.frombuffer(rows, np.uint8).reshape(height, width), 0, dtype=np.uint8)
    require(zlib.crc32(plane.tobytes()) == int.from_bytes(section[-4:], "little"), "the alpha section is damaged")
    return plane


def is_coded_alpha(section: bytes) -> bool:
    return bool(section) and section[0] & 6 == 6


def alpha_file(image: Image) -> bytes:
    """The file of grey levels that a coded alpha section stands for."""
    first, square = image.alpha[0], image.width == image.height
    require(first in (6, 14), f"an alpha section that begins with {first}")
    flags = 1 << 6 | SQUARE * square | TILED * (image.segments is not None)
    sides = [image.width] + [image.height] * (not square) + [*image.tile] * (image.segments is not None)
    coding = image.effort << 4 | 128 * (first == 14)
    head = MAGIC + bytes([flags, coding, image.model_number]) + image.model_id
    return head + b"".join(map(varint, sides)) + image.alpha[1:]


def check_alpha_file(image: Image) -> None:
    wrong = list(check_image(read_image(alpha_file(image))))
    require(not wrong, f"alpha: {wrong}")


def varint(value: int) -> bytes:
    low = b""
    while value > 127:
        low, value = low + bytes([value & 127 | 128]), value >> 7
    return low + bytes([value])


def read_metadata(section: bytes) -> dict[int, bytes]:
    """Values by kind: 1 ICC, 2 EXIF, 3 XMP, 4 PNG."""
    if not section:
        return {}
    require(zlib.crc32(section[4:]) == int.from_bytes(section[:4], "little"), "the metadata section is damaged")
    cursor, found = Cursor(inflate(section[4:], 1 << 24)), dict[int, bytes]()
    while cursor.at < len(cursor.data):
        kind = cursor.integer(1)
        require(kind in (1, 2, 3, 4) and kind not in found, f"metadata of kind {kind}")
        found[kind] = cursor.take(cursor.varint())
    return found


class KeptFile(NamedTuple):
    width: int
    height: int
    format: str
    ending: str
    reason: str
    content: bytes


def read_kept(section: bytes) -> KeptFile:
    require(zlib.crc32(section[4:]) == int.from_bytes(section[:4], "little"), "the kept file is damaged")
    cursor = Cursor(section, 4)
    width, height = cursor.varint(), cursor.varint()
    texts = [cursor.take(cursor.varint()).decode() for _ in range(3)]
    size = cursor.varint()
    require(size >> 1 <= 1 << 30 and max(map(len, texts)) <= 255 and len(texts[1]) <= 16, "facts of a kept file")
    content = inflate(section[cursor.at :], size >> 1) if size & 1 else section[cursor.at :]
    require(len(content) == size >> 1, "a kept file has another length")
    return KeptFile(width, height, *texts, content)


def end_of_step(image: Image, step: int) -> int:
    """Where in a tiled file its first steps end."""
    require(image.segments is not None, "the ends of steps of a single stream are not written down")
    chunks = image.tiles * sum(SEGMENTS_OF_STEPS[image.levels][:step])
    before = sum(image.sections[tag] for tag in tags_of(image.sections, 0))
    return image.start + before + sum(image.lengths[:chunks])


# --- rANS


def open_stream(stream: bytes, size: int) -> tuple[int, list[int]]:
    """State and words of a stream, in decoding order. size: bytes of its state."""
    require(
        len(stream) >= size and (len(stream) - size) % 4 == 0, f"a stream of {len(stream)} bytes, {size} of its state"
    )
    state = int.from_bytes(stream[:size], "little")
    require(4 <= size <= 8 and LEAST <= state < HIGH, "the first state of a stream is none")
    require(size == 4 or stream[size - 1] > 0, "a state has more bytes than it needs")
    return state, np.frombuffer(stream[size:], "<u4").tolist()


def open_lanes(chunks: Sequence[bytes], parts: Sequence[int]) -> list[tuple[int, list[int]]]:
    """State and words of the lanes of a tile, from its chunks. parts: of each."""
    states, lanes = list[tuple[int, list[int]]](), [list[int]() for _ in range(LANES)]
    for chunk, count in zip(chunks, parts, strict=True):
        cursor = Cursor(chunk)
        counts = cursor.column(LANES * count - 1)
        if not states:
            for _ in range(LANES):
                size = cursor.integer(1)
                states.append(open_stream(cursor.take(size), size))
        require((len(chunk) - cursor.at) % 4 == 0, "a chunk that does not end with a word")
        words = np.frombuffer(chunk[cursor.at :], "<u4").tolist()
        counts.append(len(words) - sum(counts))
        require(counts[-1] >= 0, "more words than the chunk has")
        for part in range(count):
            of_part = counts[LANES * part : LANES * (part + 1)]
            places = sorted((((2 * i + 1) << 31) // n, lane) for lane, n in enumerate(of_part) for i in range(n))
            for (_, lane), word in zip(places, words, strict=False):
                lanes[lane].append(word)
            words = words[len(places) :]
    return [(state, words) for (state, _), words in zip(states, lanes, strict=True)]


def pop(state: int, words: list[int], find: Callable[[int], tuple[int, int]]) -> int:
    """The state after a symbol. words: those that are left. find: from the slot to the symbol's start and frequency."""
    slot = state % (1 << PRECISION)
    start, freq = find(slot)
    state = freq * (state >> PRECISION) + slot - start
    return state << 32 | words.pop(0) if state < LOW and words else state
