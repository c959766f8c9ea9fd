"""The decoder for browsers gives the native decoder's pixels, its previews, and its errors. In Node.js."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_sections import split
from jpegs import jpeg_of
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load, save

import ddpmcodec
from ddpmcodec import _native, errors, models
from ddpmcodec._native import MARK_BYTES
from ddpmcodec.codec import decode_details
from ddpmcodec.format import model_file
from ddpmcodec.format.marks import end_mark
from ddpmcodec.format.model_file import KEY, seal
from ddpmcodec.formats.images import to_array
from ddpmcodec.models import context
from ddpmcodec.models.context import ContextModel
from node_decoder import CLOSE, GOLDEN, HEIGHT, MODEL, ROOT, WIDTH, Node, error_of, pixels_of
from pictures import nearly_flat

STREAMS = json.loads((GOLDEN / "manifest.json").read_text())["streams"]
NAMES = [entry["file"] for entry in STREAMS]
SHARES = (0.0, 0.3, 0.7, 0.95)  # of a file, of which prefixes are shown
LONG = {"learning-1.ddpm": 0.7, "learning-2.ddpm": 0.95, "learning-3.ddpm": 0.3, "colourful-2.ddpm": 0.7}  # take longer


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def shown_here(data: bytes, **options: Any) -> NDArray[np.uint8]:
    return to_array(decode_details(data, partial=True, model=MODEL, **options).planes)


def assert_close(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= CLOSE


@pytest.mark.parametrize("entry", STREAMS, ids=lambda entry: entry["file"])
def test_golden_files_decode_to_their_pictures(node: Node, entry: dict[str, Any]) -> None:
    name = entry["file"]
    found = node.ask("decode", golden(name), model=str(MODEL))
    with Image.open(GOLDEN / entry["picture"]) as expected:
        assert (found["mode"], found["exact"], found["damaged"], found["lossy"]) == (expected.mode, True, False, False)
        assert np.array_equal(pixels_of(found), np.asarray(expected) * np.uint8(255 if expected.mode == "1" else 1))
        assert base64.b64decode(found["icc"]) == expected.info.get("icc_profile", b"")


def test_a_photograph_of_the_embedded_model_decodes_exactly(node: Node, photo: bytes) -> None:
    found, expected = node.ask("decode", photo), ddpmcodec.decode(photo)
    assert np.array_equal(pixels_of(found), np.asarray(expected))
    assert base64.b64decode(found["exif"]) == expected.info["exif"]
    assert base64.b64decode(found["xmp"]) == expected.info["xmp"] == b"<x:xmpmeta/>"
    assert base64.b64decode(found["icc"]) == b"no profile, but bytes"
    assert found["orientation"] == 6


BOX = (30, 20, 100, 90)
BOX_OPTION = {"left": 30, "top": 20, "width": 70, "height": 70}


def test_a_part_of_an_image_is_what_it_is_natively(node: Node, photo: bytes) -> None:
    found = node.ask("decode", photo, box=BOX_OPTION)
    assert np.array_equal(pixels_of(found), ddpmcodec.decode(photo, box=BOX, as_array=True))
    assert found["exact"]
    pictures = node.ask("stream", photo, chunk=len(photo) // 3, box=BOX_OPTION)["pictures"]
    assert pictures[-1]["sha256"] == found["sha256"]
    assert error_of(node.ask("decode", photo, box=BOX_OPTION | {"width": WIDTH})) == "ImageError"


@pytest.mark.parametrize("reduce", [2, 4, 8, 16])
def test_reduced_images_are_what_they_are_natively(node: Node, photo: bytes, reduce: int) -> None:
    found = node.ask("decode", photo, reduce=reduce)
    expected = decode_details(photo, reduce=reduce)
    assert_close(pixels_of(found), to_array(expected.planes))
    assert (found["exact"], found["stepsDone"]) == (False, expected.steps_done)
    part = node.ask("decode", photo, reduce=reduce, box=BOX_OPTION)
    assert_close(pixels_of(part), to_array(decode_details(photo, reduce=reduce, box=BOX).planes))


def test_a_reduced_bilevel_image_is_grey(node: Node) -> None:
    image = Image.open(ROOT / "docs" / "photo.png").convert("1").crop((0, 0, 40, 40))
    data = ddpmcodec.encode(image, effort=1)
    assert (node.ask("decode", data)["mode"], node.ask("decode", data, reduce=2)["mode"]) == ("1", "L")


def test_an_unknown_reduction_is_refused(node: Node, photo: bytes) -> None:
    assert error_of(node.ask("decode", photo, reduce=3)) == "DdpmError"


def test_jpeg_coefficients_become_the_file_that_was_encoded(node: Node) -> None:
    jpeg = jpeg_of(quality=90)
    data, rgba = ddpmcodec.encode(BytesIO(jpeg)), Image.open(BytesIO(jpeg)).convert("RGBA").tobytes()
    assert "`jpeg`" in node.ask("decode", data)["message"]
    found = node.ask("decode", data, rgba=base64.b64encode(rgba).decode())
    assert np.array_equal(pixels_of(found), ddpmcodec.decode(data, as_array=True))
    facts = node.ask("info", data)
    assert (facts["kind"], facts["model"]) == ("coefficients", models.NUMBERS[models.JPEG])


@pytest.mark.parametrize("name", NAMES)
def test_prefixes_show_what_they_show_natively(node: Node, name: str) -> None:
    file, whole = split(golden(name)), len(golden(name))
    for share in [LONG[name]] if name in LONG else SHARES:
        size = file.start + int(share * (whole - file.start))
        found = node.ask("decode", golden(name), maxBytes=size, model=str(MODEL))
        expected = decode_details(golden(name)[:size], partial=True, model=MODEL)
        assert_close(pixels_of(found), to_array(expected.planes))
        done = (found["exact"], found["damaged"], found["stepsDone"])
        assert done == (False, False, expected.steps_done), share


def test_what_lacks_words_and_yet_comes_to_an_end_is_a_prefix(node: Node) -> None:
    """As in tests/codec/test_previews.py."""
    data = ddpmcodec.encode(nearly_flat(113), effort=1, levels=0, model="cifar10")
    found = node.ask("decode", data, maxBytes=len(data) - 1)
    assert (found["exact"], found["damaged"]) == (False, False)


def test_a_preview_that_is_aborted_leaves_nothing_in_memory(node: Node) -> None:
    data = ddpmcodec.encode(Image.open(ROOT / "docs" / "photo.png").crop((0, 0, 60, 60)), effort=1)[:-5]
    assert node.ask("aborted", data) == {"message": "stop", "kept": 0}
    assert node.ask("decode", data, partial=True)["exact"] is False


@pytest.mark.parametrize(
    "name", ["photo-2.ddpm", "tiles-1.ddpm", "tiles-3.ddpm", "alpha-2.ddpm", "grey-3.ddpm", "pixel-1.ddpm"]
)
def test_a_stream_gives_better_and_better_pictures(node: Node, name: str) -> None:
    data = golden(name)
    chunk = len(data) // 10 + 1
    found = node.ask("stream", data, chunk=chunk, model=str(MODEL))["pictures"]
    decoder = ddpmcodec.ProgressiveDecoder(model=MODEL)
    for k, picture in enumerate(found):
        expected = decoder.feed(data[k * chunk : (k + 1) * chunk])
        assert (picture is None) == (expected is None)
        if picture is not None and expected is not None:
            assert_close(pixels_of(picture), np.asarray(expected.convert(picture["mode"])).astype(np.uint8))
    assert found[-1]["exact"]
    assert np.array_equal(pixels_of(found[-1]), ddpmcodec.decode(data, model=MODEL, as_array=True))


def test_a_photograph_streams_to_its_exact_pixels(node: Node, photo: bytes) -> None:
    pictures = list(filter(None, node.ask("stream", photo, chunk=len(photo) // 12)["pictures"]))
    steps = [picture["stepsDone"] for picture in pictures]
    assert steps == sorted(steps)
    assert {1, 2} <= set(steps)
    assert len(pictures) > 8
    assert np.array_equal(pixels_of(pictures[-1]), ddpmcodec.decode(photo, as_array=True))


def test_a_lossy_file_shows_what_it_has(node: Node, photo: bytes) -> None:
    cut = ddpmcodec.truncate(photo, bpp=2, mark=True)
    found = node.ask("decode", cut)
    assert (found["lossy"], found["exact"]) == (True, False)
    assert_close(pixels_of(found), ddpmcodec.decode(cut, as_array=True))
    streamed = node.ask("stream", cut, chunk=1000)["pictures"]
    assert streamed[-1]["sha256"] == found["sha256"]


def test_info_says_what_the_header_says(node: Node, photo: bytes) -> None:
    found, expected = node.ask("info", photo), ddpmcodec.info(photo)
    assert (found["width"], found["height"], found["mode"]) == (WIDTH, HEIGHT, "RGB")
    assert (found["effort"], found["levels"], found["orientation"]) == (1, 1, 6)
    assert found["headerBytes"] == expected["header_bytes"]
    assert found["model"] == models.NUMBERS["photo"]
    assert node.ask("info", photo[:-5])["missing"] == 5


def test_the_example_for_node_runs(node: Node, dist: Path, photo: bytes, tmp_path: Path) -> None:
    blocks = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "web.md").read_text(), re.DOTALL)
    (example,) = (block for block in blocks if "node:fs" in block)
    (tmp_path / "example.mjs").write_text(example.replace("./index.js", (dist / "index.js").as_uri()))
    (tmp_path / "photo.ddpm").write_bytes(photo)
    command = [node.program, "example.mjs"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout == f"{WIDTH} {HEIGHT} true\n"


# --- what goes wrong


def error_here(data: bytes) -> str:
    with pytest.raises(errors.DdpmError) as caught:
        ddpmcodec.decode(data, model=MODEL)
    return type(caught.value).__name__


@pytest.mark.parametrize("name", ["tiles-2.ddpm", "photo-1.ddpm", "alpha-3.ddpm", "pixel-2.ddpm"])
def test_cut_and_lengthened_files_are_refused_as_natively(node: Node, name: str) -> None:
    data = golden(name)
    for wrong in (b"", data[:3], data[:-1], data[: len(data) // 2], data + b"\0\0\0\0", data + b"x"):
        assert error_of(node.ask("decode", wrong, model=str(MODEL))) == error_here(wrong), wrong[:8]


@pytest.mark.parametrize("name", ["tiles-3.ddpm", "noise-2.ddpm", "alpha-1.ddpm", "grey-alpha-2.ddpm"])
def test_every_flipped_bit_is_an_error_of_ours_or_harmless(node: Node, name: str) -> None:
    data = golden(name)
    expected = ddpmcodec.decode(data, model=MODEL, as_array=True)
    first = 8 * min(ddpmcodec.info(data)["header_bytes"], 24)
    for bit in sorted({*range(first), *np.random.default_rng(0).integers(first, 8 * len(data), 40).tolist()}):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        answer = node.ask("decode", bytes(wrong), model=str(MODEL), maxPixels=1 << 16)
        if "error" in answer:
            assert error_of(answer)
        else:
            assert np.array_equal(pixels_of(answer), expected), bit
    assert np.array_equal(pixels_of(node.ask("decode", data, model=str(MODEL))), expected)  # it still works


def test_damage_is_left_out_of_a_preview(node: Node, photo: bytes) -> None:
    wrong = bytearray(photo)
    wrong[len(photo) // 2] ^= 1
    assert error_of(node.ask("decode", bytes(wrong))) == "ChecksumError"
    assert error_of(node.ask("stream", bytes(wrong), chunk=1000)) == "ChecksumError"
    found = node.ask("decode", bytes(wrong), partial=True)
    assert found["damaged"]
    assert_close(pixels_of(found), ddpmcodec.decode(bytes(wrong), partial=True, as_array=True))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"\x89PNG\r\n", "FormatError", "not a ddpmcodec file"),
        (b"\xddA\r\n\x01\x00", "FormatError", "an archive"),
        (b"\xdd\n\x80\x80", "FormatError", "format version 2"),
        (b"\xdd\n\x49\x10\x01\xff\xff\x7f", "FormatError", "pixels are possible"),
        (b"\xdd\n\x49\x10\x01\xff\x7f" + 9 * b"\0", "FormatError", "16383 x 16383 pixels"),
    ],
)
def test_other_data_are_refused(node: Node, data: bytes, error: str, words: str) -> None:
    answer = node.ask("decode", data, maxPixels=1 << 29)
    assert error_of(answer) == error
    assert words in answer["message"]


def test_too_many_pixels_are_refused(node: Node, photo: bytes) -> None:
    answer = node.ask("decode", photo, maxPixels=WIDTH * HEIGHT - 1)
    assert error_of(answer) == "ImageError"
    assert f"{WIDTH} x {HEIGHT} pixels" in answer["message"]


def test_another_model_is_refused(node: Node) -> None:
    data = golden("photo-1.ddpm")
    assert error_of(node.ask("decode", data)) == "ModelError"
    other = str(models.path("cifar10"))
    answer = node.ask("decode", data, model=other)
    assert error_of(answer) == "ModelError"
    assert models.ids()["cifar10"][:4].hex() in answer["message"]
    answer = node.ask("decode", data, model=str(ROOT / "docs" / "photo.png"))
    assert error_of(answer) == "ModelError"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("ddpmcodec.wasm", None, "cannot be fetched"),
        ("ddpmcodec.wasm", b"<!doctype html>", "does not compile"),
        ("ddpmcodec.wasm", b"\0asm\x01\0\0\0", "is of another version than this module"),
        ("photo.safetensors", b"<!doctype html>", "not a ddpmcodec model"),
        ("photo.safetensors", models.path("cifar10").read_bytes(), "the given model 'cifar10'"),
    ],
)
def test_files_that_are_not_the_modules_are_named(
    node: Node, dist: Path, photo: bytes, tmp_path: Path, file: str, content: bytes | None, words: str
) -> None:
    """base needs no slash."""
    for name in ("ddpmcodec.wasm", "photo.safetensors"):
        shutil.copyfile(dist / name, tmp_path / name)
    (tmp_path / file).unlink(missing_ok=True)
    if content is not None:
        (tmp_path / file).write_bytes(content)
    answer = node.ask("decode", photo, base=tmp_path.as_uri())
    assert error_of(answer) == "ModelError"
    assert f"{(tmp_path / file).as_uri()}" in answer["message"]
    assert words in answer["message"]


def test_a_tiny_lossy_file_arrives_in_pieces_wherever_it_was_cut(node: Node) -> None:
    """The first bytes of the mark complete the stream of some, as if they were its last words."""
    for image in np.random.default_rng(0).integers(0, 256, (6, 1, 1, 3), dtype=np.uint8):
        file = ddpmcodec.encode(image, effort=1, levels=0)
        for size in range(ddpmcodec.info(file)["header_bytes"] + MARK_BYTES, len(file)):
            pictures = node.ask("stream", ddpmcodec.truncate(file, bytes=size, mark=True), chunk=1)["pictures"]
            assert pictures[-1]["lossy"]


def test_damage_that_was_marked_is_found(node: Node, photo: bytes) -> None:
    flipped = bytearray(photo[: len(photo) // 2])
    flipped[len(flipped) // 2] ^= 1
    marked = bytes(flipped) + end_mark(flipped)
    assert error_of(node.ask("decode", marked)) == "ChecksumError"
    assert node.ask("decode", marked, partial=True)["damaged"]


def test_networks_that_only_python_computes_have_a_name(node: Node, linear_file: bytes, tmp_path: Path) -> None:
    path = tmp_path / "others.safetensors"
    path.write_bytes(linear_file)
    image = np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    data = ddpmcodec.encode(image, effort=1, levels=0, model=path)
    answer = node.ask("decode", data, model=str(path))
    assert error_of(answer) == "ModelError"
    assert "architecture 'linear'" in answer["message"]


def same_networks(context_model: ContextModel, path: Path, changes: dict[str, Any]) -> Path:
    """The tiny model with networks of effort 1 alone, which efforts 2 and 3 share; with other entries of some."""
    own = context.tensors_of(context_model)
    tensors = {name: own[f"1{name[1:]}"] for name in own}
    components = {key: facts.components for key, facts in context_model.facts.items()}
    data = context.pack(tensors, components, "same")
    facts = model_file.described(data, "same")
    facts["networks"] |= changes
    path.write_bytes(seal(save(load(data), {KEY: json.dumps(facts)})))
    return path


def test_networks_that_are_stored_once_decode(node: Node, context_model: ContextModel, tmp_path: Path) -> None:
    path = same_networks(context_model, tmp_path / "same.safetensors", {})
    image = np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    for effort in (1, 2, 3):
        data = ddpmcodec.encode(image, effort=effort, model=path)
        assert np.array_equal(pixels_of(node.ask("decode", data, model=str(path))), image)


def test_a_model_that_is_older_than_a_schedule_decodes_the_others(
    node: Node, context_model: ContextModel, tmp_path: Path
) -> None:
    """It has biases for the two steps of the first schedule alone."""
    path, oldest = tmp_path / "older.safetensors", 2 * _native.BANDS_OF_STEP
    tensors = {
        name: tensor[:oldest] if ".band" in name and name.endswith(".bias") else tensor
        for name, tensor in context.tensors_of(context_model).items()
    }
    components = {key: facts.components for key, facts in context_model.facts.items()}
    path.write_bytes(context.pack(tensors, components, "older"))
    image = np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    data = ddpmcodec.encode(image, levels=2, model=path)
    assert np.array_equal(pixels_of(node.ask("decode", data, model=str(path))), image)


def test_four_models_are_kept(node: Node, context_model: ContextModel, tmp_path: Path) -> None:
    """However many are given, and however often the bytes of one."""
    components = {key: facts.components for key, facts in context_model.facts.items()}
    image = np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    for k in range(6):
        path = tmp_path / f"{k}.safetensors"
        path.write_bytes(context.pack(context.tensors_of(context_model), components, f"model {k}"))
        data = ddpmcodec.encode(image, effort=1, levels=0, model=path)
        for _ in range(3):
            assert np.array_equal(pixels_of(node.ask("decode", data, model=str(path))), image)
    assert node.ask("models", b"") == {"models": 4}


OTHERS = [("2.last", same) for same in ("4.last", "2.last", "3.last", "1.direct", None, 7)]


@pytest.mark.parametrize(("key", "same"), [*OTHERS, ("2.band1", "2.last"), ("2.band3", "2.direct")], ids=str)
def test_networks_that_cannot_be_another_are_refused(
    node: Node, context_model: ContextModel, tmp_path: Path, key: str, same: object
) -> None:
    """Also where the other was made already."""
    data = golden("photo-2.ddpm")
    path = same_networks(context_model, tmp_path / "same.safetensors", {key: {"same_as": same}})
    header_id = hashlib.sha256(path.read_bytes()).digest()[:4]
    assert error_of(node.ask("decode", data[:5] + header_id + data[9:], model=str(path))) == "ModelError"
