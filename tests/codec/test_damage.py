"""Damage never gives wrong pixels in silence, and only errors of the project escape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ddpmcodec import codec, container
from ddpmcodec.channels import uniform
from ddpmcodec.errors import ChecksumError, DdpmError, FormatError
from ddpmcodec.networks.model import Model

Picture = Callable[..., Image.Image]


def decoded_or_none(data: bytes, model: Model, **options: Any) -> Image.Image | None:
    """What decodes, or None for an error of the project's own; any other exception escapes."""
    try:
        return codec.decode(data, model=model, **options)
    except DdpmError:
        return None


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


def test_flipped_bytes_never_give_wrong_pixels(model: Model, file: bytes) -> None:
    image = codec.decode(file, model=model)
    for place in range(len(file)):
        found = decoded_or_none(flipped(file, place), model)
        # A bit of deflate padding may mean nothing: what decodes is the image.
        assert found is None or (found.mode == image.mode and np.array_equal(found, image))


def test_damage_is_not_called_exact_by_a_preview(model: Model, file: bytes) -> None:
    image = codec.decode(file, model=model)
    for place in range(len(file)):
        try:
            found = codec.decode_details(flipped(file, place), partial=True, model=model)
        except DdpmError:
            continue
        assert not found.exact or np.array_equal(found.image, image)


def test_a_preview_of_all_steps_says_that_the_check_failed(model: Model, bare: bytes) -> None:
    damaged = bare[:-1] + bytes([bare[-1] ^ 1])
    found = codec.decode_details(damaged, partial=True, model=model)
    assert (found.steps_done, found.exact, found.damaged) == (found.steps, False, True)
    whole = codec.decode_details(bare, partial=True, model=model)
    assert (whole.exact, whole.damaged) == (True, False)


def test_a_preview_ends_before_a_damaged_step(model: Model, chunked: bytes) -> None:
    """Of a file in chunks, whole but for one bit: what all groups have up to there, and no garbage after it."""
    file = container.split(chunked)
    start = file.start + sum(map(len, file.chunks[:7]))  # of step 4, second group
    found = codec.decode_details(flipped(chunked, start + 2), partial=True, model=model)
    assert (found.steps_done, found.exact, found.damaged) == (3, False, True)
    shown, (left, right) = np.asarray(found.image), file.header.boxes()
    assert np.array_equal(shown[left], np.asarray(codec.decode(chunked, model=model))[left])
    assert np.array_equal(shown[right], np.asarray(codec.decode(chunked, step=3, model=model))[right])


def test_a_cut_file_is_not_damaged(model: Model, file: bytes) -> None:
    for size in range(container.split(file).start, len(file)):
        found = codec.decode_details(file[:size], partial=True, model=model)
        assert (found.exact, found.damaged) == (False, False)


def test_a_preview_leaves_out_damaged_metadata(model: Model, small: bytes) -> None:
    damaged = flipped(small, len(small) - 1)
    with pytest.raises(ChecksumError, match="the metadata section is damaged"):
        codec.decode(damaged, model=model)
    found, whole = codec.decode_details(damaged, partial=True, model=model), codec.decode(small, model=model)
    assert (found.steps_done, found.exact, found.damaged) == (found.steps, False, True)
    assert np.array_equal(found.image, whole)
    assert not found.image.info.keys() & {"icc_profile", "exif"}
    assert codec.info(damaged)["metadata"] is None


def test_a_preview_leaves_out_damaged_alpha(model: Model, small: bytes) -> None:
    damaged = flipped(small, container.split(small).start + 3)
    with pytest.raises(FormatError):
        codec.decode(damaged, model=model)
    found, whole = codec.decode_details(damaged, partial=True, model=model), codec.decode(small, model=model)
    assert (found.exact, found.damaged) == (False, True)
    assert np.array_equal(np.asarray(found.image)[..., :3], np.asarray(whole)[..., :3])
    assert (np.asarray(found.image)[..., 3] == 255).all()


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


@pytest.mark.parametrize("name", ["small", "bare", "chunked"])
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


def test_a_result_that_does_not_decode_is_not_returned(
    picture: Picture, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_group = uniform.encode_group

    def off_by_one(pixels: np.ndarray, *arguments: Any, **options: Any) -> Any:
        return encode_group(pixels ^ 1, *arguments, **options)

    monkeypatch.setattr(uniform, "encode_group", off_by_one)
    with pytest.raises(ChecksumError, match="image 1 of 2 does not decode to what was encoded"):
        codec.encode_many([picture()] * 2, effort=1, model=model)
    assert codec.encode(picture(), effort=1, model=model, verify=False)


def test_a_result_that_cannot_be_read_is_not_returned(
    picture: Picture, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_group = uniform.encode_group

    def shortened(*arguments: Any, **options: Any) -> Any:
        return [[stream[:-4] for stream in streams] for streams in encode_group(*arguments, **options)]

    monkeypatch.setattr(uniform, "encode_group", shortened)
    with pytest.raises(ChecksumError, match="an encoded image does not decode"):
        codec.encode(picture(), effort=1, model=model)
