"""libddpm through ddpm.h: events, results, errors, and no crash."""

from __future__ import annotations

import ctypes
import io
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from ctypes import byref, c_int, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ddpmcodec
from ddpmcodec import codec, models
from ddpmcodec.models import NUMBERS
from installed import (
    GOLDEN,
    READ_FUNCTION,
    TINY,
    Decoder,
    Event,
    Failed,
    Fault,
    Info,
    Installed,
    Layout,
    Plan,
    Section,
    Verdict,
    golden_pixels,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def golden(name: str) -> bytes:
    return (GOLDEN / "v2" / f"{name}.ddpm").read_bytes()


def photograph(width: int, height: int) -> Image.Image:
    with Image.open(EXAMPLES.parent / "docs" / "photo.png") as photo:
        return photo.convert("RGB").crop((0, 0, width, height))


def failure(action: Callable[[], object]) -> int:
    """The kind of error that an action ends in."""
    with pytest.raises(Failed) as caught:
        action()
    return caught.value.kind


# --- what is installed


def test_only_functions_of_the_header_are_exported(installed: Installed) -> None:
    if shutil.which("nm") is None:
        pytest.skip("no nm here: apt install binutils")
    command = ["nm", "-D", "--defined-only", installed.shared]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    declared = re.findall(r"^DDPM_API [^(]*?(\w+)\(", installed.header.read_text(), re.MULTILINE)
    assert {line.split()[-1] for line in listed.stdout.splitlines()} == set(declared)


def test_version_and_names(installed: Installed) -> None:
    assert installed.library.ddpm_version().decode() == ddpmcodec.__version__
    assert installed.shared.resolve().name == f"libddpm.so.{ddpmcodec.__version__}"


def test_embedded_models_are_named_and_installed(installed: Installed) -> None:
    names = [installed.library.ddpm_model_name(number) for number in range(len(NUMBERS) + 2)]
    assert names == [None, *(name.encode() for name in NUMBERS), None]
    assert {file.stem for file in (installed.prefix / "share" / "ddpm" / "models").iterdir()} >= NUMBERS.keys()


@pytest.mark.parametrize("language", [["-x", "c", "-std=c99"], ["-x", "c++", "-std=c++11"]])
def test_the_header_compiles_alone(installed: Installed, language: list[str]) -> None:
    command = ["c++", *STRICT[1:], *language, "-fsyntax-only", installed.header]
    subprocess.run(command, check=True)


def program(installed: Installed, folder: Path, name: str, linking: str) -> tuple[Path, dict[str, str]]:
    """An example, compiled as docs/c.md describes, and the environment that it runs in."""
    if missing := [tool for tool in ("pkg-config", "cc") if shutil.which(tool) is None]:
        pytest.skip(f"no {' and no '.join(missing)} here")
    command = ["pkg-config", "--static", "--cflags", "--libs", "ddpm"]
    command = command if linking == "static" else [part for part in command if part != "--static"]
    environment = {**os.environ, "PKG_CONFIG_PATH": str(installed.shared.parent / "pkgconfig")}
    options = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    if linking == "static":
        options = [str(installed.shared.with_suffix(".a")) if option == "-lddpm" else option for option in options]
    subprocess.run(["cc", *STRICT, EXAMPLES / f"{name}.c", "-o", folder / name, *options], check=True)
    return folder / name, {"LD_LIBRARY_PATH": str(installed.shared.parent)} if linking == "shared" else {}


@pytest.mark.parametrize("linking", ["shared", "static"])
def test_the_example_decodes(installed: Installed, tmp_path: Path, linking: str) -> None:
    command, environment = program(installed, tmp_path, "decode", linking)
    assert len((EXAMPLES / "decode.c").read_text().splitlines()) <= 40
    with (GOLDEN / "v2" / "photo-2.ddpm").open("rb") as source, (tmp_path / "a.ppm").open("wb") as target:
        subprocess.run([command, TINY], stdin=source, stdout=target, env=environment, check=True)
    with Image.open(tmp_path / "a.ppm") as image:
        assert np.array_equal(image, golden_pixels("v2/photo.png"))


def test_the_example_encodes(installed: Installed, tmp_path: Path) -> None:
    command, environment = program(installed, tmp_path, "encode", "shared")
    models, (jpeg, data) = installed.prefix / "share" / "ddpm" / "models", (tmp_path / "a.jpg", tmp_path / "a.ddpm")
    photograph(90, 60).save(jpeg)
    subprocess.run([command, models, jpeg, data], env=environment, check=True, stdout=subprocess.DEVNULL)
    assert installed.run("--original", data, "-").stdout == jpeg.read_bytes()
    other = subprocess.run([command, models, EXAMPLES / "encode.c", data], env=environment, capture_output=True)
    assert (other.returncode, b"JPEG" in other.stderr) == (1, True)


# --- decoding


def test_bytes_may_arrive_in_any_pieces(installed: Installed, tiny: c_void_p) -> None:
    data, exact = golden("tiles-2"), golden_pixels("v2/tiles.png")
    decoder, errors = Decoder(installed), list[float]()
    for byte in range(0, len(data), 5):
        decoder.feed(data[byte : byte + 5])
        while (event := decoder.advance()) not in (Event.NEED_BYTES, Event.DONE):
            if event == Event.NEED_MODEL:
                decoder.call("set_model", tiny)
            elif event == Event.PREVIEW:
                errors.append(float(np.abs(decoder.pixels() - exact.astype(float)).mean()))
    decoder.call("finish")
    assert decoder.advance() == Event.DONE == decoder.advance()
    assert np.array_equal(decoder.pixels(), exact)
    assert decoder.filled("verdict", Verdict).is_exact
    assert len(errors) > 3
    assert errors[-1] < errors[0]


def test_work_is_done_in_slices_of_time(installed: Installed, photo_model: c_void_p) -> None:
    image = photograph(300, 200)
    decoder = Decoder(installed, threads=2)
    decoder.feed(codec.encode(image, effort=1))
    decoder.call("finish")
    events = [decoder.advance(0)]
    decoder.call("set_model", photo_model)
    while events[-1] != Event.DONE:
        events.append(decoder.advance(0))
    assert (events[0], set(events[1:-1])) == (Event.NEED_MODEL, {Event.MORE})
    assert np.array_equal(decoder.pixels(), image)


def test_a_reader_gives_the_tiles_that_a_box_touches(installed: Installed, tiny: c_void_p) -> None:
    data, read = golden("tiles-2"), list[tuple[int, int]]()

    @READ_FUNCTION
    def reader(user: int, offset: int, buffer: int, size: int) -> int:
        assert user == 12345
        read.append((offset, size))
        ctypes.memmove(buffer, data[offset : offset + size], size)
        return 0

    decoder = Decoder(installed, left=1, top=2, width=9, height=4, threads=3)
    decoder.call("set_reader", c_uint64(len(data)), reader, c_void_p(12345))
    assert decoder.advance() == Event.NEED_MODEL
    decoder.call("set_model", tiny)
    assert decoder.advance() == Event.DONE
    assert np.array_equal(decoder.pixels(), golden_pixels("v2/tiles.png")[2:6, 1:10])
    verdict = decoder.filled("verdict", Verdict)
    assert verdict.is_exact
    assert verdict.bytes_used < len(data)
    assert len(read) > 1


def test_a_reader_that_fails(installed: Installed) -> None:
    reader = READ_FUNCTION(lambda *_: 1)
    decoder = Decoder(installed, partial=1)
    decoder.call("set_reader", c_uint64(100), reader, None)
    assert failure(decoder.advance) == Fault.READ
    assert failure(decoder.advance) == Fault.READ


def test_info_and_layout(installed: Installed) -> None:
    data = golden("alpha-3")
    decoder = Decoder(installed, left=2, top=0, width=9, height=8, scale=4)
    decoder.feed(data)
    assert decoder.advance() == Event.NEED_MODEL
    info, layout, facts = decoder.filled("info", Info), decoder.filled("layout", Layout), codec.info(data)
    assert (info.width, info.height, info.effort, info.levels) == (facts["width"], facts["height"], 3, 5)
    assert (info.channels, info.has_alpha, info.bits, info.file_length) == (4, 1, 8, len(data))
    assert info.model_id.to_bytes(4, "little").hex() == facts["model_id"][:8]
    assert (layout.width, layout.height, layout.channels, layout.stride, layout.size) == (3, 2, 4, 12, 24)


def test_rows_may_have_gaps(installed: Installed, tiny: c_void_p) -> None:
    for name in ("grey", "grey-alpha", "photo", "alpha"):
        decoder = Decoder(installed)
        decoder.decode(golden(f"{name}-2"), tiny)
        exact = golden_pixels(f"v2/{name}.png")
        assert np.array_equal(decoder.pixels(gap=5).reshape(exact.shape), exact)
    layout = decoder.filled("layout", Layout)
    small = ctypes.create_string_buffer(layout.size)
    size, stride = layout.size, layout.stride
    for sizes in [(size - 1, 0), (size, stride + 1), (size, stride - 1), (1 << 62, 1 << 63)]:
        arguments = map(c_size_t, sizes)
        assert failure(lambda arguments=arguments: decoder.call("pixels", small, *arguments)) == Fault.ARGUMENT


def test_samples_have_all_bits(installed: Installed, cifar10_model: c_void_p) -> None:
    data = (GOLDEN / "v1" / "deep.ddpm").read_bytes()
    exact = codec.decode(data, as_array=True)
    for plan, expected in [({}, exact), ({"left": 3, "top": 2, "width": 9, "height": 8}, exact[2:10, 3:12])]:
        decoder = Decoder(installed, **plan)
        decoder.decode(data, cifar10_model)
        info = decoder.filled("info", Info)
        assert (info.bits, info.sample_bits) == (12, 16)
        assert np.array_equal(decoder.samples(gap=3), expected)
        assert np.array_equal(decoder.pixels(), expected >> 4)
    preview = Decoder(installed, has_step=1, step=2)
    preview.decode(data, cifar10_model)
    assert np.array_equal(preview.samples(), codec.decode(data, step=2, as_array=True))
    reduced = Decoder(installed, scale=4)
    reduced.decode(data, cifar10_model)
    assert np.array_equal(reduced.samples(), reduced.pixels() * np.uint16(16) + 8)


def test_samples_of_eight_bits_are_pixels(installed: Installed, tiny: c_void_p) -> None:
    for name in ("grey", "alpha"):
        decoder = Decoder(installed)
        decoder.decode(golden(f"{name}-2"), tiny)
        assert decoder.filled("info", Info).sample_bits == 8
        assert np.array_equal(decoder.samples(), decoder.pixels())
    samples = (ctypes.c_uint16 * 5)()
    assert failure(lambda: decoder.call("samples", samples, c_size_t(5), c_size_t(0))) == Fault.ARGUMENT
    assert failure(lambda: decoder.call("samples", None, c_size_t(1 << 20), c_size_t(0))) == Fault.ARGUMENT


def test_metadata(installed: Installed, photo_model: c_void_p) -> None:
    exif, icc, xmp = Image.Exif(), b"profile" * 30, b"<x:xmpmeta/>"
    exif[0x010F] = "camera"
    file = io.BytesIO()
    photograph(96, 72).save(file, "PNG", exif=exif, icc_profile=icc, xmp=xmp)
    with Image.open(file) as image:
        data = codec.encode(image, effort=1)
    kept, decoder = codec.decode(data), Decoder(installed)
    decoder.decode(data, photo_model)
    assert decoder.section(Section.ICC) == kept.info["icc_profile"] == icc
    assert decoder.section(Section.EXIF) == kept.info["exif"]
    assert decoder.section(Section.XMP) == kept.info.get("xmp", b"")
    assert failure(lambda: decoder.section(Section.PAYLOAD)) == Fault.ARGUMENT
    assert failure(lambda: decoder.section(9)) == Fault.ARGUMENT


def test_pixels_of_a_jpeg_file(installed: Installed) -> None:
    decoder, file = Decoder(installed), GOLDEN / "v1" / "jpeg-progressive.ddpm"
    decoder.feed(file.read_bytes())
    decoder.call("finish")
    assert decoder.advance() == Event.NEED_MODEL
    decoder.call("set_model", installed.model(models.read(models.JPEG)))
    while decoder.advance() != Event.NEED_PIXELS:
        pass
    info, jpeg = decoder.filled("info", Info), decoder.section(Section.PAYLOAD)
    assert jpeg == file.with_suffix(".jpg").read_bytes()
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)))
    assert (info.height, info.width, info.channels) == pixels.shape

    def set_pixels(content: bytes) -> None:
        decoder.call("set_pixels", content, c_size_t(len(content)))

    assert failure(lambda: set_pixels(pixels.tobytes()[1:])) == Fault.ARGUMENT
    set_pixels(pixels.tobytes())
    assert decoder.advance() == Event.DONE
    assert np.array_equal(decoder.pixels(), pixels)
    assert decoder.filled("verdict", Verdict).is_exact


