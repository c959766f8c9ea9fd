"""Odd and damaged JPEG files, always the same: those of `fixtures/jpegs`, and some of Pillow, changed at random."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from pictures import PHOTO

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures/jpegs").glob("*.jpg"))
FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA)
FACTORS = (0x11, 0x12, 0x21, 0x22, 0x31, 0x14, 0x44, 0x23, 0x00, 0x51)
RESTARTS = range(0xD0, 0xD8)
SEED = 20
Random = random.Random


def written(mode: str, size: tuple[int, int], **options: Any) -> bytes:
    stream = BytesIO()
    with Image.open(PHOTO) as photo:
        photo.crop((20, 10, 20 + size[0], 10 + size[1])).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def thumbnail_in_exif() -> bytes:
    """The EXIF of a camera: a directory whose second one holds a JPEG file."""
    small = written("RGB", (16, 12), quality=30)
    first = struct.pack("<HHHIII", 1, 0x0112, 3, 1, 6, 26)
    entries = [(0x0103, 6), (0x0201, 26 + 42), (0x0202, len(small))]
    second = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + first + b"\3\0" + second + bytes(4) + small


def intact() -> dict[str, bytes]:
    """Files that every decoder takes, but for some of the fixtures."""
    files = {path.stem: path.read_bytes() for path in FIXTURES}
    files["exif"] = written("RGB", (64, 48), exif=thumbnail_in_exif(), quality=85)
    files["grey"] = written("L", (33, 17), quality=40, comment=b"by hand")
    files["large"] = written("RGB", (160, 120), quality=92, subsampling="4:2:2", icc_profile=bytes(range(200)))
    files["restarts-in-scans"] = written("RGB", (50, 40), progressive=True, restart_marker_rows=1)
    files["cmyk-of-pillow"] = written("CMYK", (40, 24))
    files["ycck"] = transformed(files["cmyk-of-pillow"], Random(0), 2)
    return files


# --- changes: each takes a file and numbers at random, and returns another file


def cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flipped(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flipped_in_scan(data: bytes, rng: Random) -> bytes:
    at = data.find(b"\xff\xda") + 14
    return data[:at] + flipped(data[at:], rng) if 14 <= at < len(data) else flipped(data, rng)


def moved(data: bytes, rng: Random) -> bytes:
    """Some bytes are left out, or repeated."""
    at, count = rng.randrange(len(data)), rng.randint(1, 40)
    return data[:at] + data[at + count :] if rng.randrange(2) else data[: at + count] + data[at:]


def filled(data: bytes, rng: Random) -> bytes:
    """A block is zeros, ones or noise, as on a failing disk."""
    at, count = rng.randrange(len(data)), min(rng.randint(1, 128), len(data))
    block = rng.choice([bytes(count), b"\xff" * count, rng.randbytes(count)])
    return data[:at] + block + data[at + count :]


def trailed(data: bytes, rng: Random) -> bytes:
    count = rng.randint(1, 600)
    return data + rng.choice([bytes(count), rng.randbytes(count), b"\r\n", b"\xff", data, b"\xff\xd9"])


def preceded(data: bytes, rng: Random) -> bytes:
    """Fill bytes, or others, before a marker."""
    places = [at for at, _ in segments(data)]
    at = rng.choice(places or [2])
    return data[:at] + rng.choice([b"\xff", b"\xff\xff\xff", b"\0", b"junk"]) + data[at:]


def restarted(data: bytes, rng: Random) -> bytes:
    """A restart marker is another one, is missing, or comes twice; of a file without any, the interval is wrong."""
    places = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] in RESTARTS]
    if not places:
        at = data.find(b"\xff\xda")
        return data[:at] + b"\xff\xdd\0\4" + rng.randrange(9).to_bytes(2, "big") + data[at:]
    at = rng.choice(places)
    return data[:at] + rng.choice([b"", bytes([0xFF, rng.choice(RESTARTS)]), data[at : at + 2] * 2]) + data[at + 2 :]


def frame_of(data: bytes) -> int | None:
    return next((at for at, marker in segments(data) if marker in FRAMES), None)


def framed(data: bytes, rng: Random) -> bytes:
    """A frame of another kind, precision, size (also of nothing), or of other sampling factors."""
    at = frame_of(data)
    if at is None:
        return flipped(data, rng)
    changed = bytearray(data)
    match rng.randrange(4):
        case 0:
            changed[at + 1] = rng.choice(FRAMES)
        case 1:
            changed[at + 4] = rng.choice([12, 16, 2, 0])
        case 2:
            changed[at + 5 + 2 * rng.randrange(2)] = 0
            changed[at + 6 + 2 * rng.randrange(2)] = rng.choice([0, 1, 7, 200])
        case 3:
            changed[at + 11 + 3 * rng.randrange(changed[at + 9])] = rng.choice(FACTORS)
    return bytes(changed)


def with_lines_after_scan(data: bytes, rng: Random) -> bytes:
    """The number of lines comes in a DNL segment after the first scan."""
    at, end = frame_of(data), data.rfind(b"\xff\xd9")
    if at is None or end < 0:
        return flipped(data, rng)
    start, lines, scan = data[: at + 5], data[at + 5 : at + 7], data[at + 7 : end]
    later = b"\xff\xdc\0\4" + rng.choice([lines, rng.randbytes(2)])
    return start + rng.choice([b"\0\0", lines]) + scan + later + data[end:]


def transformed(data: bytes, rng: Random, transform: int | None = None) -> bytes:
    """Another transform of colours in the segment of Adobe, or such a segment in a file without."""
    value = bytes([rng.randrange(4) if transform is None else transform])
    at = data.find(b"Adobe\0")
    if at < 0:
        return data[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + value + data[2:]
    return data[: at + 11] + value + data[at + 12 :]


def segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Places and markers of the segments before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        yield at, data[at + 1]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def rearranged(data: bytes, rng: Random) -> bytes:
    """A segment is missing, comes twice, or is the first."""
    places = [at for at, _ in segments(data)]
    if not places:
        return moved(data, rng)
    at = rng.choice(places)
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    match rng.randrange(3):
        case 0:
            return data[:at] + data[end:]
        case 1:
            return data[:end] + data[at:]
    return data[:2] + data[at:end] + data[2:at] + data[end:]


def rescanned(data: bytes, rng: Random) -> bytes:
    """One of several scans is missing or comes twice."""
    places = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    if len(places) < 2:
        return moved(data, rng)
    number = rng.randrange(len(places) - 1)
    at, end = places[number : number + 2]
    return data[:at] + data[end:] if rng.randrange(2) else data[:end] + data[at:]


def as_it_is(data: bytes, rng: Random) -> bytes:
    return data


CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    cut, flipped, flipped_in_scan, moved, filled, trailed, preceded,
    restarted, framed, with_lines_after_scan, transformed, rearranged, rescanned,
)  # fmt: skip


def odd_jpegs(count: int) -> Iterator[tuple[str, bytes]]:
    """Names and files: first the intact ones, then changed ones."""
    files, rng = intact(), Random(SEED)
    for number in range(count):
        stem = [*files][number % len(files)]
        change = as_it_is if number < len(files) else CHANGES[(number - len(files)) % len(CHANGES)]
        yield f"{number:03}-{stem}-{change.__name__}.jpg", change(files[stem], rng)
    yield from (("empty.jpg", b""), ("start.jpg", b"\xff\xd8"), ("end.jpg", b"\xff\xd8\xff\xd9"), ("text.jpg", b"a"))
