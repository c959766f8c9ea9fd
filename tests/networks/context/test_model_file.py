"""Context models as files: whole ones load, and whatever is wrong with others is said."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.format.seal import seal
from ddpmcodec.networks.context import model_file
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.model_file import layout, load_model, pack, parse
from ddpmcodec.networks.context.shape import BAND_KINDS
from ddpmcodec.networks.model_file import LARGEST_HEADER, described
from ddpmcodec.networks.reconstruction import Denoiser

Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def data(context_path: Path) -> bytes:
    return context_path.read_bytes()


@pytest.fixture
def tensors(data: bytes) -> Tensors:
    return load(data)


def with_metadata(data: bytes, **changed: Any) -> bytes:
    metadata = described(data, "model") | changed
    return seal(save(load(data), {"ddpmcodec": json.dumps(metadata)}))


def test_a_model_is_what_was_packed(data: bytes, tensors: Tensors, context_model: ContextModel) -> None:
    assert pack(tensors, "golden") == data
    assert context_model.name == "golden"
    assert context_model.id == hashlib.sha256(data).digest()
    assert len(context_model.networks) == BAND_KINDS
    np.testing.assert_array_equal(context_model.initial, tensors["adaptation"])
    assert context_model.denoiser == {}


def test_facts_of_training_are_kept(tensors: Tensors) -> None:
    packed = pack(tensors, "other", {"images": 7, "hours": 0.5})
    assert described(packed, "model")["training"] == {"images": 7, "hours": 0.5}
    assert parse(packed, "model").name == "other"


def test_a_denoiser_comes_with_the_model(tensors: Tensors) -> None:
    denoiser = {f"denoiser.{key}": value.numpy() for key, value in Denoiser().state_dict().items()}
    found = parse(pack(tensors | denoiser, "with"), "model")
    assert found.denoiser.keys() == Denoiser().state_dict().keys()


# --- what is refused


@pytest.mark.parametrize("name", ["adaptation", "band0.enter.weight", "band1.block2.factor", "band2.leave.bias"])
def test_a_tensor_that_is_missing_or_of_another_shape_is_named(
    context_model: ContextModel, data: bytes, tensors: Tensors, name: str
) -> None:
    dtype, shape = layout(context_model.shape)[name]
    metadata = {"ddpmcodec": json.dumps(described(data, "model"))}
    wrong: list[tuple[Tensors, str]] = [
        ({key: value for key, value in tensors.items() if key != name}, "nothing"),
        (tensors | {name: tensors[name][..., :-1].copy()}, f"{dtype} {[*shape[:-1], shape[-1] - 1]}"),
        (tensors | {name: tensors[name].astype(np.int64)}, f"int64 {list(shape)}"),
    ]
    for found, what in wrong:
        with pytest.raises(ModelError) as error:
            parse(seal(save(found, metadata)), "my model")
        text = f"my model: {name} must be {dtype} {list(shape)}, found {what}; export the model again"
        assert str(error.value) == text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2e6])
@pytest.mark.parametrize("name", ["band0.enter.factor", "band2.leave.bias"])
def test_numbers_that_would_not_stay_finite_are_refused(data: bytes, name: str, value: float) -> None:
    tensors = load(data)
    tensors[name].flat[5] = value
    with pytest.raises(ModelError, match=f"{re.escape(name)} holds numbers beyond 1048576"):
        parse(seal(save(tensors, {"ddpmcodec": json.dumps(described(data, "m"))})), "m")


@pytest.mark.parametrize("value", [np.iinfo(np.int32).min, np.iinfo(np.int32).max])
def test_an_adaptation_that_would_overflow_is_refused(data: bytes, value: int) -> None:
    tensors = load(data)
    tensors["adaptation"].flat[5] = value
    with pytest.raises(ModelError, match="adaptation holds numbers beyond 536870911"):
        parse(seal(save(tensors, {"ddpmcodec": json.dumps(described(data, "m"))})), "m")


@pytest.mark.parametrize("name", ["band0.enter.weight", "band1.block0.factor", "band2.leave.weight"])
def test_networks_that_compute_something_else_are_refused(data: bytes, name: str) -> None:
    tensors = load(data)
    tensors[name].flat[:200] += 1
    with pytest.raises(ModelError, match="m: its networks do not compute here what they must"):
        parse(seal(save(tensors, {"ddpmcodec": json.dumps(described(data, "m"))})), "m")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "ddpm"}, "m: a model of kind 'ddpm'; one of kind 'context' is needed here"),
        ({"format": 2}, "m: model format 2, this version reads 1; update ddpmcodec"),
        ({"kind": None}, "m: not a ddpmcodec model, but some other file"),
    ],
)
def test_models_of_another_kind_or_format_are_refused(data: bytes, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse(with_metadata(data, **changed), "m")


@pytest.mark.parametrize(
    "shape", [None, [], [192], [192, 3, 1], [192.0, 3], ["192", 3], [True, 3], [200, 3], [1 << 40, 3], [0, 3], [192, 0]]
)
def test_shapes_that_networks_do_not_have_are_refused(data: bytes, shape: Any) -> None:
    with pytest.raises(ModelError, match="multiples of 16 up to 512, with 1 to 8 blocks: the file is damaged"):
        parse(with_metadata(data, shape=shape), "m")


@pytest.mark.parametrize("answers", [None, [], "x", ["0" * 64] * 3])
def test_answers_must_be_there_and_right(data: bytes, answers: Any) -> None:
    with pytest.raises(ModelError, match="its networks do not compute here what they must"):
        parse(with_metadata(data, answers=answers), "m")


EMPTY = b"\2\0\0\0\0\0\0\0"


@pytest.mark.parametrize("changed", [b"", b"\0" * 7, b"{}", EMPTY + b"{}", EMPTY + b"[]", b"GIF89a" * 9])
def test_other_files_are_no_models(changed: bytes) -> None:
    with pytest.raises(ModelError, match="some file: not a ddpmcodec model, but some other file"):
        parse(changed, "some file")


def test_headers_are_read_up_to_a_size_that_models_have() -> None:
    """JSON takes fifty times its size in memory."""
    text = b'{"__metadata__":{"ddpmcodec":"{}","x":"%s"}}' % bytes(LARGEST_HEADER).replace(b"\0", b"x")
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        parse(len(text).to_bytes(8, "little") + text, "m")


@pytest.mark.parametrize("end", [9, 400, 3000, -1])
def test_a_cut_model_is_refused(data: bytes, end: int) -> None:
    with pytest.raises(ModelError, match=r"not a ddpmcodec model|the model file is damaged"):
        parse(data[:end], "m")


class _Denoisers:
    """Denoisers that are not one."""

    @staticmethod
    def missing(found: Tensors) -> None:
        del found["denoiser.leave.bias"]

    @staticmethod
    def narrower(found: Tensors) -> None:
        found["denoiser.enter.weight"] = found["denoiser.enter.weight"][:-1].copy()

    @staticmethod
    def not_finite(found: Tensors) -> None:
        found["denoiser.enter.bias"][0] = np.nan

    @staticmethod
    def huge(found: Tensors) -> None:
        found["denoiser.enter.weight"][0] = 3e38

    @staticmethod
    def of_other_numbers(found: Tensors) -> None:
        found["denoiser.enter.bias"] = np.full(len(found["denoiser.enter.bias"]), 1e300)


DENOISERS = [
    _Denoisers.missing, _Denoisers.narrower, _Denoisers.not_finite, _Denoisers.huge, _Denoisers.of_other_numbers
]  # fmt: skip


@pytest.mark.parametrize("damage", DENOISERS)
def test_a_denoiser_that_is_none_is_refused(tensors: Tensors, damage: Callable[[Tensors], None]) -> None:
    denoiser = {f"denoiser.{key}": value.numpy().copy() for key, value in Denoiser().state_dict().items()}
    damage(denoiser)
    with pytest.raises(ModelError, match=r"m: .*denoiser"):
        parse(pack(tensors | denoiser, "with"), "m")


def test_a_flipped_bit_anywhere_is_refused(data: bytes) -> None:
    """Of weights that no known answer sees, of the adaptation, of facts: the id would be another one."""
    rng = np.random.default_rng(0)
    for place in np.concatenate([rng.integers(0, 4000, 60), rng.integers(4000, len(data), 200)]):
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.integers(8)
        with pytest.raises(ModelError, match=r"^m: "):
            parse(bytes(damaged), "m")


def test_a_model_without_a_hash_of_itself_is_refused(data: bytes, tensors: Tensors) -> None:
    metadata = described(data, "m")
    del metadata["sha256"]
    with pytest.raises(ModelError, match="m: the model file carries no hash of itself; export the model again"):
        parse(save(tensors, {"ddpmcodec": json.dumps(metadata)}), "m")


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=3))
def test_only_model_errors_escape(data: bytes, changes: list[tuple[int, bytes]]) -> None:
    """Of a file whose header of names, dtypes and shapes is damaged."""
    for place, value in changes:
        data = data[:place] + value + data[place + len(value) :]
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
        data = seal(data)  # as an adversary does
    with contextlib.suppress(ModelError):
        assert parse(data, "m").id == hashlib.sha256(data).digest()


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "U64", "BOOL", "X"])
def test_other_dtypes_are_refused(data: bytes, dtype: str) -> None:
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].replace(b'"dtype":"F32"', f'"dtype":"{dtype}"'.encode(), 1)
    with pytest.raises(ModelError, match=r"^m: "):
        parse(seal(len(header).to_bytes(8, "little") + header + data[8 + length :]), "m")


# --- embedded ones


def test_every_embedded_model_loads_by_name_and_is_found_by_id() -> None:
    for name in (models.DEFAULT, models.PHOTO):
        found = load_model(name)
        assert load_model(name) is found
        assert model_file.find_model(found.id[:4]) is found
        assert load_model(str(models.path(name))).id == found.id


def test_an_unknown_id_is_named_beside_those_that_there_are() -> None:
    with pytest.raises(ModelError, match=r"written with model 00000000, and the embedded models are [0-9a-f]{8} \("):
        model_file.find_model(bytes(4))