def test_a_model_may_be_freed_before_decoding(installed: Installed) -> None:
    model = installed.model(TINY.read_bytes())
    decoder = Decoder(installed)
    decoder.feed(golden("photo-2"))
    decoder.call("finish")
    assert decoder.advance() == Event.NEED_MODEL
    decoder.call("set_model", model)
    installed.library.ddpm_model_free(model)
    assert decoder.advance() == Event.DONE
    assert np.array_equal(decoder.pixels(), golden_pixels("v2/photo.png"))


# --- errors


def test_wrong_models_are_refused_and_the_right_one_is_taken_afterwards(
    installed: Installed, tiny: c_void_p, photo_model: c_void_p
) -> None:
    content = TINY.read_bytes()
    for damaged in (b"", b"junk", content[:-1], content[:5000] + b"?" + content[5001:]):
        assert failure(lambda damaged=damaged: installed.model(damaged)) == Fault.MODEL
    decoder = Decoder(installed)
    decoder.feed(golden("photo-1"))
    decoder.call("finish")
    assert failure(lambda: decoder.call("set_model", tiny)) == Fault.ARGUMENT
    assert decoder.advance() == Event.NEED_MODEL == decoder.advance()
    assert failure(lambda: decoder.call("set_model", photo_model)) == Fault.MODEL
    decoder.call("set_model", tiny)
    assert decoder.advance() == Event.DONE


