"""What a model file of the context model may hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from ddpmcodec.errors import ModelError
from ddpmcodec.models import model_file
from ddpmcodec.models.context import KIND, parse, tensors_of
from ddpmcodec.models.model_file import KEY, seal
from ddpmcodec.models.registry import read

FACTOR, WEIGHT = "1.direct.stem.factor", "1.direct.stem.weight"


def forged(path: Path, key: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> bytes:
    """The model with another tensor, sealed."""
    data = path.read_bytes()
    tensors = {name: change(tensor) if name == key else tensor for name, tensor in load(data).items()}
    return seal(save(tensors, {KEY: json.dumps(model_file.metadata(data, "a model", KIND))}))


@pytest.mark.parametrize(("key", "kind"), [(FACTOR, np.float64), (FACTOR, np.float16), (WEIGHT, np.float32)])
def test_tensors_of_another_type_are_refused(context_path: Path, key: str, kind: type) -> None:
    model = parse(forged(context_path, key, lambda tensor: tensor.astype(kind)), "forged")
    with pytest.raises(ModelError, match=r"direct: stem\.\w+: expected"):
        model.networks(1, 0)


def test_tensors_of_types_that_numpy_lacks_are_not_given(context_path: Path) -> None:
    data = context_path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    begin, stop = header[FACTOR]["data_offsets"]
    header[FACTOR] |= {"dtype": "BF16", "shape": [(stop - begin) // 2]}
    text = json.dumps(header).encode()
    model = parse(seal(len(text).to_bytes(8, "little") + text + data[end:]), "forged")
    with pytest.raises(ModelError, match="damaged"):
        tensors_of(model)


# --- the network of previews


def of_photo(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The embedded model with other entries of networks, sealed."""
    data = read("photo")
    facts = model_file.metadata(data, "photo", KIND)
    change(facts["networks"])
    return seal(save(load(data), {KEY: json.dumps(facts)}))


def test_an_effort_may_lack_a_network_of_previews() -> None:
    model = parse(of_photo(lambda networks: networks.pop("2.preview")), "forged")
    assert [len(model.networks(effort, 2)) for effort in (1, 2, 3)] == [5, 4, 5]
    assert len(model.networks(1, 0)) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"same_as": "2.direct"}, "2.direct, of another role"),
        ({"same_as": "3.preview"}, "does not hold"),
        ({"answer": "?"}, "2.preview"),
    ],
)
def test_entries_of_networks_of_previews_are_checked(entry: dict[str, str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse(of_photo(lambda networks: networks.update({"2.preview": entry})), "forged")


@pytest.mark.usefixtures("linear")
def test_a_network_of_previews_is_of_no_other_architecture() -> None:
    entry = {"components": 1, "answer": "?", "architecture": "linear", "conditions": 1}
    model = parse(of_photo(lambda networks: networks.update({"1.preview": entry, "2.preview": entry})), "forged")
    with pytest.raises(ModelError, match="preview"):
        model.networks(1, 2)
