"""Context models as files: networks of three efforts, and perhaps one of effort 0, in a file of integers and answers.

    <effort>.<role>.<layer>.weight int8, .factor float32, of stem and head .bias float32

A network that equals another of the file has no tensors: its entry in the metadata names the other, under `same_as`.
Roles: `direct` codes pixels straight to exact, `single` after one noise level, `last` after several; `band1`, `band2`,
`band3` code noise levels of the finest band, the second, and all coarser ones; `preview`, which a file need not have,
corrects previews. The metadata hold how many components the mixtures of each network have, and the sha256 of what it
answers to seeded inputs. A network that is used is asked again: a machine that computes something else must not code.
The metadata also hold a hash of all bytes (`models.model_file`), which the answers do not cover. Networks of another
architecture (`models.architectures`) have tensors of their own, and the metadata name it.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from ddpmcodec import _native, models
from ddpmcodec._native import MAX_EFFORT, MIN_EFFORT
from ddpmcodec.errors import ModelError
from ddpmcodec.models import architectures, model_file

KIND = "context"
EFFORTS = tuple(range(1, MAX_EFFORT + 1))  # whose networks each model has
CODING_EFFORTS = tuple(range(MIN_EFFORT, MAX_EFFORT + 1))  # that a file can have
BAND_ROLES = ("band1", "band2", "band3")
ROLES = ("direct", "single", "last", *BAND_ROLES)  # that code, and each effort has
PREVIEW = "preview"  # the role of a network that corrects previews, which an effort may have
FASTEST = "0.direct"  # of effort 0, which a file may have; all its other networks are those of effort 1
SAME_AS = "same_as"  # in a network's entry, instead of all else: the network of the file that it equals
ContextModel = _native.ContextModel
Tensors = Mapping[str, NDArray[Any]]
Tensor = TypeVar("Tensor")  # of NumPy or of PyTorch


def pixels_role(levels: int) -> str:
    """Return the role of the network of exact pixels after so many noise levels.

    >>> pixels_role(1)
    'single'
    """
    return {0: "direct", 1: "single"}.get(levels, "last")


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix and a point, by their names without both."""
    start = f"{prefix}."
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def network_of(
    tensors: Mapping[str, NDArray[Any]], role: str, components: int, architecture: type | None = None,
    conditions: int | None = None,
) -> _native.ContextNetwork:  # fmt: skip
    """A network from its tensors. architecture: its class; None: the core's own, whose tensors say how many conditions
    it has. conditions: of another one; None: all that there are. Raises ModelError where they are not those of this
    role."""
    try:
        return architectures.made(architecture, tensors, contract_role(role), components, conditions)
    except (LookupError, TypeError, ValueError) as error:
        raise ModelError(f"a network of the role {role}: {error}; export the model again") from error


def contract_role(role: str) -> str:
    """The role in a `Contract`, which all bands share, and networks of exact pixels after noise levels."""
    return "band" if role in BAND_ROLES else "last" if role == "single" else role


def pack(
    tensors: Tensors, components: Mapping[str, int], name: str, training: Mapping[str, Any] | None = None,
    named: Mapping[str, str] | None = None, conditions: Mapping[str, int] | None = None,
) -> bytes:  # fmt: skip
    """The bytes of a model file, which has equal networks once. components: by '<effort>.<role>', as `named`, the
    architectures that are not the core's, and `conditions`, how many those have, where not all that there are.
    training: facts about its making, kept in the metadata."""
    networks: dict[str, dict[str, Any]] = {}
    stored: dict[str, NDArray[Any]] = {}
    first: dict[tuple[object, ...], str] = {}  # of equal networks, by all that makes them equal
    for key, count in sorted(components.items()):
        own, architecture, known = part(tensors, key), (named or {}).get(key), (conditions or {}).get(key)
        own = {layer: np.ascontiguousarray(own[layer]) for layer in sorted(own)}
        same = first.setdefault((contract_role(key[2:]), count, architecture, known, save(own)), key)
        if same == key:
            networks[key] = _entry(key, own, count, architecture, known)
            stored |= {f"{key}.{layer}": tensor for layer, tensor in own.items()}
        else:
            networks[key] = {SAME_AS: same}
    return model_file.pack(stored, KIND, name, {"networks": networks, "training": dict(training or {})})


def _entry(
    key: str, tensors: Tensors, components: int, architecture: str | None, conditions: int | None
) -> dict[str, Any]:
    """What a file says of a network of its own. Raises ModelError where its outputs depend on how many rows it is asked
    at a time."""
    role, network_class = key[2:], architectures.find(architecture) if architecture else None
    network = network_of(tensors, role, components, network_class, conditions)
    entry = {"components": components, "answer": network.answer(contract_role(role))}
    if architecture is None:
        return entry
    if network.answer(contract_role(role), one_by_one=True) != entry["answer"]:
        raise ModelError(
            f"network {key}, of the architecture {architecture!r}, computes something else where it is asked for"
            " fewer positions at a time: files would not decode; add up integers, as `exact_sums` does"
        )
    return entry | {"architecture": architecture, "conditions": network.conditions}


def parse(data: bytes, source: str, number: int = 0, known_id: bytes | None = None) -> ContextModel:
    """Return the model of a file, whose networks of other architectures are made here.

    Parameters:
        data: the file.
        source: what errors call it.
        number: that of an embedded model; 0 of others.
        known_id: sha256 of the data, if they have been compared with it; None: they must be as they were sealed.

    Raises:
        ModelError: if it is not such a model, is damaged, or needs an architecture that nothing registers.
    """
    model = ContextModel.parse(data, source, number, known_id)
    named = {key: facts.architecture for key, facts in model.facts.items() if facts.architecture is not None}
    if not named:
        return model
    classes = {key: architectures.find(name) for key, name in named.items()}

    def made(key: str) -> _native.ContextNetwork:
        facts = model.facts[key]
        return network_of(part(tensors_of(model), key), key[2:], facts.components, classes[key], facts.conditions)

    return ContextModel.parse(data, source, number, model.id, made)


@cache
def embedded(name: str) -> ContextModel:
    """Return a model that comes with the package. Raises ModelError."""
    return parse(models.read(name), name, models.NUMBERS.get(name, 0), models.ids()[name])


def _reduced(model: ContextModel) -> tuple[Any, ...]:
    if model.number:
        return embedded, (_native.EMBEDDED_MODELS[model.number - 1],)
    return parse, (model.file, model.name, 0, model.id)


copyreg.pickle(ContextModel, _reduced)  # processes that load images are sent models


def tensors_of(model: ContextModel) -> dict[str, NDArray[Any]]:
    """Return the tensors of all networks, by the names that they have in a file. Equal networks share theirs. Raises
    ModelError for types that NumPy lacks."""
    stored = model_file.stored(model.file, model.name)
    return {
        f"{key}.{layer}": tensor
        for key, facts in model.facts.items()
        for layer, tensor in part(stored, facts.stored).items()
    }
