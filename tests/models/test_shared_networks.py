"""Networks of a model file that equal each other: stored, loaded and checked once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

import ddpmcodec
from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.models import context, model_file
from ddpmcodec.models.context import EFFORTS, KIND, ROLES, ContextModel, pack, parse, tensors_of
from ddpmcodec.models.model_file import KEY, seal
from ddpmcodec.models.registry import find_context

NETWORKS = [f"{effort}.{role}" for effort in EFFORTS for role in ROLES]


def packed(tensors: dict[str, NDArray[Any]]) -> bytes:
    return pack(tensors, dict.fromkeys(NETWORKS, 2), "shared")


def entries(data: bytes) -> dict[str, Any]:
    """Of the networks, as the file has them."""
    found: dict[str, Any] = model_file.metadata(data, "a model", KIND)["networks"]
    return found


@pytest.fixture
def tensors(context_model: ContextModel) -> dict[str, NDArray[Any]]:
    """Of all networks; those of efforts 2 and 3 are the same."""
    own = {name: tensor for name, tensor in tensors_of(context_model).items() if not name.startswith("3.")}
    return own | {f"3{name[1:]}": tensor.copy() for name, tensor in own.items() if name.startswith("2.")}


@pytest.fixture
def shared(tensors: dict[str, NDArray[Any]]) -> bytes:
    return packed(tensors)


def test_equal_networks_are_stored_once(shared: bytes) -> None:
    found = entries(shared)
    assert {key for key in found if found[key] == {"same_as": f"2{key[1:]}"}} == {f"3.{role}" for role in ROLES}
    assert {name[0] for name in load(shared)} == {"1", "2"}


def test_they_are_made_once(shared: bytes) -> None:
    model = parse(shared, "shared")
    for levels in (0, 2):
        pairs = zip(model.networks(2, levels), model.networks(3, levels), strict=True)
        assert all(one is other for one, other in pairs)
    assert model.networks(1, 0)[0] is not model.networks(2, 0)[0]


def test_a_file_says_the_same_with_and_without_them(shared: bytes) -> None:
    facts = model_file.metadata(shared, "a model", KIND)
    facts["networks"] |= {f"3.{role}": facts["networks"][f"2.{role}"] for role in ROLES}
    whole = parse(seal(save(tensors_of(parse(shared, "shared")), {KEY: json.dumps(facts)})), "whole")
    assert all(whole.facts[key].stored == key for key in NETWORKS)
    image = np.random.default_rng(1).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    for effort in EFFORTS:
        data = ddpmcodec.encode(image, effort=effort, model=whole)
        again = ddpmcodec.encode(image, effort=effort, model=parse(shared, "shared"))
        assert len(data) == len(again)
        assert np.array_equal(ddpmcodec.decode(data, model=whole, as_array=True), image)


def test_packing_what_was_parsed_gives_the_same_file(shared: bytes) -> None:
    assert packed(tensors_of(parse(shared, "shared"))) == shared


@pytest.mark.parametrize("layer", ["stem.weight", "block1.factor", "head.bias"])
def test_networks_that_differ_in_one_number_are_both_stored(layer: str, tensors: dict[str, NDArray[Any]]) -> None:
    tensors[f"3.last.{layer}"].flat[-1] += 1
    assert "same_as" not in entries(packed(tensors))["3.last"]


def test_bands_may_equal_each_other(context_model: ContextModel) -> None:
    tensors = tensors_of(context_model)
    for layer, tensor in context.part(tensors, "1.band1").items():
        tensors[f"1.band2.{layer}"] = tensor
    found = entries(packed(tensors))
    assert {key: found[key] for key in NETWORKS if "same_as" in found[key]} == {"1.band2": {"same_as": "1.band1"}}
    networks = parse(packed(tensors), "shared").networks(1, 2)
    assert networks[1] is networks[2]


def test_a_network_that_is_not_there_is_missed_by_all_that_equal_it(shared: bytes) -> None:
    tensors = {name: tensor for name, tensor in load(shared).items() if not name.startswith("2.direct.")}
    facts = json.dumps(model_file.metadata(shared, "a model", KIND))
    model = parse(seal(save(tensors, {KEY: facts})), "shared")
    for effort in (2, 3):
        with pytest.raises(ModelError, match="direct"):
            model.networks(effort, 0)


def test_the_embedded_model_for_thumbnails_holds_nothing_twice() -> None:
    model = find_context(models.THUMBNAIL)
    shared = [f"3.{role}" for role in ROLES if role != "direct"]
    assert [key for key in NETWORKS if model.facts[key].stored != key] == shared


@pytest.mark.parametrize("name", models.CONTEXT_MODELS)
def test_embedded_models_hold_no_network_twice(name: str) -> None:
    model = find_context(name)
    tensors, stored = tensors_of(model), {facts.stored for facts in model.facts.values()}
    assert len({save(context.part(tensors, key)) for key in stored}) == len(stored)
