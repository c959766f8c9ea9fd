"""Archives in C: ddpm_archive_* of ddpm.h, and ddpm-decode with --list and --member."""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import byref, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec.format.ddpma import split
from installed import GOLDEN, READ_FUNCTION, Archive, Decoder, Event, Failed, Fault, Info, Installed, Section, Verdict

FOLDER = GOLDEN / "archive-v1"
DATA = (FOLDER / "images.ddpma").read_bytes()
MODEL = GOLDEN / "v1" / "model.safetensors"
IMAGES = json.loads((FOLDER / "manifest.json").read_text())["images"]
TOGETHER, WITH_ALPHA, FILE = "05.jpg", "modes/grey-alpha.png", "modes/lattice.png"
PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
ALONE, COMMON, BITS_BACK = range(3)  # ddpm_coding


@pytest.fixture(scope="module")
def large() -> bytes:
    """An archive of an image that is a file, and of another one."""
    with Image.open(PHOTO) as photo:
        images = {"large.png": photo.crop((0, 0, 300, 220)), "small.png": photo.crop((0, 0, 16, 16))}
    return archive.create(images.items(), effort=1)


def failure(action: Callable[[], object]) -> int:
    """The kind of error that an action ends in."""
    with pytest.raises(Failed) as caught:
        action()
    return caught.value.kind


def extracted(name: str, **options: Any) -> Image.Image:
    """An image of the golden archive, as Python decodes it."""
    ((_, image),) = archive.extract(DATA, [name], model=MODEL, **options)
    return image


def array_of(image: Image.Image) -> Any:
    return np.asarray(image.convert("L") if image.mode == "1" else image)


def pixels_of(decoder: Decoder, model: c_void_p) -> Any:
    """[H, W] or [H, W, C]."""
    decoder.complete(model)
    pixels = decoder.pixels()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


# --- the library


def test_index_names_and_entries_are_those_of_python(installed: Installed) -> None:
    opened, facts = Archive(installed, DATA), archive.describe(DATA)["images"]
    index = opened.index
    assert (index.images, index.total) == (len(facts), len(facts))
    assert (index.is_damaged, index.missing, index.following) == (0, 0, 0)
    assert opened.names == [image["name"] for image in facts]
    for number, image in enumerate(facts):
        entry, (is_file, channels) = opened.entry(number), (image["bytes"] is not None, len(image["mode"]))
        assert (entry.width, entry.height, entry.channels) == (image["width"], image["height"], channels)
        assert entry.has_alpha == image["mode"].endswith("A")
        assert (entry.coding, entry.file_length) == ((ALONE, image["bytes"]) if is_file else (COMMON, 0))
        assert opened.find(image["name"]) == number


def test_every_image_decodes_to_its_pixels_and_metadata(installed: Installed, archive_model: c_void_p) -> None:
    opened = Archive(installed, DATA)
    for image in IMAGES:
        decoder = opened.decoder(opened.find(image["name"]))
        pixels = pixels_of(decoder, archive_model)
        shown = Image.fromarray(pixels, {2: "LA"}.get(pixels.shape[-1]) if pixels.ndim == 3 else None)
        assert hashlib.sha256(shown.convert(image["mode"]).tobytes()).hexdigest() == image["sha256"]
        assert decoder.section(Section.ICC).hex() == image["icc_profile"]
        assert decoder.section(Section.EXIF).hex() == image["exif"]
        assert decoder.filled("verdict", Verdict).is_exact


@pytest.fixture(scope="module")
def icons_model(installed: Installed) -> c_void_p:
    return installed.model((GOLDEN / "v2" / "model.safetensors").read_bytes())


def icons() -> tuple[bytes, dict[str, Any]]:
    """The golden archive whose runs code alpha, and its images as Python decodes them."""
    data = (GOLDEN / "archive-v2" / "images.ddpma").read_bytes()
    images = archive.extract(data, model=GOLDEN / "v2" / "model.safetensors")
    return data, {name: np.asarray(image) for name, image in images}


def test_alpha_that_runs_code(installed: Installed, icons_model: c_void_p) -> None:
    data, images = icons()
    opened = Archive(installed, data)
    for name, pixels in images.items():
        decoder = opened.decoder(opened.find(name))
        assert np.array_equal(pixels_of(decoder, icons_model), pixels)
        verdict = decoder.filled("verdict", Verdict)
        assert (verdict.is_exact, verdict.alpha_damaged) == (1, 0)
    for name in ("00.png", "04.png", "25.png"):
        decoder = opened.decoder(opened.find(name), left=2, top=1, width=4, height=5)
        assert np.array_equal(pixels_of(decoder, icons_model), images[name][1:6, 2:6])


