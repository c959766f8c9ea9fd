"""Damaged JPEG files and recipes raise errors of the library, or are files that come back as they are."""

from __future__ import annotations

import io
import random
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec._native import Coefficients, parse_frame, parse_jpeg, rebuild_jpeg
from ddpmcodec.errors import ChecksumError, FormatError


def written(**options: Any) -> bytes:
    y, x = np.mgrid[:48, :64]
    rng = np.random.default_rng(1)
    values = np.stack([128 + 80 * np.sin(x / 6 + k) * np.cos(y / 9) + rng.normal(0, 8, x.shape) for k in range(3)], 2)
    out = io.BytesIO()
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(out, "JPEG", **options)
    return out.getvalue()


SETTINGS: list[dict[str, Any]] = [{}, {"progressive": True}, {"optimize": True, "restart_marker_blocks": 2}]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, left out or repeated."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if not changed:
            break
        at = rng.randrange(len(changed))
        kind = rng.randrange(4)
        if kind < 2:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del changed[at : at + rng.randint(1, 20)]
        else:
            changed[at:at] = changed[at : at + rng.randint(1, 20)]
    return bytes(changed)


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_a_damaged_file_is_refused_or_comes_back_as_it_is(options: dict[str, Any]) -> None:
    data, rng = written(**options), random.Random(3)
    outcomes = set()
    for case in [data[:size] for size in range(0, len(data), 7)] + [mutated(data, rng) for _ in range(300)]:
        try:
            image, _, recipe = parse_jpeg(case)
        except FormatError:
            outcomes.add("refused")
        else:
            assert rebuild_jpeg(image, recipe) == case
            outcomes.add("rebuilt")
    assert outcomes == {"refused", "rebuilt"}


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_a_damaged_recipe_never_gives_another_file(options: dict[str, Any]) -> None:
    data, rng = written(comment=b"a comment", **options), random.Random(4)
    image, _, recipe = parse_jpeg(data)
    for case in [recipe[:size] for size in range(len(recipe))] + [mutated(recipe, rng) for _ in range(300)]:
        with suppress(FormatError):
            assert rebuild_jpeg(image, case) == data


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_other_coefficients_are_noticed(options: dict[str, Any]) -> None:
    image, _, recipe = parse_jpeg(written(**options))
    for value in (1, -1, 1023, -1024, 32767, -32768):
        image.values(1)[2, 2, 5] += np.int16(value)
        with pytest.raises(FormatError):
            rebuild_jpeg(image, recipe)
        image.values(1)[2, 2, 5] -= np.int16(value)


def test_a_recipe_for_another_image_is_noticed() -> None:
    image, frame, recipe = parse_jpeg(written())
    assert isinstance(image, Coefficients)
    with pytest.raises(ChecksumError):
        rebuild_jpeg(parse_frame(frame, image.width, image.height + 8), recipe)


def test_a_damaged_frame_is_refused() -> None:
    image, frame, _ = parse_jpeg(written(qtables=[list(range(1, 65))] * 2))
    rng = random.Random(5)
    for case in [frame[:size] for size in range(len(frame))] + [mutated(frame, rng) for _ in range(200)]:
        try:
            parse_frame(case, image.width, image.height)
        except FormatError:
            continue
        assert case != frame[: len(case)] or case == frame
