"""Chunks of PNG files, their checksums, and the size of image data."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from samples import KEYS, LAYOUTS, PLAIN_PALETTE, png_head, png_of, stored_as

from ddpmcodec import archive, codec
from ddpmcodec.errors import FormatError, ImageError, OutputError
from ddpmcodec.formats import png
from ddpmcodec.formats.image_files import load_image
from ddpmcodec.formats.images import to_planes


@pytest.fixture(scope="module")
def picture() -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(noise).save(stream, "PNG", dpi=(72, 72))
    return stream.getvalue()


def test_chunks_follow_each_other_to_the_end(picture: bytes) -> None:
    found = list(png.chunks(picture))
    assert [chunk.kind for chunk in found] == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]
    assert all(chunk.is_sound for chunk in found)
    assert (found[0].content[:8], found[-1].end) == (b"\0\0\0\x07\0\0\0\x09", len(picture))


def test_every_damaged_byte_is_found(picture: bytes) -> None:
    """Pillow finds some of them."""
    for place in range(len(png.START), len(picture)):
        damaged = picture[:place] + bytes([picture[place] ^ 4]) + picture[place + 1 :]
        with pytest.raises(ImageError):
            png.check(damaged)
        with pytest.raises(ImageError, match=r"^a\.png: "):
            load_image(damaged, "a.png")


def test_every_cut_is_found(picture: bytes) -> None:
    png.check(picture)
    for size in range(len(png.START), len(picture)):
        with pytest.raises(ImageError, match="truncated"):
            png.check(picture[:size])


HEAD = png_head(10, 12, 8, 2)
ROW = b"\0" + b"abc" * 10
DATA = (b"IDAT", zlib.compress(12 * ROW))
FRAME = struct.pack(">IIIIIHHBB", 0, 10, 12, 0, 0, 1, 1, 0, 0)
SMALL = struct.pack(">IIIIIHHBB", 0, 5, 12, 0, 0, 1, 1, 0, 0)
ONE_FRAME = (b"acTL", struct.pack(">II", 1, 0))
FIRST = (b"fcTL", FRAME), (b"fdAT", b"\0\0\0\1" + DATA[1])  # after a default image
SECOND = (b"fcTL", b"\0\0\0\1" + FRAME[4:]), (b"fdAT", b"\0\0\0\2" + DATA[1])
HALF = (b"IDAT", zlib.compress(12 * (b"\0" + b"abc" * 5)))


@pytest.mark.parametrize("rows", range(1, 12))
def test_missing_rows_are_found_where_pillow_fills_them_with_zeros(rows: int) -> None:
    short = png_of(HEAD, (b"IDAT", zlib.compress(rows * ROW)))
    assert not np.asarray(Image.open(BytesIO(short)))[rows:].any()
    with pytest.raises(ImageError, match="rows"):
        load_image(short, "x")


@pytest.mark.parametrize(("depth", "colour_type", "mode"), [(1, 0, "1"), (4, 3, "P"), (8, 4, "LA"), (8, 6, "RGBA")])
@pytest.mark.parametrize("interlaced", [False, True])
def test_rows_of_every_kind_are_counted(depth: int, colour_type: int, mode: str, interlaced: bool) -> None:
    """By data of the size that Pillow needs: a byte less is an error. Sides of 1 leave passes of Adam7 empty."""
    bits = depth * png.SAMPLES[colour_type]
    for width, height in ((1, 1), (1, 9), (4, 1), (5, 3), (13, 17)):
        passes = png.ADAM7 if interlaced else ((0, 0, 1, 1),)
        sides = [(len(range(x, width, across)), len(range(y, height, down))) for x, y, across, down in passes]
        size = sum((1 + -(-columns * bits // 8)) * rows for columns, rows in sides if columns)
        head = png_head(width, height, depth, colour_type, interlaced=interlaced), (b"PLTE", bytes(48))
        assert load_image(png_of(*head, (b"IDAT", zlib.compress(bytes(size)))), "x").mode == mode
        with pytest.raises(ImageError):
            load_image(png_of(*head, (b"IDAT", zlib.compress(bytes(size - 1)))), "x")


def test_image_data_after_the_pixels_are_known() -> None:
    """libpng takes such files."""
    assert not png.has_excess(png_of(HEAD, DATA))
    assert not png.has_excess(png_of(HEAD, (b"IDAT", DATA[1][:9]), (b"IDAT", DATA[1][9:]), (b"IDAT", b"")))
    too_many_rows = png_of(HEAD, (b"IDAT", zlib.compress(13 * ROW)))
    wrong_checksum = png_of(HEAD, (b"IDAT", DATA[1][:-4] + bytes(4)))
    for file in (too_many_rows, png_of(HEAD, (b"IDAT", DATA[1] + b"x")), png_of(HEAD, DATA, DATA), wrong_checksum):
        assert png.has_excess(file)


def test_inflating_needs_little_memory() -> None:
    """Of 100 MB of zeros in 100 kB that claim to be rows."""
    bomb = png_of(png_head(10_000, 10_000, 8, 0), (b"IDAT", zlib.compress(bytes(10**8))))
    tracemalloc.start()
    with pytest.raises(ImageError, match="rows"):
        png.check_pixels(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("chunks", "problem"),
    [
        ([HEAD, (b"QQQQ", b"x"), DATA], "'QQQQ'"),
        ([HEAD, DATA, ONE_FRAME, *FIRST], "animation"),
        ([HEAD, DATA, ONE_FRAME], "animation"),
        ([HEAD, ONE_FRAME, (b"fcTL", FRAME), DATA, *SECOND], "animation"),
        ([HEAD, DATA, *FIRST], "animation"),
        ([HEAD, ONE_FRAME, (b"fcTL", SMALL), HALF], "smaller"),
    ],
)
def test_chunks_that_make_a_file_more_than_one_image_are_refused(
    chunks: list[tuple[bytes, bytes]], problem: str
) -> None:
    with pytest.raises(ImageError, match=problem):
        load_image(png_of(*chunks), "x")


def test_one_frame_that_is_the_image_is_read() -> None:
    assert load_image(png_of(HEAD, ONE_FRAME, (b"fcTL", FRAME), DATA, (b"quQu", b"unknown")), "x").size == (10, 12)


# --- recipes

TEXTS = [
    (b"gAMA", struct.pack(">I", 100000)),
    (b"iCCP", b"a\0\0" + zlib.compress(b"a profile " * 30, 9)),
    (b"tEXt", b"Comment\0of a camera"),
    (b"zTXt", b"Comment\0\0" + zlib.compress(b"a long text " * 30, 6)),
    (b"zTXt", b"Comment\0\0no stream"),
    (b"iTXt", b"Title\0\0\0\0\0" + "Über".encode()),
    (b"tIME", bytes([7, 230, 1, 2, 3, 4, 5])),
    (b"prVt", b"private"),
]


def all_but_data(file: bytes) -> list[tuple[bytes, bytes]]:
    return [(chunk.kind, bytes(chunk.content)) for chunk in png.chunks(file) if chunk.kind != b"IDAT"]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("has_key", [False, True])
@pytest.mark.parametrize(("depth", "colour_type"), LAYOUTS)
def test_a_png_comes_back_chunk_for_chunk(depth: int, colour_type: int, has_key: bool, interlaced: bool) -> None:
    if has_key and colour_type not in KEYS:
        return
    chunks = [*TEXTS, *([PLAIN_PALETTE] if colour_type == png.PALETTE else [])]
    chunks += [(b"tRNS", KEYS[colour_type])] if has_key else []
    file = stored_as(depth, colour_type, interlaced=interlaced, chunks=chunks) + b"trailing"
    data = codec.encode(BytesIO(file), effort=1)
    back = codec.decode_original(data)
    assert all_but_data(back) == all_but_data(file)
    assert back.endswith(b"\x82trailing")
    png.check(back)
    assert to_planes(load_image(back, "back")).equals(to_planes(load_image(file, "file")))
    assert png.recipe_of(back) == png.recipe_of(file)
    assert codec.decode(data).tobytes() == codec.decode(codec.encode(load_image(file, "file"), effort=1)).tobytes()
    stripped = codec.encode(BytesIO(file.removesuffix(b"trailing")), effort=1, strip=True)
    assert len(stripped) < len(data) - 40
    with pytest.raises(OutputError):
        codec.decode_original(stripped)


def test_a_png_of_no_further_chunks_takes_no_bytes_for_them() -> None:
    for depth, colour_type in ((8, 0), (1, 0), (8, 2), (8, 6)):
        file = stored_as(depth, colour_type, chunks=[])
        assert png.recipe_of(file)
        bare = png_of(*((kind, content) for kind, content in _pairs(file) if kind not in (b"tEXt", b"IEND")))
        assert png.recipe_of(bare) == b""


def _pairs(file: bytes) -> list[tuple[bytes, bytes]]:
    return [(chunk.kind, bytes(chunk.content)) for chunk in png.chunks(file)]


def test_what_cannot_be_had_chunk_for_chunk_is_kept_whole() -> None:
    excess = stored_as(8, 2, chunks=[])
    pairs = [
        (kind, zlib.compress(zlib.decompress(data) + b"x") if kind == b"IDAT" else data)
        for kind, data in _pairs(excess)
    ]
    file = png_of(*pairs[:-1])
    data = codec.encode(BytesIO(file), effort=1)
    assert (codec.info(data)["coding"], codec.decode_original(data)) == ("kept whole", file)


def test_archives_give_png_files_back_chunk_for_chunk() -> None:
    files = {f"{n}.png": stored_as(8, 2, chunks=[*TEXTS, (b"prVt", bytes([n]))]) for n in range(3)}
    data = archive.create({name: BytesIO(file) for name, file in files.items()}, effort=1)
    for name, back in archive.extract(data, original=True):
        assert all_but_data(back) == all_but_data(files[name])
    assert {image.mode for _, image in archive.extract(data)} == {"RGB"}


@pytest.mark.parametrize(
    "recipe",
    [
        b"\x35\1\0\2\0",  # an unknown colour type
        b"\x33\1\0\2\0",  # a palette that is missing
        b"\x30\1\0\2\0",  # grey
        b"\x36\1\0\2\0",  # alpha
        b"\x42\1\0\2\0",  # 16 bits
        b"\x32\xff\0",  # an unknown chunk
        b"\x32\5\x20a",  # cut
    ],
)
def test_a_recipe_of_other_pixels_is_refused(recipe: bytes) -> None:
    with pytest.raises(FormatError):
        png.restored(recipe, np.zeros((3, 4, 3), np.uint8), None)
