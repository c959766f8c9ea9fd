"""Pillow images and arrays to planes and back: every mode exactly, and clear words for what cannot be coded."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from samples import exif, noise, picture, png_head, png_of, stored

from ddpmcodec.errors import ImageError, OutputError
from ddpmcodec.formats.image_files import image_format, is_kept, load_image, opened_extensions, save_image
from ddpmcodec.formats.images import shown_planes, to_image, to_planes


def assert_same(a: Image.Image, b: Image.Image) -> None:
    assert a.mode == b.mode
    assert np.array_equal(np.asarray(a), np.asarray(b))


# --- what is coded


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3)])
def test_every_mode_comes_back(mode: str, channels: int) -> None:
    planes = to_planes(picture(mode))
    assert planes.colour.shape == (20, 24, channels)
    assert planes.colour.flags.c_contiguous
    assert (planes.alpha is not None) == mode.endswith("A")
    assert_same(to_image(planes), picture(mode))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1)])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
def test_the_smallest_images_come_back(mode: str, size: tuple[int, int]) -> None:
    image = picture(mode).crop((0, 0, *size))
    assert_same(to_image(to_planes(image)), image)


@pytest.mark.parametrize(("shape", "mode"), [((20, 24), "L"), ((20, 24, 3), "RGB"), ((20, 24, 4), "RGBA")])
def test_arrays_are_images(shape: tuple[int, ...], mode: str) -> None:
    image = to_image(to_planes(noise(*shape)))
    assert image.mode == mode
    assert np.array_equal(np.asarray(image), noise(*shape))


def test_an_array_that_is_not_contiguous_is_read_in_its_order() -> None:
    array = noise(24, 20, 3).transpose(1, 0, 2)[::-1]
    assert np.array_equal(np.asarray(to_image(to_planes(array))), array)


def test_bilevel_images_are_coded_as_black_and_white_and_previews_cut_at_middle_grey() -> None:
    planes = to_planes(picture("1"))
    assert set(np.unique(planes.colour)) == {0, 255}
    grey = to_planes(picture("L"))
    assert np.array_equal(np.asarray(to_image(grey.__class__("1", grey.colour, None))), grey.colour[..., 0] > 127)


def test_a_palette_becomes_its_colours() -> None:
    image = picture("RGB").quantize(16)
    found = to_image(to_planes(image))
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), np.asarray(image.convert("RGB")))


def test_a_palette_with_transparency_becomes_rgba() -> None:
    image = load_image(stored(picture("RGB").quantize(16), "PNG", transparency=3), "x")
    assert image.mode == "P"
    found = np.asarray(to_image(to_planes(image)))
    assert np.array_equal(found[..., 3] == 0, np.asarray(image) == 3)
    assert np.array_equal(found[..., :3], np.asarray(image.convert("RGBA"))[..., :3])


@pytest.mark.parametrize(("mode", "key", "coded"), [("L", 5, "LA"), ("RGB", (1, 2, 3), "RGBA"), ("1", 0, "LA")])
def test_a_transparent_colour_becomes_alpha(mode: str, key: Any, coded: str) -> None:
    array = np.array(picture(mode))
    array[3:5] = key
    image = load_image(stored(Image.fromarray(array), "PNG", transparency=key), "x")
    found = to_image(to_planes(image))
    transparent = np.asarray(found)[..., -1] == 0
    assert found.mode == coded
    assert np.array_equal(transparent, np.atleast_3d(array == key).all(2))
    assert np.array_equal(np.asarray(found.convert(mode)), array)


# --- what is refused


def png(colour_type: int, depth: int, samples: int, side: int = 2) -> bytes:
    """A PNG with the data of 2 x 2 pixels, also of the kinds that Pillow does not write."""
    row = b"\0" + bytes(2 * samples * depth // 8)
    return png_of(png_head(side, side, depth, colour_type), (b"IDAT", zlib.compress(2 * row)))


def test_formats_that_run_programs_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow reads EPS by Ghostscript."""
    stream = BytesIO()
    picture("RGB").save(stream, "EPS")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("a program is run"))
    with pytest.raises(ImageError, match=r"^x: not an image"):
        load_image(stream.getvalue(), "x")
    assert ".eps" not in opened_extensions()
    assert {".png", ".jpg", ".webp", ".tif", ".gif"} <= opened_extensions()


