"""Encoders of libddpm through ddpm.h: what they write decodes to what they were given, by models that they name."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import byref, c_size_t, c_void_p, sizeof
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ddpmcodec
from ddpmcodec import models
from installed import Decoder as DecoderOf
from installed import (
    EncodeOptions,
    Encoder,
    Event,
    Failed,
    Fault,
    Info,
    Installed,
    Mode,
    Picture,
    Section,
)

ROOT = Path(__file__).parents[2]
JPEGS = ROOT / "tests" / "fixtures" / "jpegs"
CHANNELS = {Mode.GREY: 1, Mode.RGB: 3, Mode.GREY_ALPHA: 2, Mode.RGBA: 4, Mode.BILEVEL: 1}


def drawing(height: int, width: int, mode: Mode, bits: int = 8) -> NDArray[Any]:
    """[H, W, C] of a smooth picture with noise, which uses all bits."""
    y, x, c = np.ogrid[:height, :width, : CHANNELS[mode]]
    noise = np.random.Generator(np.random.Philox(3)).random((height, width, CHANNELS[mode]))
    values = (0.5 + 0.4 * np.sin(x / 5 + y / 7 + c) + 0.1 * noise) * (2**bits - 1)
    if mode == Mode.BILEVEL:
        return np.where(values > 127, 255, 0).astype(np.uint8)
    return values.astype(np.uint8 if bits == 8 else np.uint16)


def photograph(width: int, height: int) -> Image.Image:
    with Image.open(ROOT / "docs" / "photo.png") as photo:
        return photo.convert("RGB").crop((0, 0, width, height))


def jpeg(orientation: int = 1) -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x112] = orientation
    photograph(64, 40).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def failure(action: Callable[[], object]) -> int:
    """The kind of error that an action ends in."""
    with pytest.raises(Failed) as caught:
        action()
    return caught.value.kind


def completed(encoder: Encoder, *needed: c_void_p, seconds: float = 1e9) -> bytes:
    """The file. needed: embedded models by number from 1 on."""
    while (event := encoder.advance(seconds)) != Event.DONE:
        if event == Event.NEED_MODEL:
            encoder.call("set_model", needed[encoder.function("model_number")(encoder.pointer) - 1])
    return encoder.file


@pytest.fixture(scope="module")
def embedded(installed: Installed, cifar10_model: c_void_p, photo_model: c_void_p) -> tuple[c_void_p, ...]:
    return cifar10_model, photo_model, installed.model(models.read(models.JPEG))


@pytest.fixture
def encoder(installed: Installed, tiny: c_void_p) -> Encoder:
    """Of effort 1, by the model of the golden files."""
    encoder = Encoder(installed, has_effort=1, effort=1)
    encoder.call("set_model", tiny)
    return encoder


# --- pixels


@pytest.mark.parametrize(
    ("mode", "bits"), [*((mode, 8) for mode in Mode), (Mode.GREY, 12), (Mode.RGBA, 16), (Mode.GREY_ALPHA, 9)]
)
@pytest.mark.parametrize("layout", ["without gaps", "planes", "gaps", "columns"])
def test_pixels_come_back_however_they_lie(
    installed: Installed, tiny: c_void_p, encoder: Encoder, mode: Mode, bits: int, layout: str
) -> None:
    values = drawing(11, 15, mode, bits)
    height, width, channels = values.shape
    fields: dict[str, Any] = {"bits": bits if bits > 8 else 0}
    given: NDArray[Any] = values
    if layout == "planes":
        planes = [np.ascontiguousarray(values[..., k]) for k in range(channels)]
        fields |= {"planes": planes, "size": planes[0].nbytes}
    elif layout == "gaps":
        given = np.full((height, width + 2, channels + 1), 77, values.dtype)
        given[:, :width, :channels] = values
        fields |= {"row_stride": given.strides[0], "pixel_stride": given.strides[1]}
    elif layout == "columns":
        given = np.ascontiguousarray(values.transpose(1, 0, 2)).transpose(1, 0, 2)
        fields |= {"row_stride": given.strides[0], "pixel_stride": given.strides[1]}
    encoder.set_picture(given[:, :width], mode, **({"size": given.nbytes} | fields))
    decoder = DecoderOf(installed)
    assert decoder.decode(completed(encoder), tiny).is_exact
    info = decoder.filled("info", Info)
    assert (info.mode, info.sample_bits, info.effort) == (mode, bits, 1)
    assert np.array_equal(decoder.samples() if bits > 8 else decoder.pixels(), values)


def test_metadata_and_orientation(installed: Installed, tiny: c_void_p) -> None:
    tags = Image.Exif()
    tags[0x112] = 6
    exif = tags.tobytes()
    for orientation, found in [(0, 6), (3, 3)]:
        encoder = Encoder(installed, has_effort=1, effort=1)
        encoder.call("set_model", tiny)
        values = drawing(9, 8, Mode.RGB)
        encoder.set_picture(values, Mode.RGB, icc=b"a\0profile", exif=exif, xmp=b"<x/>", orientation=orientation)
        decoder = DecoderOf(installed)
        decoder.decode(completed(encoder), tiny)
        assert [decoder.section(kind) for kind in (Section.ICC, Section.EXIF, Section.XMP)] == [
            b"a\0profile",
            exif,
            b"<x/>",
        ]
        assert decoder.filled("info", Info).orientation == found


def test_embedded_models_are_asked_for_and_the_file_is_that_of_python(
    installed: Installed, embedded: tuple[c_void_p, ...], tiny: c_void_p
) -> None:
    for size, asked in [((32, 32), 1), ((80, 60), 2)]:
        image = photograph(*size)
        encoder = Encoder(installed)
        encoder.set_picture(np.array(image), Mode.RGB)
        number = encoder.function("model_number")
        assert number(encoder.pointer) == 0
        assert encoder.advance() == Event.NEED_MODEL == encoder.advance()
        assert number(encoder.pointer) == asked
        for wrong in (tiny, embedded[asked]):
            assert encoder.function("set_model")(encoder.pointer, wrong) == Fault.MODEL
        assert completed(encoder, *embedded) == ddpmcodec.encode(image)
        assert number(encoder.pointer) == 0


@pytest.mark.parametrize("options", [{"has_effort": 1}, {"has_levels": 1, "levels": 5}, {"tile": 64}, {"no_verify": 1}])
def test_options_are_those_of_python(
    installed: Installed, embedded: tuple[c_void_p, ...], options: dict[str, int]
) -> None:
    image = photograph(100, 70)
    encoder = Encoder(
        installed, **{"has_effort": 1, "effort": 1, **options} if "has_effort" not in options else options
    )
    encoder.set_picture(np.array(image), Mode.RGB)
    wanted: dict[str, Any] = {"effort": 0 if "has_effort" in options else 1}
    wanted |= {name: options[name] for name in ("levels", "tile") if name in options}
    assert completed(encoder, *embedded) == ddpmcodec.encode(image, **wanted)


# --- JPEG files


def test_a_jpeg_file_comes_back_byte_for_byte(installed: Installed, embedded: tuple[c_void_p, ...]) -> None:
    for file in (jpeg(8), (JPEGS / "progressive-restarts.jpg").read_bytes()):
        encoder = Encoder(installed, has_effort=1, effort=1)
        encoder.set_file(file)
        assert encoder.advance() == Event.NEED_MODEL
        assert encoder.function("model_number")(encoder.pointer) == models.NUMBERS[models.JPEG]
        data = completed(encoder, *embedded)
        assert data == ddpmcodec.encode(io.BytesIO(file), effort=1)
        decoder = DecoderOf(installed)
        assert not decoder.decode(data, embedded[2]).is_damaged
        assert decoder.section(Section.PAYLOAD) == file
        assert decoder.filled("info", Info).orientation == ddpmcodec.info(data)["orientation"]


def test_other_files_are_refused_and_another_image_may_be_set(
    installed: Installed, embedded: tuple[c_void_p, ...]
) -> None:
    encoder, file = Encoder(installed), jpeg()
    for other, kinds in [
        (b"", {Fault.FORMAT}),
        (b"\x89PNG\r\n\x1a\n", {Fault.FORMAT}),
        ((JPEGS / "arithmetic.jpg").read_bytes(), {Fault.FORMAT}),
        ((JPEGS / "twelve-bits.jpg").read_bytes(), {Fault.FORMAT}),
        (file[:200], {Fault.FORMAT, Fault.TRUNCATED}),
    ]:
        assert failure(lambda other=other: encoder.set_file(other)) in kinds
    encoder.set_file(file)
    assert failure(lambda: encoder.set_file(file)) == Fault.ARGUMENT
    assert completed(encoder, *embedded)


# --- work


def test_work_is_done_in_slices_of_time_by_any_threads(installed: Installed, embedded: tuple[c_void_p, ...]) -> None:
    files, values = set(), np.array(photograph(300, 240))  # of several streams
    for threads in (1, 3):
        encoder = Encoder(installed, has_effort=1, effort=1, threads=threads)
        encoder.set_picture(values, Mode.RGB)
        done = [0.0]
        while (event := encoder.advance(0)) != Event.DONE:
            if event == Event.NEED_MODEL:
                encoder.call("set_model", embedded[1])
            done.append(encoder.function("progress")(encoder.pointer))
        assert done == sorted(done)
        assert 0 < done[len(done) // 2] < 1
        assert encoder.function("progress")(encoder.pointer) == 1
        assert encoder.advance() == Event.DONE
        files.add(encoder.file)
    assert len(files) == 1


def test_threads_may_use_different_encoders_and_share_models(
    installed: Installed, embedded: tuple[c_void_p, ...]
) -> None:
    def encode(number: int) -> bytes:
        encoder = Encoder(installed, has_effort=1, effort=1)
        encoder.set_picture(np.array(photograph(70 + number % 2, 61)), Mode.RGB)
        return completed(encoder, *embedded)

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(encode, range(8)))) == 2


def test_an_encoder_may_be_freed_in_the_middle(installed: Installed, embedded: tuple[c_void_p, ...]) -> None:
    encoder = Encoder(installed, threads=2)
    encoder.set_picture(np.array(photograph(300, 240)), Mode.RGB)
    encoder.advance()
    encoder.call("set_model", embedded[1])
    assert encoder.advance(0) == Event.MORE
    assert failure(lambda: encoder.file) == Fault.ARGUMENT


# --- errors


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"struct_size": 0}, Fault.ARGUMENT),
        ({"struct_size": 1 << 20}, Fault.ARGUMENT),
        ({"mode": 5}, Fault.ARGUMENT),
        ({"mode": Mode.BILEVEL}, Fault.ARGUMENT),  # values other than 0 and 255
        ({"bits": 7}, Fault.ARGUMENT),
        ({"bits": 17}, Fault.ARGUMENT),
        ({"bits": 16}, Fault.ARGUMENT),  # the buffer has bytes for 8
        ({"bits": 9, "size": 1000}, Fault.ARGUMENT),  # samples of more bits
        ({"orientation": 9}, Fault.ARGUMENT),
        ({"size": 83}, Fault.ARGUMENT),
        ({"row_stride": 13}, Fault.ARGUMENT),
        ({"pixel_stride": 2}, Fault.ARGUMENT),
        ({"row_stride": 1 << 63, "pixel_stride": 1 << 63}, Fault.ARGUMENT),
        ({"icc_size": 3}, Fault.ARGUMENT),
        ({"width": 0}, Fault.IMAGE),
        ({"height": 0}, Fault.IMAGE),
        ({"width": 1 << 31, "height": 1 << 31, "size": 1 << 63}, Fault.IMAGE),
        ({"width": 1 << 14, "height": (1 << 14) + 1, "size": 1 << 63}, Fault.IMAGE),
        ({"exif": bytes(1), "exif_size": 1 << 40}, Fault.IMAGE),
    ],
)
def test_wrong_pictures(encoder: Encoder, fields: dict[str, Any], kind: int) -> None:
    values = drawing(7, 12, Mode.GREY)
    room = np.full(2000, 255, np.uint8)  # for a size that is larger than the picture
    room[: values.size] = values.ravel()
    picture = Picture(**{"struct_size": sizeof(Picture), "width": 12, "height": 7, "size": values.nbytes, **fields})
    picture.planes[0] = room.ctypes.data
    assert failure(lambda: encoder.call("set_picture", byref(picture))) == kind
    encoder.set_picture(values, Mode.GREY)
    assert completed(encoder)


def test_planes_are_as_many_as_channels(encoder: Encoder) -> None:
    plane = drawing(5, 5, Mode.GREY)
    for mode, planes in [(Mode.GREY, 2), (Mode.RGB, 2), (Mode.RGB, 4), (Mode.RGBA, 3), (Mode.RGB, 0)]:
        given = {"planes": [plane] * planes}
        assert failure(lambda mode=mode, given=given: encoder.set_picture(plane, mode, **given)) == Fault.ARGUMENT


def test_more_metadata_than_a_file_holds_are_refused_before_anything_is_coded(encoder: Encoder) -> None:
    assert failure(lambda: encoder.set_picture(drawing(5, 5, Mode.GREY), Mode.GREY, xmp=bytes(9 << 20))) == Fault.IMAGE


@pytest.mark.parametrize(
    "options",
    [
        {"struct_size": 2}, {"has_effort": 1, "effort": 4}, {"has_levels": 1, "levels": 3}, {"tile": 65}, {"tile": 48},
        {"tile": 1 << 31}, {"threads": 1025},
    ],
)  # fmt: skip
def test_wrong_options(installed: Installed, options: dict[str, int]) -> None:
    encoder = Encoder(installed)
    given = EncodeOptions(**{"struct_size": sizeof(EncodeOptions), **options})
    assert failure(lambda: encoder.call("set_options", byref(given))) == Fault.ARGUMENT


def test_calls_out_of_order(installed: Installed, encoder: Encoder, tiny: c_void_p) -> None:
    values = drawing(5, 5, Mode.GREY)
    options = EncodeOptions(sizeof(EncodeOptions))
    assert failure(encoder.advance) == Fault.ARGUMENT
    assert failure(lambda: encoder.file) == Fault.ARGUMENT
    encoder.set_picture(values, Mode.GREY)
    assert encoder.advance() == Event.DONE
    for late in (
        lambda: encoder.call("set_options", byref(options)),
        lambda: encoder.set_picture(values, Mode.GREY),
        lambda: encoder.set_file(jpeg()),
        lambda: encoder.call("set_model", tiny),
        lambda: encoder.call("set_model", None),
        lambda: encoder.call("file", None, None),
    ):
        assert failure(late) == Fault.ARGUMENT
    assert encoder.file


def test_a_model_of_another_kind_codes_no_image(
    installed: Installed, encoder: Encoder, embedded: tuple[c_void_p, ...]
) -> None:
    encoder.set_file(jpeg())
    assert failure(encoder.advance) == Fault.MODEL == failure(encoder.advance)
    other = Encoder(installed)
    other.call("set_model", embedded[2])
    other.set_picture(drawing(5, 5, Mode.GREY), Mode.GREY)
    assert failure(other.advance) == Fault.MODEL


def test_null_is_an_error_everywhere(installed: Installed, encoder: Encoder) -> None:
    library = installed.library
    for name in ("set_options", "set_picture", "set_model"):
        assert encoder.function(name)(None, None) == encoder.function(name)(encoder.pointer, None) == Fault.ARGUMENT
    assert library.ddpm_encoder_set_file(None, b"", c_size_t(0)) == Fault.ARGUMENT
    assert library.ddpm_encoder_set_file(encoder.pointer, None, c_size_t(1)) == Fault.ARGUMENT
    assert library.ddpm_encoder_file(None, None, None) == Fault.ARGUMENT
    assert library.ddpm_encoder_advance(None, 0.0) == Event.ERROR
    assert library.ddpm_encoder_progress(None) == library.ddpm_encoder_model_number(None) == 0
    assert library.ddpm_encoder_error(None, None)
    library.ddpm_encoder_free(None)
