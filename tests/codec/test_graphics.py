"""Images that lossless WebP makes smaller are stored so, bit-exactly, and never larger than that WebP by more than the
head; what a cut or damaged one shows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from file_sections import split
from PIL import Image, ImageDraw

from ddpmcodec import archive, codec
from ddpmcodec._native import CRC32_BYTES
from ddpmcodec.codec import encoder, graphics
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.errors import ChecksumError, CorruptError, TruncatedError
from ddpmcodec.format.ddpm import assemble
from ddpmcodec.format.header import Header
from ddpmcodec.formats.images import Planes, to_planes
from ddpmcodec.models.context import ContextModel

Picture = Callable[..., Image.Image]

HEAD = 32  # bytes: header, CRCs, and the check of the pixels
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def without_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """WebP is chosen less often besides repeats, which have tests of their own."""
    monkeypatch.setattr(graphics, "has_repeats", lambda *_: False)


def text(side: int = 96) -> Image.Image:
    image = Image.new("RGBA", (side, side // 2), (255, 255, 255, 255))
    draw = ImageDraw.Draw(image)
    for line in range(4):
        draw.text((3, 12 * line), "lossless graphics", fill=(20, 20, 60, 255))
    return image


def icon(side: int = 64) -> Image.Image:
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((6, 6, side - 7, side - 7), fill=(230, 60, 40, 255), outline=(90, 10, 0, 255), width=3)
    draw.rectangle((side // 3, side // 3, 2 * side // 3, 2 * side // 3), fill=(250, 250, 250, 180))
    return image


def screenshot() -> Image.Image:
    """Larger than what is coded before it is decided: windows, lines and letters."""
    image = Image.new("RGBA", (160, 120), (240, 240, 244, 255))
    draw = ImageDraw.Draw(image)
    for k in range(4):
        draw.rectangle((8 + 36 * k, 20, 38 + 36 * k, 100), fill=(255, 255, 255, 255), outline=(120, 120, 130, 255))
        draw.text((11 + 36 * k, 30 + 7 * k), "Open", fill=(0, 0, 0, 255))
    return image


def few_colours() -> Image.Image:
    y, x = np.mgrid[:60, :70]
    return Image.fromarray((40 * ((x // 5 + y // 7) % 4)).astype(np.uint8)).convert("RGBA")


DRAWN = {"text": text, "icon": icon, "screenshot": screenshot, "few colours": few_colours}


def webp_size(image: Image.Image) -> int:
    """Of what the highest effort of lossless WebP makes of the pixels."""
    planes, stream = to_planes(image), BytesIO()
    colour = planes.colour if planes.colour.shape[2] == 3 else np.repeat(planes.colour, 3, 2)
    whole = colour if planes.alpha is None else np.dstack([colour, planes.alpha])
    Image.fromarray(whole).save(stream, "WEBP", lossless=True, exact=True, method=6, quality=100)
    return len(stream.getvalue())


@pytest.mark.parametrize(
    ("name", "mode", "effort"),
    [
        *((name, mode, 1) for name in DRAWN for mode in ("RGB", "P")),
        *(("icon", mode, 1) for mode in ("1", "L", "LA", "RGBA")),
        ("text", "L", 1), ("screenshot", "RGBA", 1), ("text", "RGB", 3), ("few colours", "P", 3),
    ],
)  # fmt: skip
def test_graphics_come_back_exactly_and_take_no_more_than_webp(name: str, mode: str, effort: int) -> None:
    image = DRAWN[name]().convert(mode, dither=Image.Dither.NONE)
    data = codec.encode(image, effort=effort)
    assert len(data) <= webp_size(image) + HEAD
    found = codec.decode(data)
    expected = image.convert("RGBA" if image.has_transparency_data else "RGB") if mode == "P" else image
    assert found.mode == expected.mode
    assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("name", DRAWN)
def test_graphics_in_colour_are_stored_as_webp(name: str) -> None:
    data = codec.encode(DRAWN[name]())
    facts = codec.info(data)
    assert facts["coding"] == "lossless WebP"
    assert (facts["effort"], facts["levels"], facts["steps"], facts["model"]) == (None, None, None, None)
    assert facts["pixel_bytes"] == webp_size(DRAWN[name]()) + CRC32_BYTES


def rings() -> Image.Image:
    """Circles of rising grey levels."""
    y, x = np.mgrid[:96, :96]
    return Image.fromarray((6 * np.hypot(y - 38, x - 29) % 256).astype(np.uint8))


def repeated(picture: Picture) -> Image.Image:
    """A part of a photograph twice, one below the other: too far apart for a quick WebP."""
    return Image.fromarray(np.tile(np.asarray(picture("RGB", 80, 48)), (2, 1, 1)))


def grainy(picture: Picture) -> Image.Image:
    grain = np.random.default_rng(0).normal(0, 20, (40, 40, 3))
    return Image.fromarray((np.asarray(picture("RGB", 40, 40)) + grain).clip(0, 255).astype(np.uint8))


def by_the_model(image: Image.Image, levels: int) -> int:
    return len(codec.encode(image, effort=1, levels=levels))


def test_graphics_whose_levels_cost_more_than_webp_have_none() -> None:
    image = rings()
    assert by_the_model(image, 0) < webp_size(image) < 0.9 * by_the_model(image, 2)
    data, asked = codec.encode(image, effort=1), codec.encode(image, effort=1, levels=2)
    assert (codec.info(data)["coding"], codec.info(data)["levels"]) == ("context model", 0)
    assert data == codec.encode(image, effort=1, levels=0)
    assert codec.decode(data) == image
    assert codec.info(asked)["coding"] == "lossless WebP"
    plain, coloured = codec.encode_many([image, icon()], effort=1)
    assert (plain, codec.info(coloured)["coding"]) == (data, "lossless WebP")


def test_what_only_a_better_webp_finds_is_found(picture: Picture) -> None:
    image = repeated(picture)
    assert webp_size(image) < 0.95 * by_the_model(image, 2)
    assert len(codec.encode(image, effort=1)) <= webp_size(image) + HEAD


def test_previews_of_photographs_are_worth_a_few_percent(picture: Picture) -> None:
    image = grainy(picture)
    coded = by_the_model(image, 2)
    assert 0.97 * coded < len(graphics.pack(to_planes(image))) < coded
    assert by_the_model(image, 0) < 0.96 * coded
    facts = codec.info(codec.encode(image, effort=1))
    assert (facts["coding"], facts["levels"]) == ("context model", 1)


def test_without_levels_the_smaller_file_is_taken(picture: Picture) -> None:
    for image in (grainy(picture), rings(), icon()):
        smallest = min(by_the_model(image, 0), len(graphics.pack(to_planes(image))) + HEAD)
        assert len(codec.encode(image, effort=1, levels=0)) <= smallest


def test_photographs_are_not(picture: Picture) -> None:
    for mode in ("L", "RGB"):
        image = picture(mode, 68, 70)
        data = codec.encode(image)
        assert codec.info(data)["coding"] == "context model"
        assert len(data) < webp_size(image)


def test_noise_is_not_tried_at_the_highest_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which would take forty times as long as coding it."""
    tried, webp = [], graphics._webp

    def told(planes: Planes, rows: slice = slice(None), *, method: int, quality: int) -> bytes:
        tried.append(method)
        return webp(planes, rows, method=method, quality=quality)

    monkeypatch.setattr(graphics, "_webp", told)
    for shape in ((120, 130), (120, 130, 3), (120, 130, 4)):
        noise = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
        data = codec.encode(noise, effort=1)
        assert np.array_equal(codec.decode(data), noise)
        assert len(data) < 1.01 * noise.size
    assert 6 not in tried


