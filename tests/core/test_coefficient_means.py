"""Previews of JPEG files show conditional means of coefficients that are not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from coefficients import PREDICTORS, drawn, geometry, tensors

from ddpmcodec._native import CoefficientModel
from ddpmcodec.models import jpeg
from native_testing import testing

OWN_DC = 4 * 64  # the entry of a predictor
PREDICTED = 15  # ranks
SIZES = [(8, 12), (4, 6), (4, 6)]


@pytest.fixture(scope="module")
def model() -> Any:
    """One whose first linear sum is the block's own DC, halved."""
    changed = dict(tensors())
    for key in PREDICTORS:
        gaps, weights = (changed[f"{key}.linear.{name}"].copy() for name in ("gap", "weight"))
        weights[:, 0] = 0
        gaps[:, 0, :2], weights[:, 0, 1] = (255, OWN_DC - 256), 1000
        factors = changed[f"{key}.linear.factor"].copy()
        factors[:, 0] = 0.0005
        changed |= {f"{key}.linear.gap": gaps, f"{key}.linear.weight": weights, f"{key}.linear.factor": factors}
    return CoefficientModel.parse(jpeg.pack(changed, "halves"), "halves")


def test_unknown_coefficients_have_their_means(model: Any) -> None:
    components = drawn(SIZES)
    chunks, _ = testing.encode_coefficients(model, 2, components)
    values, _, _ = testing.decode_coefficients(model, 2, geometry(components), chunks[:2], with_means=True)
    for found, (steps, exact) in zip(values, components, strict=True):
        assert np.array_equal(found[..., :3], exact[..., :3])
        means = (exact[..., :1] * steps[0] / 2 / np.array(steps)).clip(-1024, 1023)
        assert np.abs(found - means)[..., 3:PREDICTED].max() <= 0.51
        assert not found[..., PREDICTED:].any()


def test_blocks_that_have_ended_stay_as_they_are(model: Any) -> None:
    components = drawn(SIZES)
    for _, exact in components:
        exact[::2, :, 3:] = 0
    chunks, _ = testing.encode_coefficients(model, 2, components)
    values, _, _ = testing.decode_coefficients(model, 2, geometry(components), chunks[:3], with_means=True)
    for found, (_, exact) in zip(values, components, strict=True):
        assert np.array_equal(found[::2], exact[::2])


@pytest.mark.parametrize("length", [0, 8, 40, 90, 200])
def test_coefficients_that_a_cut_chunk_has_are_shown(model: Any, length: int) -> None:
    components = drawn(SIZES)
    chunks, _ = testing.encode_coefficients(model, 2, components)
    cut = [chunks[0], chunks[1][:length]]
    plain, done, _ = testing.decode_coefficients(model, 2, geometry(components), cut, is_cut=True)
    means, _, _ = testing.decode_coefficients(model, 2, geometry(components), cut, is_cut=True, with_means=True)
    assert done == 1
    for known, found in zip(plain, means, strict=True):
        assert np.array_equal(found[known != 0], known[known != 0])


def test_a_whole_tile_has_no_means(model: Any) -> None:
    components = drawn(SIZES)
    chunks, _ = testing.encode_coefficients(model, 2, components)
    values, _, ended_well = testing.decode_coefficients(model, 2, geometry(components), chunks, with_means=True)
    assert ended_well
    assert all(np.array_equal(found, exact) for found, (_, exact) in zip(values, components, strict=True))
