"""Encoder and decoder with a tiny model: exact round trips, previews of every prefix, and no silent damage."""

from __future__ import annotations

import json
import pickle
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

import ddpmcodec
from ddpmcodec import codec, container
from ddpmcodec.channels import uniform
from ddpmcodec.errors import (
    ChecksumError,
    DdpmError,
    FormatError,
    ImageError,
    ModelError,
    OutputError,
    TruncatedError,
)
from ddpmcodec.networks import load_model
from ddpmcodec.networks.model import Model

MODES = ("1", "L", "LA", "RGB", "RGBA")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The pictures are tiny: a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def smooth(height: int = 20, width: int = 24) -> np.ndarray:
    """A picture with edges and slopes, uint8 (H, W, 4)."""
    y, x = np.mgrid[:height, :width]
    planes = [5 * x + 3 * y, 200 - 4 * y, np.where(x > y, 60, 190), np.where(x + y > 12, 255, 9 * y)]
    return np.stack(planes, axis=2).astype(np.uint8)


def picture(mode: str = "RGB", height: int = 20, width: int = 24) -> Image.Image:
    return Image.fromarray(smooth(height, width)).convert(mode, dither=Image.Dither.NONE)


def assert_same(a: Image.Image, b: Image.Image) -> None:
    assert a.mode == b.mode
    assert np.array_equal(np.asarray(a), np.asarray(b))


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images over 128 pixels are cut into groups of at most 128, as large ones are into groups of half a million."""
    monkeypatch.setattr(container, "SINGLE_STREAM_PIXELS", 128)
    monkeypatch.setattr(container, "GROUP_PIXELS", 128)


@pytest.fixture(scope="module")
def small(model: Model) -> bytes:
    """A file of one stream: 6 x 5 pixels with alpha and metadata."""
    image = picture("RGBA", 5, 6)
    image.info.update(icc_profile=b"profile", exif=b"Exif\0\0MM")
    return codec.encode(image, effort=1, model=model)


@pytest.fixture(scope="module")
def bare(model: Model) -> bytes:
    """A file of a header and one stream, nothing else."""
    return codec.encode(picture("RGB", 5, 6), effort=1, model=model)


@pytest.fixture(scope="module")
def chunked(model: Model) -> bytes:
    """A file of chunks: 12 x 8 pixels in two groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(container, "SINGLE_STREAM_PIXELS", 64)
        patch.setattr(container, "GROUP_PIXELS", 64)
        return codec.encode(picture("RGB", 8, 12), effort=1, model=model)


FILES = ("small", "bare", "chunked")


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest) -> bytes:
    found: bytes = request.getfixturevalue(request.param)
    return found


# --- round trips


@pytest.mark.parametrize("effort", [1, 3, 5, 9])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_comes_back_exactly(model: Model, mode: str, effort: int) -> None:
    assert_same(codec.decode(codec.encode(picture(mode), effort=effort, model=model), model=model), picture(mode))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (9, 1), (2, 3), (5, 17), (33, 31)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_size_comes_back_exactly(model: Model, mode: str, height: int, width: int) -> None:
    image = picture(mode, height, width)
    assert_same(codec.decode(codec.encode(image, effort=1, model=model), model=model), image)


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3), (20, 24, 4)])
def test_arrays_come_back_exactly(model: Model, shape: tuple[int, ...]) -> None:
    array = np.random.Generator(np.random.Philox(3)).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(np.asarray(codec.decode(codec.encode(array, effort=1, model=model), model=model)), array)


def test_metadata_comes_back_unless_stripped(model: Model) -> None:
    image = picture()
    image.info.update(icc_profile=b"profile", exif=b"Exif\0\0MM")
    kept = codec.decode(codec.encode(image, effort=1, model=model), model=model)
    assert (kept.info["icc_profile"], kept.info["exif"]) == (b"profile", b"Exif\0\0MM")
    stripped = codec.encode(image, effort=1, model=model, strip=True)
    assert codec.decode(stripped, model=model).info == {}
    assert stripped == codec.encode(picture(), effort=1, model=model)


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("mode", MODES)
def test_large_images_come_back_exactly(model: Model, mode: str) -> None:
    image = picture(mode, 21, 37)
    data = codec.encode(image, effort=1, model=model)
    assert codec.info(data)["groups"] > 4
    assert_same(codec.decode(data, model=model), image)