def test_clear_graphics_are_not_coded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> object:
        raise AssertionError("coded by the context model")

    planes = to_planes(screenshot())
    assert graphics.is_clearly_graphics(planes, encoder.registry.default(160 * 120))
    expected = codec.encode(screenshot())
    monkeypatch.setattr(encoder, "encode_tiles", refuse)
    assert codec.encode(screenshot()) == expected


def test_colours_under_transparent_pixels_are_kept() -> None:
    pixels = np.random.default_rng(1).integers(0, 3, (24, 24, 4), dtype=np.uint8) * 80
    pixels[..., 3] = np.where(pixels[..., 3] > 80, 255, 0)
    data = codec.encode(pixels)
    assert codec.info(data)["coding"] == "lossless WebP"
    assert np.array_equal(np.asarray(codec.decode(data)), pixels)


def test_metadata_is_kept_unless_stripped(webp: bytes) -> None:
    assert codec.info(webp)["coding"] == "lossless WebP"
    found = codec.decode(webp)
    assert (found.info["icc_profile"], found.info["exif"]) == (b"profile", b"Exif\0\0MM")
    image = Image.new("RGBA", (30, 20), (250, 120, 7, 255))
    image.info.update(icc_profile=b"profile")
    assert codec.decode(codec.encode(image, strip=True)).info == {}