DEEP = {
    "PNG, grey": png(0, 16, 1),
    "PNG, RGB": png(2, 16, 3),
    "PNG, grey and alpha": png(4, 16, 2),
    "PNG, RGBA": png(6, 16, 4),
    "PPM": b"P6 2 1 65535\n" + bytes(12),
    "plain PPM": b"P3 2 1 1023\n0 0 0 1 2 3\n",
    "PGM": b"P5 2 1 65535\n" + bytes(4),
    "TIFF, I": stored(Image.new("I", (2, 2)), "TIFF"),
    "TIFF, F": stored(Image.new("F", (2, 2)), "TIFF"),
}


@pytest.mark.parametrize("data", DEEP.values(), ids=DEEP.keys())
def test_more_than_8_bits_are_refused_also_where_pillow_would_cut_them(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^x.png: .*8 bits"):
        load_image(data, "x.png")


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_fewer_bits_are_accepted(depth: int) -> None:
    assert load_image(png(0, depth, 8 // depth), "x").size == (2, 2)


@pytest.mark.parametrize(
    ("mode", "remedy"),
    [("CMYK", "RGB"), ("YCbCr", "RGB"), ("LAB", "RGB"), ("HSV", "RGB"), ("La", "LA"), ("RGBa", "RGBA")],
)
def test_other_colour_modes_are_refused(mode: str, remedy: str) -> None:
    with pytest.raises(ImageError, match=f"{mode} .*{remedy}"):
        to_planes(Image.new(mode, (4, 4)))


def test_a_cmyk_file_is_refused_by_name() -> None:
    with pytest.raises(ImageError, match=r"^x.tif: .*CMYK"):
        load_image(stored(Image.new("CMYK", (4, 4)), "TIFF"), "x.tif")


def test_inks_of_a_jpeg_are_shown_as_rgb() -> None:
    image = load_image(stored(Image.new("CMYK", (4, 4), (9, 80, 200, 30)), "JPEG", icc_profile=bytes(200)), "x.jpg")
    planes = shown_planes(image)
    assert (planes.mode, planes.metadata.icc_profile) == ("RGB", b"")
    assert np.array_equal(planes.colour, np.asarray(image.convert("RGB")))
    with pytest.raises(ImageError, match="CMYK"):
        to_planes(image)


@pytest.mark.parametrize("file_format", ["GIF", "TIFF", "WEBP", "PNG"])
def test_several_frames_are_refused(file_format: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    with pytest.raises(ImageError, match=r"^x: 3 frames"):
        load_image(stored(frames[0], file_format, save_all=True, append_images=frames[1:]), "x")


def test_the_photograph_of_a_camera_file_with_two_views_is_coded() -> None:
    data = stored(picture("RGB"), "MPO", save_all=True, append_images=[picture("RGB")])
    assert load_image(data, "x").format == "MPO"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x: .*empty"),
        (b"this is text, not an image", "x: not an image"),
        (stored(picture("RGB"), "PNG")[:600], "x: .*cannot be read"),
        (stored(picture("RGB"), "JPEG")[:300], "x: .*cannot be read"),
        (stored(picture("RGB"), "PNG")[:20], "x: "),
    ],
)
def test_what_is_not_an_image_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=f"^{message}"):
        load_image(data, "x")


def test_every_cut_of_a_png_is_an_error() -> None:
    """Also where all pixels are there: what would follow them may be metadata."""
    data = stored(picture("RGB").crop((0, 0, 4, 4)), "PNG")
    for end in range(len(data)):
        with pytest.raises(ImageError, match=r"^x: "):
            load_image(data[:end], "x")
    assert_same(load_image(data + b"what programs append", "x"), picture("RGB").crop((0, 0, 4, 4)))


def test_an_image_that_pillow_has_only_opened_is_read() -> None:
    """With the metadata behind its pixels."""
    whole = stored(picture("RGB"), "PNG", exif=exif())
    start = whole.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(whole[start : start + 4], "big")
    moved = whole[:start] + whole[end:-12] + whole[start:end] + whole[-12:]
    assert to_planes(Image.open(BytesIO(moved))).metadata.exif == exif()
    with pytest.raises(ImageError, match="truncated"):
        to_planes(Image.open(BytesIO(whole[:600])))


def test_a_decompression_bomb_is_refused() -> None:
    with pytest.raises(ImageError, match=r"^x: .*decompression bomb"):
        load_image(png(0, 8, 1, side=30000), "x")


def test_a_large_photograph_is_no_reason_to_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    assert load_image(stored(picture("RGB"), "PNG"), "x").size == (24, 20)


def test_a_single_channel_is_grey() -> None:
    grey = noise(20, 24)
    assert np.array_equal(to_planes(grey[..., None]).colour, to_planes(grey).colour)
    assert to_planes(grey[..., None]).mode == "L"


@pytest.mark.parametrize(
    "array",
    [
        noise(20, 24, 5),
        noise(20, 24, 0),
        noise(2, 20, 24, 3),
        noise(20),
        noise(20, 24).astype(np.uint32),
        noise(20, 24).astype(bool),
    ],
)
def test_other_arrays_are_refused(array: Any) -> None:
    with pytest.raises(ImageError, match="uint8"):
        to_planes(array)


@pytest.mark.parametrize("empty", [Image.new("RGB", (0, 4)), np.zeros((4, 0, 3), np.uint8)])
def test_images_without_pixels_are_refused(empty: Any) -> None:
    with pytest.raises(ImageError, match="268435456"):
        to_planes(empty)


# --- writing


@pytest.mark.parametrize(
    ("name", "file_format"), [("a.png", "PNG"), ("a", "PNG"), ("-", "PNG"), ("a.b/c.TIFF", "TIFF"), ("a.jpg", "JPEG")]
)
def test_the_extension_picks_the_format(name: str, file_format: str) -> None:
    assert image_format(name) == file_format


@pytest.mark.parametrize("name", ["a.xyz", "a.psd", "a.ddpm"])
def test_an_extension_that_is_not_written_is_refused(name: str) -> None:
    with pytest.raises(OutputError, match=f"{name}: .*extension"):
        image_format(name)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "BMP"])
def test_formats_that_can_keep_the_pixels_do(file_format: str) -> None:
    assert_same(Image.open(BytesIO(save_image(picture("RGB"), file_format))), picture("RGB"))


def test_a_format_that_cannot_hold_the_image_is_an_error() -> None:
    with pytest.raises(OutputError, match=r"JPEG .*RGBA"):
        save_image(picture("RGBA"), "JPEG")


@pytest.mark.parametrize("file_format", ["TIFF", "AVIF"])
def test_exif_that_is_none_is_an_error_of_our_own(file_format: str) -> None:
    image = picture("RGB")
    image.info["exif"] = b"Exif\0\0junk that is no EXIF"
    with pytest.raises(OutputError, match=f"{file_format} cannot hold"):
        save_image(image, file_format)


def test_a_file_that_pillow_refuses_is_not_known_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture("RGB")
    content = save_image(image, "TIFF")
    assert is_kept(image, content)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert not is_kept(image, content)


def test_of_a_file_larger_than_pillow_takes_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match=r"^x: .*MAX_IMAGE_PIXELS"):
        load_image(stored(picture("RGB"), "PNG"), "x")