@pytest.mark.usefixtures("small_groups")
def test_the_bytes_do_not_depend_on_the_number_of_threads(model: Model) -> None:
    alone = codec.encode(picture("RGB", 21, 37), effort=1, model=model)
    torch.set_num_threads(2)
    try:
        assert codec.encode(picture("RGB", 21, 37), effort=1, model=model) == alone
        assert_same(codec.decode(alone, model=model), picture("RGB", 21, 37))
    finally:
        torch.set_num_threads(1)


def test_the_grid_is_in_the_file(model: Model, chunked: bytes) -> None:
    assert codec.info(chunked)["groups"] == 2
    assert_same(codec.decode(chunked, model=model), picture("RGB", 8, 12))


def test_grey_costs_one_channel(model: Model) -> None:
    grey = picture("L", 32, 32)
    assert len(codec.encode(grey, effort=1, model=model)) < 0.6 * len(
        codec.encode(grey.convert("RGB"), effort=1, model=model)
    )


def test_a_file_costs_at_most_24_bytes_more_than_the_code_length_of_the_model(model: Model) -> None:
    pixels = smooth(32, 32)[None, ..., :3]
    steps = model.presets[5]
    symbols = [found for found, _ in uniform.encode_symbols(pixels, model, steps, group=0)]
    bits = sum(float((24 - np.log2(freqs)).sum()) for step in symbols for _, freqs in step)
    assert bits / 8 < len(codec.encode(pixels[0], effort=5, model=model)) <= bits / 8 + 24


def test_the_same_image_gives_the_same_bytes_from_path_and_model(model: Model, tiny_model: Path) -> None:
    data = codec.encode(picture(), effort=1, model=model)
    assert codec.encode(picture(), effort=1, model=str(tiny_model)) == data
    assert_same(codec.decode(data, model=tiny_model), picture())


# --- many images


def many() -> list[Image.Image]:
    sizes = [(20, 24), (8, 10), (20, 24), (1, 1), (8, 10), (20, 24)]
    turned = [picture("RGB" if i % 4 else "L", *size).rotate(90 * i) for i, size in enumerate(sizes)]
    return [*turned, picture("RGBA"), picture("1")]


def test_many_images_give_the_same_bytes_as_one_by_one_in_order(model: Model) -> None:
    assert codec.encode_many(many(), effort=1, model=model) == [
        codec.encode(image, effort=1, model=model) for image in many()
    ]


@pytest.mark.usefixtures("small_groups")
def test_many_files_come_back_in_order(model: Model) -> None:
    files = codec.encode_many(many(), effort=1, model=model)
    files[0] = codec.encode(many()[0], effort=2, model=model)
    for found, image in zip(codec.decode_many(files, model=model), many(), strict=True):
        assert_same(found, image)


def test_images_of_the_same_size_share_network_calls(model: Model) -> None:
    calls = []

    def counted(lo: Any, hi: Any) -> Any:
        calls.append(len(lo))
        return model.predict(lo, hi)

    codec.encode_many([picture()] * 5, effort=1, model=replace(model, predict=counted), verify=False)
    assert calls == [5] * len(model.presets[1])


def test_no_images_are_no_files(model: Model) -> None:
    assert codec.encode_many([], model=model) == []
    assert codec.decode_many([], model=model) == []


def test_progress_adds_up_to_the_pixels_of_encoding_and_verifying(model: Model) -> None:
    told: list[float] = []
    codec.encode(picture(), effort=1, model=model, progress=told.append)
    assert sum(told) == pytest.approx(2 * 20 * 24)


# --- previews


def test_every_strict_prefix_is_refused_without_partial(model: Model, file: bytes) -> None:
    for size in range(len(file)):
        with pytest.raises(TruncatedError):
            codec.decode(file[:size], model=model)


def test_every_prefix_with_the_header_decodes_to_a_preview(model: Model, file: bytes) -> None:
    facts = codec.info(file)
    for size in range(facts["header_bytes"], len(file), 3):
        found = codec.decode_details(file[:size], partial=True, model=model)
        assert (found.image.mode, *found.image.size) == (facts["mode"], facts["width"], facts["height"])
        assert not found.exact
        assert found.bytes_used <= size