def test_an_image_that_webp_does_not_hold_is_coded_by_the_model() -> None:
    line = np.zeros((1, 16384), np.uint8)
    data = codec.encode(line, effort=1)
    assert codec.info(data)["coding"] == "context model"
    assert np.array_equal(np.asarray(codec.decode(data)), line)


def test_graphics_need_no_model(webp: bytes, context_path: object) -> None:
    assert codec.decode(webp, model=context_path) == codec.decode(webp)  # type: ignore[arg-type]


def test_progress_of_graphics_ends(webp: bytes) -> None:
    reported: list[float] = []
    codec.encode(screenshot(), progress=reported.append)
    assert sum(reported) == pytest.approx(2 * 160 * 120)


# --- prefixes and damage


def test_every_strict_prefix_is_refused_and_shows_the_mean_colour(webp: bytes) -> None:
    facts, image = codec.info(webp), codec.decode(webp)
    mean = np.rint(np.asarray(image, float)[..., :3].mean((0, 1)))
    end = len(webp) - facts["metadata_bytes"]
    for size in range(facts["header_bytes"], len(webp), 3):
        with pytest.raises(TruncatedError):
            codec.decode(webp[:size])
        found = decode_details(webp[:size], partial=True)
        assert (found.exact, found.damaged, found.image.mode, found.image.size) == (False, False, "RGBA", (30, 20))
        if size < end:
            assert (np.asarray(found.image)[..., :3] == mean).all()
            assert (np.asarray(found.image)[..., 3] == 255).all()
        else:
            assert np.array_equal(found.image, image)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB"])
def test_previews_keep_the_mode(mode: str) -> None:
    data = codec.encode(few_colours().convert(mode))
    if codec.info(data)["coding"] == "context model":
        pytest.skip("smaller with the context model")
    assert codec.decode(data[:-1], partial=True).mode == mode


def test_a_whole_file_is_exact_with_partial_or_a_step_too(webp: bytes) -> None:
    for options in ({"partial": True}, {"step": 0}, {"step": 1}):
        found = decode_details(webp, **options)  # type: ignore[arg-type]
        assert found.exact
        assert found.steps_done == found.steps == 1
        assert np.array_equal(found.image, codec.decode(webp))


def test_it_is_cut_to_bytes_and_to_steps(webp: bytes) -> None:
    header = codec.info(webp)["header_bytes"]
    assert codec.truncate(webp, bytes=header + 7) == webp[:header]
    assert codec.truncate(webp, step=0) == webp[:header]
    assert codec.truncate(webp, step=1) == webp
    with pytest.raises(TruncatedError):
        codec.truncate(webp[:-1], step=1)


def test_a_damaged_payload_is_found_and_shows_the_mean_colour(webp: bytes) -> None:
    file = split(webp)
    place = file.start + len(file.chunks[0]) - 10
    damaged = webp[:place] + bytes([webp[place] ^ 255]) + webp[place + 1 :]
    with pytest.raises((CorruptError, ChecksumError)):
        codec.decode(damaged)
    found = decode_details(damaged, partial=True)
    assert (found.exact, found.damaged) == (False, True)
    assert len(np.unique(np.asarray(found.image).reshape(-1, 4), axis=0)) == 1


def test_a_wrong_check_of_the_pixels_is_found(webp: bytes) -> None:
    start = split(webp).start
    damaged = webp[:start] + bytes([webp[start] ^ 1]) + webp[start + 1 :]
    with pytest.raises(ChecksumError, match="another image"):
        codec.decode(damaged)


