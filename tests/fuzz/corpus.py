"""Write the inputs that fuzzing begins with: `python tests/fuzz/corpus.py DIR` adds them to DIR/TARGET."""

from __future__ import annotations

import json
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).resolve().parents[1]
PLAN_BYTES, CALL_BYTES = 8, 32
# Of api.cpp: feed, advance, feed, advance, set a model, get pixels and a section.
CALLS = bytes([1, 9, 0, 0, 2, 90, 0, 0, 4, 1, 7, 0, 9, 0, 0, 1])
# Of decoder.cpp: all at once, pieces, a prefix, a step, a box, segments, both, a reduced picture, threads and pixels.
PLANS = ([0], [0, 0, 0, 0, 0, 0, 5], [1, 0, 0, 0, 0, 0, 9], [2, 1], [4, 0, 1, 2, 3, 4], [8], [9], [0, 8], [48])
MOST_BYTES = 16384  # of a file: the golden one of 12 bits is larger than 8192


def stored(folder: str, suffix: str) -> list[bytes]:
    paths = sorted((TESTS / folder).glob(f"*{suffix}"))
    return [data for path in paths if len(data := path.read_bytes()) <= MOST_BYTES]


@cache
def attacked() -> dict[str, list[bytes]]:
    """The tiny files and archives that tests/attacks begins with; none if the package is not installed."""
    sys.path.insert(0, str(TESTS / "attacks"))
    found: dict[str, list[bytes]] = {"file": [], "archive": []}
    try:
        import targets
    except ImportError:
        print("The corpus lacks the files of tests/attacks: ddpmcodec is not installed here.", file=sys.stderr)
        return found
    with TemporaryDirectory() as folder:
        for seed in targets.seeds(folder):
            found.setdefault(seed.kind, []).append(seed.data)
    return found


def files() -> list[bytes]:
    folders = ("golden/v1", "golden/v2", "golden/v3", "fixtures/crashers")
    return [data for folder in folders for data in stored(folder, ".ddpm")] + attacked()["file"]


def archives() -> list[bytes]:
    whole = (TESTS / "golden/archive-v1/images.ddpma").read_bytes()
    return [whole, *stored("fixtures/crashers", ".ddpma"), *attacked()["archive"]]


def small_model() -> tuple[bytes, int]:
    """The header of the golden model without the networks of efforts 2 and 3, and how many bytes its tensors take."""
    data = (TESTS / "golden/v2/model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    facts = json.loads(header.pop("__metadata__")["ddpmcodec"])
    networks = facts["networks"]
    facts["networks"] = {key: networks[key] if key[0] == "1" else {"same_as": f"1{key[1:]}"} for key in networks}
    small, size = {"__metadata__": {"ddpmcodec": json.dumps(facts)}}, 0
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if name[0] == "1":
            small[name] = {**entry, "data_offsets": [size, size + end - begin]}
            size += end - begin
    return json.dumps(small).encode(), size


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def headers(archive: bytes) -> Iterator[bytes]:
    """The headers of an archive's blocks."""
    length, at = varint(archive, 5)
    index = zlib.decompress(archive[at + 4 : at + 4 + length], -15)
    count, at = varint(index, 0)
    for _ in range(count):
        _, at = varint(index, at)
        length, at = varint(index, at)
        yield index[at : at + length]
        at += length


def parts() -> Iterator[bytes]:
    text, _ = small_model()
    deflated = [zlib.compress(bytes(range(256)) * 9, level, wbits=-15) for level in (0, 1, 9)]
    fixed = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_FIXED)
    deflated.append(fixed.compress(b"a fixed code, a fixed code") + fixed.flush())
    yield from (bytes([0, 0]) + b"\1\2\3\4" * 4, bytes([1, 1, 0]) + b"\1\2\3\4" * 12)
    yield from (bytes([2, 0, 15, 15, 0, 0]) + data + bytes([1, 0, 0, 0]) for data in deflated)
    yield bytes([3, 1, 0, 0, 0]) + zlib.compress(b"\1\3icc\2\4exif\3\3xmp", wbits=-15)
    yield from (bytes([4, 0, 8, 0]) + data for data in deflated)
    yield from (bytes([5]) + data for data in (text, b'{"a": [1, -2.5e3, true, null, "\\ud83d\\ude00\xc3\xa9"]}'))
    yield from (bytes([6]) + header for header in headers(archives()[0]))
    yield from (bytes([7]) + archive for archive in archives())
    yield bytes([8, 0, 1, 0]) + bytes(range(64)) + b"a fixed code, a fixed code" + bytes(300)