def test_a_prefix_of_the_header_tells_how_much_is_needed(model: Model, file: bytes) -> None:
    for size in range(codec.info(file)["header_bytes"]):
        with pytest.raises(TruncatedError, match=r"at least \d+ are needed"):
            codec.decode(file[:size], partial=True, model=model)


def test_a_whole_file_is_exact_with_partial_too(model: Model, file: bytes) -> None:
    found = codec.decode_details(file, partial=True, model=model)
    assert found.exact
    assert (found.steps_done, found.bytes_used) == (found.steps, len(file))
    assert_same(found.image, codec.decode(file, model=model))


def distance(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("limit", [10**6, 128])
def test_more_bytes_give_a_better_preview(model: Model, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "SINGLE_STREAM_PIXELS", limit)
    image = picture("RGB", 32, 32)
    data = codec.encode(image, effort=1, model=model)
    start = codec.info(data)["header_bytes"]
    sizes = np.linspace(start, len(data), 9).astype(int)
    errors = [distance(codec.decode(data, max_bytes=int(size), model=model), image) for size in sizes]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_max_bytes_is_a_prefix_and_implies_partial(model: Model, file: bytes) -> None:
    half = len(file) // 2
    assert_same(codec.decode(file, max_bytes=half, model=model), codec.decode(file[:half], partial=True, model=model))


def test_what_is_there_of_the_alpha_shows_in_a_preview(model: Model, small: bytes) -> None:
    facts = codec.info(small)
    none = codec.decode(small, max_bytes=facts["header_bytes"], model=model)
    whole = codec.decode(small, max_bytes=facts["header_bytes"] + facts["alpha_bytes"], model=model)
    assert none.getchannel("A").getextrema() == (255, 255)
    assert_same(whole.getchannel("A"), picture("RGBA", 5, 6).getchannel("A"))


def test_cut_metadata_is_left_out_of_a_preview(model: Model, small: bytes) -> None:
    found = codec.decode_details(small[:-1], partial=True, model=model)
    assert (found.planes.icc, found.planes.exif, found.exact) == (b"", b"", False)


def test_a_step_is_a_preview(model: Model, file: bytes) -> None:
    last = len(model.presets[1])
    for step in range(last + 2):
        found = codec.decode_details(file, step=step, model=model)
        assert found.steps_done == min(step, last)
        assert found.exact == (step >= last)


# --- truncate


@pytest.mark.parametrize("step", [0, 1, 4, 7, 8, 99])
def test_a_file_cut_after_a_step_has_what_the_step_needs(model: Model, file: bytes, step: int) -> None:
    cut = codec.truncate(file, step=step, model=model)
    assert file.startswith(cut)
    assert (cut == file) == (step >= len(model.presets[1]))
    assert_same(codec.decode(cut, step=step, model=model), codec.decode(file, step=step, model=model))


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_file_cut_after_a_step_has_no_byte_too_many(model: Model, file: bytes, step: int) -> None:
    cut = codec.truncate(file, step=step, model=model)
    with pytest.raises(TruncatedError):
        codec.decode(cut[:-1], step=step, model=model)


@pytest.mark.parametrize("size", [60, 100, 200, 10**9])
def test_a_file_is_cut_to_bytes(model: Model, file: bytes, size: int) -> None:
    cut = codec.truncate(file, bytes=max(size, codec.info(file)["header_bytes"]))
    assert cut == file[: max(size, codec.info(file)["header_bytes"])]
    assert codec.decode(cut, partial=True, model=model).size == codec.decode(file, model=model).size


def test_a_file_is_cut_to_a_rate(bare: bytes) -> None:
    assert len(codec.truncate(bare, bpp=8.19)) == 30
    assert codec.truncate(bare, bpp=1e6) == bare


def test_a_cut_file_can_be_cut_again(bare: bytes) -> None:
    assert codec.truncate(codec.truncate(bare, bytes=60), bytes=50) == bare[:50]


def test_a_cut_shorter_than_the_header_is_refused(bare: bytes) -> None:
    with pytest.raises(OutputError, match="14 bytes are too few: the header alone takes 15, ask for more"):
        codec.truncate(bare, bytes=14)


def test_a_step_that_is_not_there_is_an_error(model: Model, file: bytes) -> None:
    cut = codec.truncate(file, step=2, model=model)
    with pytest.raises(TruncatedError):
        codec.truncate(cut, step=3, model=model)


@pytest.mark.parametrize("limits", [{}, {"bytes": 50, "step": 1}, {"bytes": 50, "bpp": 1.0, "step": 1}])
def test_truncate_takes_exactly_one_limit(bare: bytes, limits: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="exactly one of bytes, bpp and step"):
        codec.truncate(bare, **limits)


# --- damage


def decoded_or_none(data: bytes, model: Model, **options: Any) -> Image.Image | None:
    """What decodes, or None for an error of the project's own; any other exception escapes."""
    try:
        return codec.decode(data, model=model, **options)
    except DdpmError:
        return None


def test_flipped_bytes_never_give_wrong_pixels(model: Model, file: bytes) -> None:
    image = codec.decode(file, model=model)
    for place in range(len(file)):
        damaged = file[:place] + bytes([file[place] ^ 1 << place % 8]) + file[place + 1 :]
        found = decoded_or_none(damaged, model)
        # A bit of deflate padding may mean nothing: what decodes is the image.
        assert found is None or (found.mode == image.mode and np.array_equal(found, image))


def test_damage_is_not_called_exact_by_a_preview(model: Model, file: bytes) -> None:
    image = codec.decode(file, model=model)
    for place in range(len(file)):
        damaged = file[:place] + bytes([file[place] ^ 1 << place % 8]) + file[place + 1 :]
        try:
            found = codec.decode_details(damaged, partial=True, model=model)
        except DdpmError:
            continue
        assert not found.exact or np.array_equal(found.image, image)


@pytest.mark.parametrize("junk", [b"\0", b"\0\0\0\0", bytes(100)])
def test_bytes_after_the_end_are_refused(model: Model, file: bytes, junk: bytes) -> None:
    with pytest.raises(FormatError):
        codec.decode(file + junk, model=model)


def test_missing_words_in_the_middle_are_found(model: Model, bare: bytes) -> None:
    for place in range(23, len(bare), 4):
        with pytest.raises(FormatError):
            codec.decode(bare[:place] + bare[place + 4 :], model=model)


def test_two_files_in_one_are_refused(model: Model, file: bytes) -> None:
    with pytest.raises(FormatError):
        codec.decode(file + file, model=model)


@pytest.mark.parametrize(
    "claim",
    [{"width": 11}, {"width": 5, "height": 16}, {"mode": "L"}, {"effort": 2}, {"width": 200, "height": 300}],
)
def test_a_consistent_header_of_another_image_is_found(model: Model, bare: bytes, claim: dict[str, Any]) -> None:
    header, start = container.parse_header(bare)
    with pytest.raises(FormatError):
        codec.decode(container.pack_header(replace(header, **claim)) + bare[start:], model=model)


def test_an_index_of_another_number_of_steps_is_refused(model: Model, chunked: bytes) -> None:
    header, start = container.parse_header(chunked)
    damaged = container.pack_header(replace(header, effort=2)) + chunked[start:]
    with pytest.raises(FormatError, match="the header claims 8 steps, its model takes 10: it is damaged"):
        codec.decode(damaged, model=model)


edits = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["set", "insert", "delete"]), st.binary(min_size=1, max_size=6)),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    for where, kind, value in changes:
        place = int(where * len(data))
        kept = place if kind == "insert" else place + len(value)
        data = data[:place] + (b"" if kind == "delete" else value) + data[kept:]
    return data