@pytest.mark.parametrize(
    ("plan", "kind"),
    [
        ({"scale": 3}, Fault.ARGUMENT),
        ({"width": 3}, Fault.ARGUMENT),
        ({"left": 1}, Fault.ARGUMENT),
        ({"left": 1 << 31, "width": 1, "height": 1}, Fault.ARGUMENT),
        ({"scale": 2, "has_step": 1}, Fault.ARGUMENT),
        ({"threads": 1025}, Fault.ARGUMENT),
        ({"width": 1000, "height": 1}, Fault.IMAGE),
        ({"max_pixels": 5}, Fault.IMAGE),
    ],
)
def test_plans_that_cannot_be_followed(installed: Installed, plan: dict[str, int], kind: int) -> None:
    def decode() -> None:
        decoder = Decoder(installed, **plan)
        decoder.feed(golden("photo-2"))
        decoder.advance()

    assert failure(decode) == kind


def test_structs_may_be_of_later_versions_whose_new_fields_are_not_set(installed: Installed) -> None:
    class Later(ctypes.Structure):
        _fields_ = [("plan", Plan), ("new", c_uint64)]

    decoder = Decoder(installed)
    later = Later(Plan(ctypes.sizeof(Later), scale=2), 0)
    decoder.call("set_plan", byref(later))
    later.new = 1
    assert failure(lambda: decoder.call("set_plan", byref(later))) == Fault.ARGUMENT
    assert failure(lambda: decoder.call("set_plan", byref(Plan(0)))) == Fault.ARGUMENT