def test_alpha_that_runs_code_is_decoded_as_long_as_there_is_time(installed: Installed, icons_model: c_void_p) -> None:
    data, images = icons()
    opened, events = Archive(installed, data), list[int]()
    decoder = opened.decoder(opened.find("05.png"))
    while (event := decoder.advance(0)) != Event.DONE:
        events.append(event)
        if event == Event.NEED_MODEL:
            decoder.call("set_model", icons_model)
    assert events.count(Event.NEED_MODEL) == 1
    assert events.count(Event.MORE) > 1
    assert np.array_equal(decoder.pixels(), images["05.png"])


def test_damaged_alpha_of_a_run_is_left_out(installed: Installed, icons_model: c_void_p) -> None:
    data, images = icons()
    alpha = bytes(split(data).parts[0].alphas[1])  # the second run has images in colour
    damaged = data.replace(alpha, alpha[:20] + bytes([alpha[20] ^ 1]) + alpha[21:])
    opened = Archive(installed, damaged)
    assert failure(lambda: opened.decoder(opened.find("00.png")).complete(icons_model)) == Fault.CHECKSUM
    for name in ("00.png", "01.png"):
        decoder = opened.decoder(opened.find(name), partial=1)
        verdict = decoder.complete(icons_model)
        assert (verdict.is_exact, verdict.is_damaged, verdict.alpha_damaged, verdict.colours_exact) == (0, 1, 1, 1)
        assert np.array_equal(decoder.pixels()[..., :3], images[name][..., :3])
        assert (decoder.pixels()[..., 3] == 255).all()
    assert np.array_equal(pixels_of(opened.decoder(opened.find("04.png")), icons_model), images["04.png"])


@pytest.mark.parametrize("name", [TOGETHER, WITH_ALPHA])
def test_parts_and_small_pictures(installed: Installed, archive_model: c_void_p, name: str) -> None:
    opened = Archive(installed, DATA)
    for plan, options in [
        ({"left": 1, "top": 2, "width": 4, "height": 3}, {"box": (1, 2, 5, 5)}),
        ({"scale": 2}, {"reduce": 2}),
        ({"left": 2, "top": 2, "width": 3, "height": 4, "scale": 2}, {"box": (2, 2, 5, 6), "reduce": 2}),
    ]:
        wanted = archive.open(DATA, model=MODEL).region(name, **options)
        shown = pixels_of(opened.decoder(opened.find(name), **plan), archive_model)
        assert np.array_equal(shown, array_of(wanted))


def test_a_reader_gives_no_more_than_an_image_needs(installed: Installed, archive_model: c_void_p) -> None:
    read = list[int]()

    @READ_FUNCTION
    def reader(user: None, offset: int, buffer: int, size: int) -> int:
        assert offset + size <= len(DATA)
        read.append(size)
        ctypes.memmove(buffer, DATA[offset : offset + size], size)
        return 0

    opened = Archive(installed, DATA, reader)
    decoder = opened.decoder(opened.find(TOGETHER))
    del opened  # which the decoder outlives
    assert np.array_equal(pixels_of(decoder, archive_model), extracted(TOGETHER))
    assert sum(read) < len(DATA) / 10


def test_images_of_one_run_are_decoded_once(installed: Installed, archive_model: c_void_p) -> None:
    opened = Archive(installed, DATA)
    first, second = (opened.decoder(opened.find(name)) for name in ("05.jpg", "07.jpg"))
    assert first.advance() == second.advance() == Event.NEED_MODEL
    first.call("set_model", archive_model)
    assert first.advance() == Event.DONE == second.advance()
    assert np.array_equal(second.pixels(), extracted("07.jpg"))


def test_threads_share_an_archive(installed: Installed, archive_model: c_void_p) -> None:
    opened = Archive(installed, DATA)
    names = [name for name in opened.names if name.endswith(".jpg")] * 3
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(lambda name: pixels_of(opened.decoder(opened.find(name)), archive_model), names))
    images = dict(archive.extract(DATA, set(names), model=MODEL))
    assert all(np.array_equal(pixels, images[name]) for name, pixels in zip(names, decoded, strict=True))