def payload_of(image: Image.Image, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, **options)  # type: ignore[arg-type]
    return bytes(4) + stream.getvalue()


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (payload_of(Image.new("RGB", (5, 4)), format="PNG"), "does not decode"),
        (payload_of(Image.new("RGB", (4, 5)), format="WEBP", lossless=True), "4 x 5 pixels"),
        (b"", "no beginning"),
        (bytes(40), "does not decode"),
    ],
    ids=["a PNG", "another size", "nothing", "zeros"],
)
def test_a_payload_that_is_no_webp_of_the_size_is_corrupt(payload: bytes, text: str) -> None:
    data = assemble(Header("RGB", 5, 4, kind="webp", mean_colour=b"abc"), b"", payload, b"")
    with pytest.raises(CorruptError, match=text):
        codec.decode(data)


def test_decoding_in_threads_leaves_the_filters_of_warnings_alone() -> None:
    data = codec.encode(few_colours())
    assert split(data).header.is_stored
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as executor:
        assert len(list(executor.map(codec.decode, [data] * 200))) == 200
    assert warnings.filters == before


def test_large_images_are_no_reason_to_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    image = few_colours()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = codec.encode(image)
        assert split(data).header.is_stored
        assert codec.decode(data) == image


def test_images_that_pillow_would_not_read_are_not_stored_as_webp(
    monkeypatch: pytest.MonkeyPatch, model: ContextModel
) -> None:
    image = few_colours()
    monkeypatch.setattr(graphics, "DEFAULT_MAX_PIXELS", image.width * image.height - 1)
    data = codec.encode(image, model=model)
    assert not split(data).header.is_stored
    assert codec.decode(data, model=model) == image


@pytest.mark.parametrize("turned", [False, True])
def test_no_orientation_hides_what_webp_makes_smaller(turned: bool) -> None:
    """Slopes that come again after 200 rows: of this long, thin image a fair WebP has twenty times the bytes of the
    best one, and more than the model takes."""
    draw = np.random.default_rng(3)
    grey = 128 + draw.integers(-2, 3, (200, 1, 1)).cumsum(0)
    rows = (grey + draw.integers(0, 2, (200, 3, 3)).cumsum(2)).clip(0, 255).astype(np.uint8)
    pixels = np.tile(rows, (25, 1, 1))
    planes = to_planes(np.ascontiguousarray(pixels.transpose(1, 0, 2)) if turned else pixels)
    assert len(codec.encode(planes.colour, effort=1, verify=False)) <= len(graphics.pack(planes)) + HEAD


def test_all_is_left_to_the_model_on_request(model: ContextModel) -> None:
    for image in (icon(), few_colours()):
        data = codec.encode(image, model=model, effort=1)
        assert codec.info(data)["coding"] == "context model"
        assert np.array_equal(codec.decode(data, model=model, as_array=True), np.asarray(image))
        assert codec.encode_many([image], model=model, effort=1) == [data]
    together = archive.create([("icon.png", icon()), ("text.png", text())], model=model)
    facts = archive.describe(together)
    assert facts["images_on_stacks"] == 1, "the larger one is a file of its own"
    assert len(together) > len(archive.create([("icon.png", icon()), ("text.png", text())], model=model))


def test_at_effort_0_only_patches_of_a_photograph_are_stored_as_webp(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole WebP would take more time than all else."""
    photo = np.asarray(Image.open(Path(__file__).parents[2] / "docs" / "photo.png").convert("RGB"))
    image = np.concatenate([photo, photo[::-1, ::-1]])
    pixels, webp = list[int](), graphics._webp

    def counted(planes: Planes, *rows: slice, method: int, quality: int) -> bytes:
        pixels.append(planes.colour[..., 0].size)
        return webp(planes, *rows, method=method, quality=quality)

    monkeypatch.setattr(graphics, "_webp", counted)
    data = codec.encode(image, effort=0, verify=False)
    assert codec.info(data)["coding"] == "context model"
    assert 0 < sum(pixels) < image[..., 0].size / 2
