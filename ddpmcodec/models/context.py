"""Context models as files: networks of three efforts, and perhaps one of effort 0, in a file of integers and answers.

    <effort>.<role>.<layer>.weight int8, .factor float32, of stem and head .bias float32

A network that equals another of the file has no tensors: its entry in the metadata names the other, under `same_as`.
Roles: `direct` codes pixels straight to exact, `single` after one noise level, `last` after several; `band1`, `band2`,
`band3` code noise levels of the finest band, the second, and all coarser ones; `preview`, which a file need not have,
corrects previews. The metadata hold how many components the mixtures of each network have, and the sha256 of what it
answers to seeded inputs. A network that is used is asked again: a machine that computes something else must not code.
The metadata also hold a hash of all bytes (`format.model_file`), which the answers do not cover. Networks of another
architecture (`models.architectures`) have tensors of their own, and the metadata name it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ddpmcodec import _native
from ddpmcodec._native import LARGEST_NUMBER, MAX_EFFORT, MIN_EFFORT
from ddpmcodec.errors import ModelError
from ddpmcodec.format import model_file
from ddpmcodec.models import architectures

KIND = "context"
EFFORTS = tuple(range(1, MAX_EFFORT + 1))  # whose networks each model has
CODING_EFFORTS = tuple(range(MIN_EFFORT, MAX_EFFORT + 1))  # that a file can have
BAND_ROLES = ("band1", "band2", "band3")
ROLES = ("direct", "single", "last", *BAND_ROLES)  # that code, and each effort has
PREVIEW = "preview"  # the role of a network that corrects previews, which an effort may have
FASTEST = "0.direct"  # of effort 0, which a file may have; all its other networks are those of effort 1
ANSWER_ROWS, ANSWER_WIDTH = 24, 6  # pixels of a small image, as far as a network looks at others'
SAME_AS = "same_as"  # in a network's entry, instead of all else: the network of the file that it equals
Tensors = Mapping[str, NDArray[Any]]
Tensor = TypeVar("Tensor")  # of NumPy or of PyTorch


class ContextModel:
    """A model as it was read: its networks are made when they are asked for.

    id: sha256 of the file. number: of an embedded model, 0 of another one. tensors: of all networks, by the names that
    they have in a file; equal networks share theirs. facts: by '<effort>.<role>' what the file says of a network
    (`components`, `answer`, `architecture`, `conditions`), and as `stored` the network whose tensors it has, mostly its
    own.
    """

    def __init__(self, name: str, model_id: bytes, number: int, tensors: Tensors, facts: Mapping[str, Any]) -> None:
        """Raises ModelError where networks are of an architecture that nothing registers."""
        self.name, self.id, self.number = name, model_id, number
        self.tensors, self.facts = tensors, facts
        named = {key: network["architecture"] for key, network in facts.items() if "architecture" in network}
        self._architectures = {key: architectures.find(name) for key, name in named.items()}
        self._made: dict[str, _native.ContextNetwork] = {}  # by the name that they are stored under
        self.file = b""
        self._core: _native.ContextModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The state without networks, which are made again."""
        return {**self.__dict__, "_made": {}, "_core": None}

    @property
    def core(self) -> _native.ContextModel:
        """The model as the core reads it."""
        if self._core is None:
            self._core = _native.ContextModel.parse(self.file, self.name, self.number, self.id, self._of_key)
        return self._core

    def _of_key(self, key: str) -> _native.ContextNetwork:
        effort, role = key.split(".")
        return self._network(int(effort), role)

    def networks(self, effort: int, levels: int) -> list[_native.ContextNetwork]:
        """The network of exact pixels, and where there are noise levels those of the bands, and that of previews if
        there is one. Raises ModelError where they do not compute here what they must, or were trained before there was
        a schedule of so many levels."""
        if not levels:
            return [self._network(effort, pixels_role(levels))]
        effort = max(effort, 1)
        bands = [self._network(effort, role) for role in BAND_ROLES]
        last_step, _ = _native.SCHEDULES[levels][-1]
        if any(band.conditions <= last_step * _native.BANDS_OF_STEP for band in bands):
            raise ModelError(
                f"{self.name}: its networks do not know the schedule of {levels} noise levels, which is newer: choose"
                " another number of levels, or train its bands on (docs/training.md)"
            )
        preview = [self._network(effort, PREVIEW)] if f"{effort}.{PREVIEW}" in self.facts else []
        return [self._network(effort, pixels_role(levels)), *bands, *preview]

    def _network(self, effort: int, role: str) -> _native.ContextNetwork:
        facts = self.facts[self._key(effort, role)]
        key = facts["stored"]
        if key not in self._made:
            tensors = part(self.tensors, key)
            architecture = self._architectures.get(key)
            network = network_of(tensors, role, facts["components"], architecture, facts.get("conditions"))
            if answer(network, role) != facts["answer"]:
                raise ModelError(
                    f"{self.name}: its networks do not compute here what they must: the file is damaged, or this"
                    " machine's arithmetic differs; files would not decode elsewhere"
                )
            self._made[key] = network
        return self._made[key]

    def _key(self, effort: int, role: str) -> str:
        key = f"{effort}.{role}"
        return key if effort or key in self.facts else f"1.{role}"

    def macs(self, effort: int, role: str) -> int:
        """Multiply-accumulates of a position."""
        tensors = part(self.tensors, self._key(effort, role))
        return sum(tensor.size for name, tensor in tensors.items() if name.endswith("weight"))


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