def test_calls_that_come_too_early_or_too_late(installed: Installed, tiny: c_void_p) -> None:
    decoder = Decoder(installed)
    for name, kind in [("info", Info), ("layout", Layout), ("verdict", Verdict)]:
        assert failure(lambda name=name, kind=kind: decoder.filled(name, kind)) == Fault.ARGUMENT
    assert failure(lambda: decoder.section(Section.ICC)) == Fault.ARGUMENT
    assert decoder.advance() == Event.NEED_BYTES
    decoder.decode(golden("photo-2"), tiny)
    assert failure(lambda: decoder.feed(b"more")) == Fault.ARGUMENT
    assert failure(lambda: decoder.call("finish")) == Fault.ARGUMENT
    assert failure(lambda: decoder.call("set_plan", byref(Plan(ctypes.sizeof(Plan))))) == Fault.ARGUMENT
    assert failure(lambda: decoder.call("set_reader", c_uint64(1), READ_FUNCTION(lambda *_: 0), None)) == Fault.ARGUMENT
    assert np.array_equal(decoder.pixels(), golden_pixels("v2/photo.png"))


def test_null_is_refused_everywhere(installed: Installed) -> None:
    library, decoder = installed.library, Decoder(installed)
    for name in ("set_plan", "set_reader", "set_model", "set_pixels", "info", "layout", "verdict", "pixels", "section"):
        call = getattr(library, f"ddpm_decoder_{name}")
        assert call(None, None, None, None, None) == Fault.ARGUMENT
        assert call(decoder.pointer, None, None, None, None) == Fault.ARGUMENT
    assert library.ddpm_decoder_feed(decoder.pointer, None, c_size_t(3)) == Fault.ARGUMENT
    assert library.ddpm_decoder_finish(None) == Fault.ARGUMENT
    assert library.ddpm_decoder_advance(None, 0.0) == 1
    assert library.ddpm_decoder_error(None, byref(kind := c_int()))
    assert kind.value == Fault.ARGUMENT
    assert library.ddpm_model_load(None, b"", c_size_t(0), None, c_size_t(9)) == Fault.ARGUMENT
    assert library.ddpm_model_load(byref(c_void_p()), None, c_size_t(9), None, c_size_t(0)) == Fault.ARGUMENT
    library.ddpm_decoder_free(None)
    library.ddpm_model_free(None)
    assert library.ddpm_decoder_feed(decoder.pointer, None, c_size_t(0)) == Fault.OK


