"""What Pillow would leave out of an image without a word is refused, from real files of each kind."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples import ICC, bmp_with_profile, picture, png_head, png_of, stored

from ddpmcodec.errors import ImageError
from ddpmcodec.formats.image_files import load_image
from ddpmcodec.formats.images import to_image, to_planes
from ddpmcodec.formats.left_out import TOO_DEEP, following, left_out

PIXELS = np.random.Generator(np.random.Philox(3)).integers(0, 256, (8, 12, 3), dtype=np.uint8)
DEEP, OTHER = "more than 8 bits per sample", "{} channels, of which {} would be kept"


def saved(file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(PIXELS).save(stream, file_format, **options)
    return stream.getvalue()


def tiff(
    samples: int, *, bits: int = 8, extra: tuple[int, ...] = (), planar: bool = False, signed: bool = False,
    thumbnail: bool = False, directories: bool = False, more: dict[int, Any] | None = None,
) -> bytes:  # fmt: skip
    """Not compressed, of 12 x 8 pixels, all samples 3. more: further tags."""
    plane = 12 * 8 * bits // 8
    tags: dict[int, Any] = {
        256: (12,), 257: (8,), 258: (bits,) * samples, 259: (1,), 262: (2 if samples >= 3 else 1,),
        277: (samples,), 278: (8,), 284: (2 if planar else 1,),
    }  # fmt: skip
    if extra:
        tags[338] = extra
    if signed:
        tags[339] = (2,) * samples
    tags |= {254: (1,)} if thumbnail else {}
    tags |= {330: (8,)} if directories else {}
    strips = samples if planar else 1
    start = 8
    body = bytes([3]) * (plane * samples)
    tags[273] = tuple(start + plane * k for k in range(strips))
    tags[279] = (plane * samples // strips,) * strips
    tags |= more or {}
    entries, tail = b"", b""
    directory = start + len(body)
    place = directory + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        kind, packed = (7, values) if isinstance(values, bytes) else (3, struct.pack(f"<{len(values)}H", *values))
        if len(packed) > 4:
            packed, tail = struct.pack("<I", place + len(tail)), tail + packed
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", directory) + body + struct.pack("<H", len(tags)) + entries + bytes(4) + tail


def bmp(bits: int, masks: tuple[int, ...], body: bytes) -> bytes:
    """Of 12 x 8 pixels, with the masks of its channels."""
    head = struct.pack("<IiiHHIIiiII", 108, 12, 8, 1, bits, 3, len(body), 0, 0, 0, 0)
    head += struct.pack("<4I", *masks, *(0,) * (4 - len(masks))) + bytes(52)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


def bmp_of_levels(bits: int, body: bytes, palette: bytes) -> bytes:
    """Of 12 x 8 pixels that are numbers of so many bits."""
    head = struct.pack("<IiiHHIIiiII", 40, 12, 8, 1, bits, 0, len(body), 0, 0, len(palette) // 4, 0) + palette
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


def png(depth: int, levels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """Grey, of so many bits a pixel."""
    bits = np.unpackbits(levels[..., None], axis=2)[..., 8 - depth :]
    rows = np.packbits(bits.reshape(len(levels), -1), axis=1)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return png_of(png_head(levels.shape[1], levels.shape[0], depth, 0), *chunks, (b"IDAT", packed))


def bgrx(fourth: bytes) -> bytes:
    return bmp(32, (0xFF0000, 0xFF00, 0xFF), b"".join(b"abc" + fourth[k % len(fourth) :][:1] for k in range(96)))


def half_a_jpeg() -> bytes:
    """A TIFF with JPEG compression whose strip has half its bytes. libjpeg fills the rest with grey."""
    data = bytearray(saved("TIFF", compression="jpeg"))
    tag = data.index(struct.pack("<HHI", 279, 4, 1)) + 8
    data[tag : tag + 4] = struct.pack("<I", struct.unpack_from("<I", data, tag)[0] // 2)
    return bytes(data)


def sgi(bytes_of_sample: int) -> bytes:
    head = struct.pack(">hBBHHHHll", 474, 0, bytes_of_sample, 3, 12, 8, 3, 0, 255).ljust(512, b"\0")
    return head + bytes(12 * 8 * 3 * bytes_of_sample)


def deep_jpeg_2000(**options: Any) -> bytes:
    """One whose samples are said to have 12 bits."""
    data = bytearray(saved("JPEG2000", **options))
    first = data.index(b"\xff\x4f\xff\x51") + 4 + 38
    assert data[first : first + 9 : 3] == b"\7\7\7"
    data[first : first + 9 : 3] = b"\x0b\x0b\x0b"
    return bytes(data)


def behind_a_large_box(data: bytes) -> bytes:
    """As of metadata, which may stand before the image."""
    start = data.index(b"jp2c") - 4
    return data[:start] + (8 + 500_000).to_bytes(4, "big") + b"uuid" + bytes(500_000) + data[start:]


RAMP = tuple(257 * value for value in range(256))  # of a colour map, as most programs write it
LAYERS = b"Adobe Photoshop Document Data Block\0" + b"8BIMLayr" + bytes(4)
GREYS = b"".join(bytes([value, value, value, 0]) for value in range(16))
REFUSED = {
    "TIFF, a palette of 16 bits": (
        tiff(1, more={262: (3,), 320: (1000, *RAMP[1:], *RAMP, *RAMP)}),
        "a palette of more",
    ),
    "TIFF, a palette as of old": (tiff(1, more={262: (3,), 320: tuple(range(256)) * 3}), "a palette of more"),
    "TIFF, strips missing": (tiff(3, more={278: (4,), 279: (144,)}), "parts of the picture are not in the file"),
    "TIFF, a plane missing": (tiff(3, more={273: (8, 8), 279: (96, 96), 284: (2,)}), "parts of the picture"),
    "TIFF, alpha in a plane": (tiff(2, extra=(2,), planar=True), "planes that would be mixed up"),
    "TIFF, alpha in a fourth plane": (tiff(4, extra=(2,), planar=True), "planes that would be mixed up"),
    "TIFF, bits of planes in another order": (tiff(3, planar=True, more={266: (2,)}), "planes that would be mixed up"),
    "TIFF, YCbCr": (tiff(3, more={259: (32946,), 262: (6,)}), "colours in YCbCr"),
    "TIFF, half a JPEG": (half_a_jpeg(), "end before the JPEG"),
    "TIFF, layers": (tiff(3, more={37724: LAYERS}), "layers, which would be"),
    "BMP, a bit of alpha": (bmp(16, (0x7C00, 0x3E0, 0x1F, 0x8000), b"ab" * 96), "alpha of one bit"),
    "BMP, black and white in bytes": (bmp_of_levels(8, b"\0\1" * 48, bytes(4) + b"\xff\xff\xff\0"), "few greys"),
    "BMP, 16 greys": (bmp_of_levels(4, bytes(64), GREYS), "few greys"),
    "PPM, two images": (2 * saved("PPM"), "several images in one file"),
    "PBM, two images": (2 * (b"P4 12 8\n" + bytes(16)), "several images in one file"),
    "PGM, two images": (2 * (b"P5 12 8 100\n" + bytes(96)), "several images in one file"),
    "TIFF, 16 bits": (tiff(3, bits=16), DEEP),
    "TIFF, 16 bits, planes": (tiff(3, bits=16, planar=True), DEEP),
    "TIFF, infrared": (tiff(4, extra=(0,)), OTHER.format(4, 3)),
    "TIFF, alpha and one more": (tiff(5, extra=(2, 0)), OTHER.format(5, 4)),
    "TIFF, premultiplied": (tiff(4, extra=(1,)), "multiplied by alpha"),
    "TIFF, signed": (tiff(1, signed=True), "no unsigned integers"),
    "TIFF, a thumbnail first": (tiff(3, thumbnail=True), "smaller ones of it"),
    "TIFF, directories below": (tiff(3, directories=True), "smaller ones of it"),
    "BMP, a fourth byte": (bgrx(b"\0\x80\xff"), "a fourth byte of each pixel"),
    "JPEG 2000": (deep_jpeg_2000(), DEEP),
    "JPEG 2000, behind a large box": (behind_a_large_box(deep_jpeg_2000()), DEEP),
    "JPEG 2000, no container": (deep_jpeg_2000(no_jp2=True), DEEP),
    "SGI": (sgi(2), DEEP),
    "ICO": (saved("ICO", sizes=[(8, 8), (6, 6)]), "images of several sizes"),
}
TAKEN = {
    "TIFF, a palette": tiff(1, more={262: (3,), 320: RAMP * 3}),
    "TIFF, a palette of zeros below": tiff(1, more={262: (3,), 320: tuple(range(0, 65536, 256)) * 3}),
    "TIFF, two strips": tiff(3, more={278: (4,), 273: (8, 152), 279: (144, 144)}),
    "BMP, 5-5-5 without alpha": bmp(16, (0x7C00, 0x3E0, 0x1F, 0), b"ab" * 96),
    "BMP, black and white": bmp_of_levels(1, bytes(32), bytes(4) + b"\xff\xff\xff\0"),
    "BMP, 16 greys in bytes": bmp_of_levels(8, bytes(96), GREYS),
    "PPM, something behind it": saved("PPM") + b"PS",
    "TIFF": tiff(3),
    "TIFF, JPEG": saved("TIFF", compression="jpeg"),
    "TIFF, planes": tiff(3, planar=True),
    "TIFF, alpha": tiff(4, extra=(2,)),
    "TIFF, grey": tiff(1),
    "BMP, a fourth byte of zeros": bgrx(b"\0"),
    "BMP, a fourth byte of ones": bgrx(b"\xff"),
    "BMP, 5-6-5": bmp(16, (0xF800, 0x7E0, 0x1F), b"ab" * 96),
    "BMP, 5-5-5": bmp(16, (0x7C00, 0x3E0, 0x1F), b"ab" * 96),
    "JPEG 2000": saved("JPEG2000"),
    "JPEG 2000, behind a large box": behind_a_large_box(saved("JPEG2000")),
    "AVIF": saved("AVIF"),
    "SGI": sgi(1),
    "ICO": saved("ICO", sizes=[(8, 8)]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_be_left_out_is_refused(kind: str) -> None:
    data, problem = REFUSED[kind]
    with pytest.raises(ImageError, match=f"photo: .*{problem}"):
        load_image(data, "photo", any_format=True)
    with pytest.raises(ImageError, match=problem):
        to_planes(Image.open(BytesIO(data)))


def test_avif_of_ten_bits_is_refused() -> None:
    """Pillow writes none: the box that says so is changed in a file that is open."""
    data = bytearray(saved("AVIF"))
    image: Any = Image.open(BytesIO(data))
    assert left_out(image) is None
    data[data.index(b"av1C") + 6] |= 0x40
    image.fp = BytesIO(data)
    assert left_out(image) == TOO_DEEP


@pytest.mark.parametrize("kind", TAKEN)
def test_the_same_files_are_taken_where_nothing_is_left_out(kind: str) -> None:
    image = load_image(TAKEN[kind], "photo", any_format=True)
    assert to_planes(image).colour.shape[:2] == (image.height, image.width)


@pytest.mark.parametrize("file_format", ["JPEG2000", "AVIF", "ICO", "TGA", "PCX", "DDS"])
def test_formats_whose_readers_may_leave_something_out_need_a_word(file_format: str) -> None:
    data = saved(file_format)
    with pytest.raises(ImageError, match=f"^photo: .*{file_format}"):
        load_image(data, "photo")
    assert load_image(data, "photo", any_format=True).format == file_format


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "QOI"])
def test_known_formats_need_none(file_format: str) -> None:
    assert load_image(saved(file_format), "photo").format == file_format


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_transparent_grey_of_few_bits_is_the_one_that_the_file_names(depth: int) -> None:
    """Pillow scales levels to 8 bits, and not the transparent one."""
    levels = np.arange(96, dtype=np.uint8).reshape(8, 12) & (2**depth - 1)
    image = load_image(png(depth, levels, (b"tRNS", b"\0\1")), "x")
    found = np.asarray(to_image(to_planes(image)))
    assert np.array_equal(found[..., 1] == 0, levels == 1)
    assert np.array_equal(found[..., 0], levels * (255 // (2**depth - 1)))


def test_exif_of_a_png_is_kept_also_where_it_is_text() -> None:
    """As ImageMagick wrote it before PNG had a chunk for it."""
    exif = Image.Exif()
    exif[271] = "Maker"
    lines = exif.tobytes().hex()
    text = f"\nexif\n{len(lines) // 2:8}\n{lines[:72]}\n{lines[72:]}\n".encode()
    data = png(8, PIXELS[..., 0], (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)))
    assert to_planes(load_image(data, "x")).metadata.exif == exif.tobytes()
    broken = png(8, PIXELS[..., 0], (b"tEXt", b"Raw profile type exif\0\nexif\n 3\nxyz"))
    with pytest.raises(ImageError, match="EXIF"):
        to_planes(load_image(broken, "x"))


def test_the_profile_of_a_bmp_is_kept() -> None:
    """As of bmpsuite's rgb24prof.bmp, and rgb24prof2.bmp with a gap before it. Pillow names none."""
    for whole in (bmp_with_profile(b"DEBM", ICC), bmp_with_profile(b"DEBM", ICC, gap=20)):
        for image in (load_image(whole, "x"), Image.open(BytesIO(whole))):
            assert to_planes(image).metadata.icc_profile == ICC
    shifted = bmp_with_profile(b"DEBM", ICC[14:] + bytes(14))
    for other in (bmp_with_profile(b"KNIL", b"a.icc"), bmp_with_profile(b"DEBM", ICC)[:-1], shifted):
        assert to_planes(load_image(other, "x")).metadata.icc_profile == b""