def test_files_are_copied_and_decoded(installed: Installed, photo_model: c_void_p, large: bytes) -> None:
    opened, exact = Archive(installed, large), dict(archive.extract(large))["large.png"]
    image = opened.find("large.png")
    length = opened.entry(image).file_length
    assert codec.decode(opened.file(image, length)) == exact
    assert failure(lambda: opened.file(image, length - 1)) == Fault.ARGUMENT
    assert failure(lambda: opened.file(opened.find("small.png"), 10**6)) == Fault.ARGUMENT
    assert np.array_equal(pixels_of(opened.decoder(image), photo_model), exact)
    box = opened.decoder(image, left=5, top=6, width=20, height=9)
    assert np.array_equal(pixels_of(box, photo_model), np.asarray(exact)[6:15, 5:25])
    cut = Archive(installed, large[:-5000])
    assert failure(lambda: cut.file(image, length)) == Fault.TRUNCATED
    assert not cut.decoder(image, partial=1).complete(photo_model).is_exact


def test_info_and_limits_of_an_image_that_is_coded_with_others(installed: Installed, tiny: c_void_p) -> None:
    opened = Archive(installed, DATA)
    image = opened.find(WITH_ALPHA)
    decoder = opened.decoder(image)
    assert decoder.advance() == Event.NEED_MODEL
    info = decoder.filled("info", Info)
    assert (info.width, info.height, info.channels, info.effort, info.file_length) == (6, 7, 2, 2, 0)
    assert failure(lambda: decoder.call("set_model", tiny)) == Fault.MODEL
    assert failure(opened.decoder(image, width=7, height=1).advance) == Fault.IMAGE
    limited = opened.decoder(image, max_pixels=41)
    assert failure(limited.advance) == Fault.IMAGE
    assert limited.filled("info", Info).width == 6


def test_images_by_bits_back_are_listed_and_not_decoded(installed: Installed) -> None:
    with Image.open(PHOTO) as photo:
        images = {f"{k}.png": photo.crop((9 * k, 5 * k, 9 * k + 32, 5 * k + 32)) for k in range(24)}
    opened = Archive(installed, archive.create(images.items(), bits_back=8))
    assert {opened.entry(image).coding for image in range(24)} == {BITS_BACK}
    assert failure(lambda: opened.decoder(0)) == Fault.MODEL


@pytest.mark.parametrize("name", ["large.png", "small.png"])
def test_calls_that_come_too_late(installed: Installed, photo_model: c_void_p, large: bytes, name: str) -> None:
    opened = Archive(installed, large)
    decoder = opened.decoder(opened.find(name), step=0, has_step=1)
    calls = [
        lambda: decoder.feed(b""),
        lambda: decoder.call("finish"),
        lambda: decoder.call("set_member", opened.pointer, 0),
    ]
    assert {failure(call) for call in calls} == {Fault.ARGUMENT}
    assert decoder.advance() == Event.NEED_MODEL


def test_null_and_wrong_numbers_are_refused(installed: Installed) -> None:
    library, opened, decoder = installed.library, Archive(installed, DATA), Decoder(installed)
    for name in ("index", "entry", "find", "file"):
        call = getattr(library, f"ddpm_archive_{name}")
        assert call(None, None, None, None) == call(opened.pointer, None, None, None) == Fault.ARGUMENT
    assert library.ddpm_archive_open(None, DATA, c_size_t(len(DATA)), None, c_size_t(0)) == Fault.ARGUMENT
    assert library.ddpm_archive_open(byref(c_void_p()), None, c_size_t(9), None, c_size_t(0)) == Fault.ARGUMENT
    no_reader = byref(c_void_p()), c_size_t(9), None, None, None, c_size_t(0)
    assert library.ddpm_archive_open_reader(*no_reader) == Fault.ARGUMENT
    assert library.ddpm_archive_name(None, 0) is None
    assert library.ddpm_archive_name(opened.pointer, len(IMAGES)) is None
    assert library.ddpm_decoder_set_member(None, opened.pointer, 0) == Fault.ARGUMENT
    assert failure(lambda: decoder.call("set_member", None, 0)) == Fault.ARGUMENT
    assert failure(lambda: decoder.call("set_member", opened.pointer, len(IMAGES))) == Fault.ARGUMENT
    assert failure(lambda: opened.entry(len(IMAGES))) == Fault.ARGUMENT
    assert failure(lambda: opened.find("none.png")) == Fault.ARGUMENT
    library.ddpm_archive_free(None)


def test_what_is_no_archive(installed: Installed) -> None:
    assert failure(lambda: Archive(installed, b"")) in (Fault.FORMAT, Fault.TRUNCATED)
    assert failure(lambda: Archive(installed, (GOLDEN / "v2" / "photo-2.ddpm").read_bytes())) == Fault.FORMAT
    assert failure(lambda: Archive(installed, DATA[:20])) == Fault.TRUNCATED
    assert failure(lambda: Archive(installed, DATA, READ_FUNCTION(lambda *_: 1))) == Fault.READ