def answer(network: _native.ContextNetwork, role: str, together: int = ANSWER_ROWS) -> str:
    """sha256 of the outputs for seeded inputs (numpy's Philox 4x64), in up to three conditions. together: how many rows
    the network is asked at a time; fewer than all: each row is alone."""
    inputs, _, _ = _native.contract(contract_role(role), network.components)
    conditions = network.conditions
    raw = np.random.Philox(key=1).random_raw(ANSWER_ROWS * inputs).reshape(ANSWER_ROWS, inputs)
    rows = (raw % 256).astype(np.uint8)
    digest = hashlib.sha256()
    for condition in sorted({0, conditions // 2, conditions - 1}):
        for first in range(0, ANSWER_ROWS, together):
            asked = rows[first : first + together]
            found = network.outputs(asked, condition, ANSWER_WIDTH if len(asked) == ANSWER_ROWS else 0)
            digest.update(found.astype("<i4").tobytes())
    return digest.hexdigest()


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
    entry = {"components": components, "answer": answer(network, role)}
    if architecture is None:
        return entry
    if answer(network, role, together=1) != entry["answer"]:
        raise ModelError(
            f"network {key}, of the architecture {architecture!r}, computes something else where it is asked for"
            " fewer positions at a time: files would not decode; add up integers, as `exact_sums` does"
        )
    return entry | {"architecture": architecture, "conditions": network.conditions}


def parse(data: bytes, source: str, number: int = 0, model_id: bytes | None = None) -> ContextModel:
    """A model from the bytes of its file. source: what errors call it. model_id: sha256 of the bytes, where they have
    been compared with it; otherwise they are hashed, and must be as they were sealed. Raises ModelError."""
    metadata = model_file.metadata(data, source, KIND, is_known=model_id is not None)
    try:
        stored = load(data)
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{source}: the model file is damaged ({error}); get it again") from error
    facts = _facts(metadata.get("networks"), source)
    for key, tensor in stored.items():
        if np.issubdtype(tensor.dtype, np.floating) and not _is_bounded(tensor):
            raise ModelError(f"{source}: {key} holds numbers beyond {LARGEST_NUMBER}; export the model again")
    tensors = {
        f"{key}.{layer}": tensor for key, own in facts.items() for layer, tensor in part(stored, own["stored"]).items()
    }
    model_id = model_id or hashlib.sha256(data).digest()
    model = ContextModel(str(metadata.get("name")), model_id, number, tensors, facts)
    model.file = data
    return model


def _is_bounded(tensor: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):  # of signalling NaNs, which are not bounded either
        return bool((np.abs(tensor.astype(np.float64)) <= LARGEST_NUMBER).all())


def _facts(networks: Any, source: str) -> dict[str, dict[str, Any]]:
    """`ContextModel.facts`, from the entries of a file. Raises ModelError."""
    wanted = {f"{effort}.{role}" for effort in EFFORTS for role in ROLES}
    others = {f"{effort}.{PREVIEW}" for effort in EFFORTS} | {FASTEST}
    if not isinstance(networks, dict) or set(networks) - others != wanted:
        raise ModelError(
            f"{source}: it must hold networks of {len(EFFORTS)} efforts, of {len(ROLES)} roles each; export it again"
        )
    entries = {key: entry if isinstance(entry, dict) else {} for key, entry in networks.items()}
    stored = {key: entry for key, entry in entries.items() if SAME_AS not in entry}
    for key, entry in stored.items():
        counts = entry.get("components"), entry.get("conditions", 1)
        are_counts = all(type(count) is int and count > 0 for count in counts)
        if not are_counts or not isinstance(entry.get("architecture", ""), str):
            raise ModelError(f"{source}: it does not say what network {key} is; export the model again")
    named = {key: entry.get(SAME_AS, key) for key, entry in entries.items()}
    for key, same in named.items():
        if not isinstance(same, str) or same not in stored:
            raise ModelError(
                f"{source}: network {key} is to equal {same!r}, which the file does not hold; export the model again"
            )
        if contract_role(same[2:]) != contract_role(key[2:]):
            raise ModelError(f"{source}: network {key} cannot equal {same}, of another role; export the model again")
    return {key: {**stored[same], "stored": same} for key, same in named.items()}