def models() -> Iterator[bytes]:
    text, size = small_model()
    yield bytes([2]) + size.to_bytes(3, "little") + text
    file = struct.pack("<Q", len(text)) + text + bytes(size)
    yield bytes([1]) + file
    yield bytes([0]) + re.sub(rb'(sha256\\": \\")[0-9a-f]{64}', rb"\g<1>" + b"0" * 64, file)


def jpegs() -> Iterator[bytes]:
    """Files; then frames of 16 x 16 pixels in 4:2:0 at quality 75, with a recipe of each usual list of markers."""
    yield from (bytes([1]) + path.read_bytes() for path in sorted((TESTS / "fixtures/jpegs").glob("*.jpg")))
    frame = bytes([1 | 2 << 3, 75, 175, 202])
    for usual in range(16, 29):
        yield bytes([0, 16, 16, 7, len(frame)]) + frame + bytes([0xE8, 7, 0, 0, 0, 0, usual])


def encoder_input(fields: dict[str, int], data: bytes) -> bytes:
    """Of encoder.cpp. fields: that are not 0."""
    fields = {"effort": 1, "levels": 1, "orientation": 1, "planes": 1} | fields
    head = bytes(fields.get(name, 0) for name in ("choice", "effort", "levels", "tile", "more"))
    if not fields.get("choice", 0) & 1:
        head += bytes([fields.get("hostile", 0)])
        head += b"".join(fields[name].to_bytes(3, "little") for name in ("width", "height"))
        head += bytes(fields.get(name, 0) for name in ("mode", "bits", "orientation"))
        head += fields.get("row_stride", 0).to_bytes(3, "little")
        head += bytes(fields.get(name, 0) for name in ("pixel_stride", "planes", "icc", "exif", "xmp"))
    return head + data


def encoder() -> Iterator[bytes]:
    """Pictures of each mode, interleaved and in planes, of 8 bits and more, with metadata; and JPEG files."""
    for mode, channels in enumerate((1, 3, 2, 4)):
        size = {"width": 13, "height": 9, "mode": mode}
        smooth = bytes((3 * k // channels + 40 * (k % channels)) % 256 for k in range(13 * 9 * channels))
        yield encoder_input(size, smooth)
        yield encoder_input(size | {"effort": 0, "levels": 0, "planes": channels, "more": 3}, smooth)
        yield encoder_input(
            size | {"bits": 12, "levels": 5}, b"".join(struct.pack("<H", 9 * k) for k in range(13 * 9 * channels))
        )
    yield encoder_input(
        {"width": 13, "height": 9, "mode": 4, "planes": 65}, bytes(k * k >> 3 & 255 for k in range(117))
    )
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
    metadata = {"icc": 3, "exif": len(exif), "xmp": 4, "orientation": 0}
    yield encoder_input(
        {"width": 70, "height": 32, "mode": 0, "tile": 1, "levels": 0} | metadata,
        b"icc" + exif + b"<x/>" + bytes(70 * 32),
    )
    yield encoder_input(
        {"width": 40, "height": 40, "row_stride": 41, "pixel_stride": 2, "choice": 12}, bytes(range(256)) * 7
    )
    for path in sorted((TESTS / "fixtures/jpegs").glob("*.jpg")):
        yield encoder_input({"choice": 1}, path.read_bytes())


def inputs() -> Iterator[tuple[str, bytes]]:
    for data in files():
        yield from (("decoder", bytes(plan).ljust(PLAN_BYTES, b"\0") + data) for plan in PLANS)
        yield from (("api", calls.ljust(CALL_BYTES, b"\0") + data) for calls in (b"", CALLS, b"\6\1"))
    yield from (("archive", data) for data in archives())
    yield from (("encoder", data) for data in encoder())
    yield from (("jpeg", data) for data in jpegs())
    yield from (("model", data) for data in models())
    yield from (("parts", data) for data in parts())


if __name__ == "__main__":
    for number, (target, data) in enumerate(inputs()):
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"seed-{number:04}").write_bytes(data)
