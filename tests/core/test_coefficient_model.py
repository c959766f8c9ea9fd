"""Models of JPEG coefficients: read if whole, refused if anything in them is not as it must be."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from coefficients import drawn, model_bytes, tensors

from ddpmcodec import models
from ddpmcodec._native import CoefficientModel
from ddpmcodec.errors import ModelError
from ddpmcodec.models import jpeg, model_file
from ddpmcodec.models.model_file import seal
from native_testing import testing

parse = CoefficientModel.parse


def changed(name: str, tensor: Any) -> dict[str, Any]:
    """The small model's tensors with another one; None: without it."""
    kept = {key: value for key, value in tensors().items() if key != name}
    return kept if tensor is None else kept | {name: tensor}


def filled(name: str, value: int) -> Any:
    return np.full_like(tensors()[name], value)


def test_efforts_have_networks_and_the_highest_those_of_the_second() -> None:
    model = parse(model_bytes(), "small")
    first, second, third = (testing.encode_coefficients(model, effort, drawn([(4, 4)]))[0] for effort in (1, 2, 3))
    assert first != second == third


def test_a_flipped_bit_is_noticed() -> None:
    data = model_bytes()
    for position in np.random.default_rng(1).integers(0, len(data), 60):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(ModelError):
            parse(bytes(damaged), "small").encode(2, drawn([(1, 1)]))


@pytest.mark.parametrize(
    ("name", "tensor", "word"),
    [
        ("1.luma.stem.weight", None, "stem.weight"),
        ("2.chroma.block1.bias", None, "block1.bias"),
        ("1.luma.stem.gain", np.zeros((68, 16), np.int16), "stem.gain"),
        ("predictors.luma.linear.weight", np.zeros((68, 5, 64), np.int8), "linear.weight"),
        ("predictors.luma.magnitude.gap", np.zeros((68, 16, 65), np.uint8), "predictor"),
    ],
)
def test_tensors_that_are_missing_or_others_are_refused(name: str, tensor: Any, word: str) -> None:
    with pytest.raises(ModelError, match=word):
        jpeg.pack(changed(name, tensor), "small")


def test_sums_that_32_bits_may_not_hold_are_refused() -> None:
    with pytest.raises(ModelError, match="65535"):
        jpeg.pack(changed("predictors.luma.linear.weight", filled("predictors.luma.linear.weight", -2000)), "small")
    with pytest.raises(ModelError, match="65535"):
        jpeg.pack(changed("predictors.luma.magnitude.weight", filled("predictors.luma.magnitude.weight", 10)), "small")


def test_weights_of_entries_that_there_are_not_are_refused() -> None:
    with pytest.raises(ModelError, match="entry"):
        jpeg.pack(changed("predictors.chroma.linear.gap", filled("predictors.chroma.linear.gap", 30)), "small")


def test_factors_below_zero_of_magnitudes_are_refused() -> None:
    with pytest.raises(ModelError, match="below zero"):
        jpeg.pack(changed("predictors.luma.magnitude.factor", filled("predictors.luma.magnitude.factor", -1)), "small")


def test_networks_that_compute_something_else_are_not_used() -> None:
    data = model_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    facts = json.loads(header["__metadata__"]["ddpmcodec"])
    facts["networks"]["2.luma"]["answer"] = facts["networks"]["1.luma"]["answer"]
    header["__metadata__"]["ddpmcodec"] = json.dumps(facts)
    text = json.dumps(header).encode()
    model = parse(seal(len(text).to_bytes(8, "little") + text + data[end:]), "small")
    testing.encode_coefficients(model, 1, drawn([(1, 1)]))
    with pytest.raises(ModelError, match="compute"):
        testing.encode_coefficients(model, 2, drawn([(1, 1)]))


def test_models_of_other_kinds_are_refused() -> None:
    with pytest.raises(ModelError, match="kind"):
        parse(models.path(min(models.NUMBERS)).read_bytes(), "context")
    with pytest.raises(ModelError, match="kind"):
        model_file.metadata(model_bytes(), "small", "context")