def test_a_damaged_index_is_rebuilt_and_losses_are_counted(installed: Installed, archive_model: c_void_p) -> None:
    damaged = Archive(installed, DATA[:9] + bytes([DATA[9] ^ 1]) + DATA[10:] + b"after")
    assert (damaged.index.is_damaged, damaged.index.following) == (1, 5)
    assert np.array_equal(pixels_of(damaged.decoder(damaged.find(TOGETHER)), archive_model), extracted(TOGETHER))
    size = archive.describe(DATA)["index_bytes"] + 100
    cut = Archive(installed, DATA[:size])
    assert (cut.index.images, cut.index.missing) == (len(IMAGES), len(DATA) - size)
    for name in (TOGETHER, FILE):
        assert failure(lambda name=name: cut.decoder(cut.find(name)).complete(archive_model)) == Fault.TRUNCATED


def test_damage_is_found_and_never_crashes(installed: Installed, archive_model: c_void_p) -> None:
    generator, exact = np.random.default_rng(0), {name: array_of(extracted(name)) for name in (TOGETHER, WITH_ALPHA)}
    outcomes = set[int]()
    for _ in range(40):
        damaged = bytearray(DATA)
        for place in generator.integers(0, len(DATA), generator.integers(1, 4)):
            damaged[place] ^= 1 << generator.integers(8)
        for name in exact:
            try:
                opened = Archive(installed, bytes(damaged))
                pixels = pixels_of(opened.decoder(opened.find(name)), archive_model)
            except Failed as failed:
                outcomes.add(failed.kind)
            else:
                assert np.array_equal(pixels, exact[name])
    assert outcomes <= {Fault.ARGUMENT, Fault.FORMAT, Fault.TRUNCATED, Fault.CHECKSUM, Fault.CORRUPT, Fault.MODEL}
    assert Fault.CHECKSUM in outcomes


# --- the command


def test_list_prints_all_images(installed: Installed, tmp_path: Path) -> None:
    ended = installed.run("--list", FOLDER / "images.ddpma")
    assert (ended.code, ended.stderr) == (0, "")
    lines = ended.stdout.decode().splitlines()
    assert [line.split()[-1] for line in lines] == [image["name"] for image in IMAGES]
    assert lines[0].split() == ["40", "x", "24", "RGB", "-", "modes/photo.png"]
    cut = installed.run("-", "--list", data=DATA[:-10])
    assert (cut.code, cut.stdout) == (0, ended.stdout)
    assert "10 bytes are missing" in cut.stderr


def test_names_cannot_control_a_terminal(installed: Installed) -> None:
    data = DATA.replace(b"00.jpg", b"0\x1b.jpg")
    listed = installed.run("--list", "-", data=data).stdout
    assert b"\x1b" not in listed


@pytest.mark.parametrize("name", [TOGETHER, WITH_ALPHA, "modes/bilevel.png"])
def test_member_decodes_one_image(installed: Installed, name: str) -> None:
    options = ("--member", name, "--model", MODEL)
    for ended in (
        installed.run(FOLDER / "images.ddpma", "-", *options),
        installed.run("-", "-", *options, data=DATA),
    ):
        assert (ended.code, ended.stderr) == (0, "")
        assert np.array_equal(ended.pixels, array_of(extracted(name)))
    box = installed.run("-", "-", *options, "--box", "1,1,4,3", data=DATA)
    assert np.array_equal(box.pixels, array_of(extracted(name))[1:4, 1:5])


def test_member_with_info_and_original(installed: Installed, tmp_path: Path) -> None:
    told = installed.run("--info", "-", "--member", TOGETHER, data=DATA).stdout.decode()
    assert "size: 9 x 7" in told
    assert "shared" in told
    refused = installed.run("-", "-", "--member", FILE, "--original", data=DATA)
    assert (refused.code, "no other file" in refused.stderr) == (1, True)


def test_exit_codes_of_archives(installed: Installed) -> None:
    for options, data, code in [
        (["-", "-", "--member", "none"], DATA, 1),
        (["-", "-", "--member", TOGETHER], DATA, 4),
        (["-", "-", "--member", TOGETHER, "--model", MODEL], DATA[:700], 3),
        (["--list", "-"], b"junk", 3),
        (["--list", "-", "-"], DATA, 2),
        (["-", "-"], DATA, 3),
    ]:
        ended = installed.run(*options, data=data)
        assert (ended.code, ended.stdout) == (code, b""), options