RLE = struct.pack("<IiiHHIIiiII", 40, 4, 1, 1, 8, 1, 4, 0, 0, 1, 0) + bytes(4) + b"\4\0\0\1"
QOI_HEAD = b"qoif" + struct.pack(">IIBB", 6, 1, 4, 0)
FILES = {
    "PNG": stored(picture("RGB"), "PNG"),
    "GIF": stored(picture("RGB"), "GIF", comment=b"x" * 700),
    "GIF, interlaced": stored(picture("L"), "GIF", interlace=1),
    "WebP": stored(picture("RGB"), "WEBP"),
    "WebP with a profile": stored(picture("RGBA"), "WEBP", lossless=True, icc_profile=ICC + b"x"),
    "QOI": stored(picture("RGB"), "QOI"),
    "QOI, alpha": stored(picture("RGBA"), "QOI"),
    "QOI, one run": QOI_HEAD + b"\xc5" + bytes(7) + b"\1",
    "BMP": stored(picture("RGB"), "BMP"),
    "BMP with a profile": bmp_with_profile(b"DEBM", ICC),
    "BMP, RLE": b"BM" + struct.pack("<IHHI", 14 + len(RLE), 0, 0, 58) + RLE,
    "BMP of OS/2": b"BM" + struct.pack("<IHHIIHHHH", 0, 0, 0, 26, 12, 1, 2, 1, 24) + bytes(8),
    **{f"BMP, {mode}": stored(picture(mode), "BMP") for mode in ("1", "L")},
    **{f"DIB, {mode}": stored(picture(mode), "DIB") for mode in ("1", "L", "RGB")},
    "PBM": b"P4 # 9 8\n12 8\n" + b"7 " * 8,
    "PGM": b"P5 12 8 200 " + bytes(96),
    "PPM": stored(picture("RGB"), "PPM"),
}