OF_DATA = (Fault.FORMAT, Fault.TRUNCATED, Fault.CHECKSUM, Fault.CORRUPT, Fault.MODEL, Fault.IMAGE)


def shown(decoder: Decoder, data: bytes, model: c_void_p) -> tuple[int, Any]:
    """What decoding ends in, and the verdict."""
    try:
        return Fault.OK, decoder.decode(data, model)
    except Failed as failed:
        return failed.kind, None


@pytest.mark.parametrize("name", ["photo-1", "alpha-2", "tiles-2"])
def test_damage_is_found_and_never_crashes(installed: Installed, tiny: c_void_p, name: str) -> None:
    data, exact = golden(name), golden_pixels(f"v2/{name[:-2]}.png")
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        for place in generator.integers(0, len(data), generator.integers(1, 4)):
            damaged[place] ^= 1 << generator.integers(8)
        content = bytes(damaged[: generator.integers(1, len(data) + 1) if generator.random() < 0.3 else len(data)])
        assert failure(lambda content=content: Decoder(installed).decode(content, tiny)) in OF_DATA
        decoder = Decoder(installed, partial=1)
        kind, verdict = shown(decoder, content, tiny)
        assert kind in (Fault.OK, *OF_DATA)
        assert kind or not verdict.is_exact or np.array_equal(decoder.pixels(), exact)