@pytest.mark.parametrize("name", FILES)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=edits, options=st.sampled_from([{}, {"partial": True}, {"step": 3}, {"max_bytes": 100}]))
def test_only_errors_of_the_project_escape(
    request: pytest.FixtureRequest,
    model: Model,
    name: str,
    changes: list[tuple[float, str, bytes]],
    options: dict[str, Any],
) -> None:
    data = request.getfixturevalue(name)
    found = decoded_or_none(edited(data, changes), model, **options)
    assert found is None or found.size == (codec.info(data)["width"], codec.info(data)["height"])


@settings(deadline=None, max_examples=200)
@given(data=st.binary(max_size=200).map(lambda tail: container.MAGIC + b"\x11" + tail))
def test_random_data_behind_the_magic_is_an_error(tiny_model: Path, data: bytes) -> None:
    with pytest.raises(FormatError):
        codec.decode(data, partial=True, model=tiny_model)


def test_a_result_that_does_not_decode_is_not_returned(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    encode_group = uniform.encode_group

    def off_by_one(pixels: np.ndarray, *arguments: Any, **options: Any) -> Any:
        return encode_group(pixels ^ 1, *arguments, **options)

    monkeypatch.setattr(uniform, "encode_group", off_by_one)
    with pytest.raises(ChecksumError, match="image 1 of 2 does not decode to what was encoded"):
        codec.encode_many([picture()] * 2, effort=1, model=model)
    assert codec.encode(picture(), effort=1, model=model, verify=False)


def test_a_result_that_cannot_be_read_is_not_returned(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    encode_group = uniform.encode_group

    def shortened(*arguments: Any, **options: Any) -> Any:
        return [[stream[:-4] for stream in streams] for streams in encode_group(*arguments, **options)]

    monkeypatch.setattr(uniform, "encode_group", shortened)
    with pytest.raises(ChecksumError, match="an encoded image does not decode"):
        codec.encode(picture(), effort=1, model=model)


# --- models


@pytest.fixture(scope="module")
def other_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network under another name, and so with another id."""
    with safe_open(tiny_model, framework="np") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = json.loads(file.metadata()["ddpmcodec"])
    path = tmp_path_factory.mktemp("models") / "other.safetensors"
    save_file(tensors, path, {"ddpmcodec": json.dumps(metadata | {"name": "other"})})
    return path


def test_another_model_is_refused_naming_both(model: Model, other_model: Path, bare: bytes) -> None:
    other = load_model(other_model)
    with pytest.raises(ModelError) as found:
        codec.decode(bare, model=other_model)
    assert str(found.value) == (
        f"the file was written with model {model.id[:4].hex()}, and the given model 'other' is {other.id[:4].hex()}:"
        " decode with the model that wrote it (--model PATH)"
    )


def test_a_model_that_is_not_embedded_is_asked_for_by_id(model: Model, bare: bytes) -> None:
    with pytest.raises(ModelError, match=model.id[:4].hex()):
        codec.decode(bare)


def test_a_missing_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.safetensors"):
        codec.encode(picture(), model=tmp_path / "no.safetensors")


def test_a_pickle_is_not_loaded(tmp_path: Path, bare: bytes) -> None:
    class Opened:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path.joinpath("opened").touch, ())

    (tmp_path / "model.pt").write_bytes(pickle.dumps(Opened()))
    with pytest.raises(ModelError, match=r"model\.pt"):
        codec.decode(bare, model=tmp_path / "model.pt")
    assert not (tmp_path / "opened").exists()


def test_an_effort_that_the_model_does_not_have_is_an_error(model: Model) -> None:
    limited = replace(model, presets={1: model.presets[1], 3: model.presets[3]})
    with pytest.raises(ModelError, match=f"model '{model.name}' has no effort 5: it has 1, 3"):
        codec.encode(picture(), model=limited)


def test_decoding_opens_no_connection(model: Model, bare: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def blocked(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", blocked)
    assert_same(codec.decode(bare, model=model), picture("RGB", 5, 6))


# --- the package


def test_the_package_offers_the_functions() -> None:
    for name in ("encode", "decode", "encode_many", "decode_many", "truncate", "info"):
        assert getattr(ddpmcodec, name) is getattr(codec, name)
        assert name in dir(ddpmcodec)
    with pytest.raises(AttributeError, match="has no attribute 'transmogrify'"):
        ddpmcodec.transmogrify  # noqa: B018


def test_an_image_that_cannot_be_coded_is_refused(model: Model) -> None:
    with pytest.raises(ImageError, match="colour mode CMYK"):
        codec.encode(Image.new("CMYK", (4, 4)), model=model)