@pytest.mark.parametrize("kind", FILES)
def test_bytes_after_the_end_are_counted(kind: str) -> None:
    for appended in (b"", b"x", FILES[kind], b"\xff\0;" * 1737):
        load_image(FILES[kind] + (appended if kind not in ("PBM", "PGM", "PPM") else b""), "x")
        assert following(FILES[kind] + appended) == len(appended)


@pytest.mark.parametrize("size", [0, 1, 2**31])
def test_a_bmp_ends_after_its_pixels_if_its_head_is_wrong(size: int) -> None:
    file = FILES["BMP"][:2] + struct.pack("<I", size) + FILES["BMP"][6:]
    assert (following(file), following(file + b"xyz")) == (0, 3)


def test_padding_that_its_head_counts_belongs_to_a_bmp() -> None:
    file = FILES["BMP"]
    padded = file[:2] + struct.pack("<I", len(file) + 2) + file[6:] + bytes(2)
    assert (following(padded), following(padded + b"x")) == (0, 1)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF", "ICO"])
def test_other_formats_do_not_say_where_they_end(file_format: str) -> None:
    assert following(stored(picture("RGB"), file_format) + b"x") == 0


def test_a_line_may_end_after_the_samples_of_a_pnm() -> None:
    assert following(FILES["PPM"] + b"\r\n") == 0


def test_a_cut_end_of_a_qoi_is_nothing_that_is_lost() -> None:
    assert [following(FILES["QOI"][:-count]) for count in range(8)] == [0] * 8


def test_every_cut_of_a_gif_is_an_error() -> None:
    """Also between the frames of an animation, which Pillow takes for the end."""
    file = stored(
        picture("L").crop((0, 0, 5, 4)), "GIF", save_all=True, append_images=[picture("L").crop((2, 2, 7, 6))]
    )
    for end in range(len(file)):
        with pytest.raises(ImageError, match=r"^x: "):
            load_image(file[:end], "x")


def test_between_blocks_of_a_gif_there_are_zeros_at_most() -> None:
    file = FILES["GIF"]
    assert load_image(file[:-1] + b"\0;", "x").size == (24, 20)
    with pytest.raises(ImageError, match="begin a block"):
        load_image(file[:-1] + b"x;", "x")


BLACK, RED, NOTHING = (0, 0, 0, 255), (200, 0, 0, 255), (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("chunks", "pixels"),
    [
        (b"\xc1\xff\xc8\0\0\xff\x35\xc1", [BLACK, BLACK, RED, BLACK, BLACK, BLACK]),
        (b"\xc0\xff\xc8\0\0\xff\x35\xc2", [BLACK, RED, BLACK, BLACK, BLACK, BLACK]),
        (b"\xff\xc8\0\0\xff\x35\xc3", [RED, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING]),
    ],
)
def test_the_start_pixel_of_a_qoi_is_found_by_its_index(
    tmp_path: Path, chunks: bytes, pixels: list[tuple[int, ...]]
) -> None:
    """As by the reference decoder, after a run of that pixel begins the file. Pillow forgets it then."""
    file = QOI_HEAD + chunks + bytes(7) + b"\1"
    (tmp_path / "a.qoi").write_bytes(file)
    for image in (load_image(file, "x"), Image.open(BytesIO(file)), Image.open(tmp_path / "a.qoi")):
        assert np.asarray(to_image(to_planes(image)))[0].tolist() == [list(pixel) for pixel in pixels]


def test_qoi_files_of_pillow_are_read_as_they_were_written() -> None:
    black = np.zeros((9, 70, 3), np.uint8)
    black[4, 5:] = 7
    for image in (Image.fromarray(black), picture("RGBA")):
        found = load_image(stored(image, "QOI"), "x")
        assert np.array_equal(np.asarray(found), np.asarray(image))
