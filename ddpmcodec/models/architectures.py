"""Architectures of networks, by the names that model files give them. The core has one, `residual`; others are classes
that register here, as docs/extending.md shows.

A network of another architecture predicts in Python, on one thread, and neither its weights nor colours learn from an
image. All else is the core's: which positions there are and what they see, distributions, streams, checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec._native import ZERO
from ddpmcodec.errors import ModelError

RESIDUAL = "residual"
ENTRY_POINTS = "ddpmcodec.networks"  # group in which a package says which module registers an architecture
LARGEST_INPUTS = 1024  # as many inputs have exact float32 sums


class Contract(NamedTuple):
    """What goes in and out of a network (`_core/networks/contract.h`, docs/architecture.md)."""

    role: str  # "direct", "last" or "band"
    components: int  # of mixtures
    inputs: int
    outputs: int
    conditions: int  # of bands: which step and band, of the steps that there were when it was trained; otherwise 1


class Network(Protocol):
    """What a registered class makes of the tensors of a network.

    It is called with them and with a `Contract`, and may have `trainable(shape)`, which gives a
    `training.trainable.Trainable` to train.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], contract: Contract) -> None: ...

    def outputs(self, rows: NDArray[np.uint8], condition: int) -> NDArray[np.int32]:
        """int32 [M, outputs] of rows uint8 [M, inputs]: the same on every machine, whatever M is."""


Class = TypeVar("Class", bound=type)
_registered: dict[str, type] = {}


def register(name: str) -> Callable[[Class], Class]:
    """A decorator of classes: model files call its networks by this name.

    Raises ValueError where it is the core's own, or another class has it.

    >>> from ddpmcodec.models.architectures import register
    >>> @register("nothing")
    ... class Nothing:
    ...     def __init__(self, tensors, contract): ...
    """

    def kept(network: Class) -> Class:
        before = _registered.get(name)
        if name == RESIDUAL or (before and before.__qualname__ != network.__qualname__):
            raise ValueError(f"an architecture {name!r} is there already: give another name")
        _registered[name] = network
        return network

    return kept


def find(name: str) -> type:
    """The class of an architecture: a registered one, or that of an installed package's entry point.

    Raises ModelError where there is none, or its package cannot be imported. A model file alone never makes anything be
    imported.
    """
    if name not in _registered:
        from importlib.metadata import entry_points  # 20 ms, which networks of the core need not wait for

        for point in entry_points(group=ENTRY_POINTS, name=name):
            try:
                point.load()
            except Exception as error:  # of any kind, as it is somebody else's code
                raise ModelError(
                    f"networks of the architecture {name!r} are needed, and {point.value}, which has them, cannot be"
                    f" imported ({type(error).__name__}: {error}): mend or install that package"
                ) from error
    if name not in _registered:
        raise ModelError(
            f"networks of the architecture {name!r} are needed, which nothing registers here: import the module that"
            f" does, or install a package that has an entry point {name!r} in the group {ENTRY_POINTS}"
        )
    return _registered[name]


def contract_of(role: str, components: int, conditions: int | None = None) -> Contract:
    """The contract of networks of a role, "direct", "last" or "band". conditions: None: all that there are."""
    inputs, outputs, every = _native.contract(role, components)
    return Contract(role, components, inputs, outputs, conditions or every)


def made(
    architecture: type | None, tensors: Mapping[str, NDArray[Any]], role: str, components: int,
    conditions: int | None = None,
) -> _native.ContextNetwork:  # fmt: skip
    """A network for the core. architecture: its class; None: the core's own. conditions: of another architecture.
    Raises ValueError where the tensors do not fit."""
    kept = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    if architecture is None:
        return _native.ContextNetwork.make(kept, role, components)
    contract = contract_of(role, components, conditions)
    return _native.ContextNetwork.wrap(architecture(kept, contract), role, components, contract.conditions)


def exact_sums(rows: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[np.float32]:
    """Sums of products of inputs and weights, float32 [M, outputs] of integers: inputs less `ZERO`, weights
    [outputs, inputs]. Of up to 1,024 inputs all partial sums are below 2^24, so that they are exact in any order.

    >>> import numpy as np
    >>> from ddpmcodec.models.architectures import exact_sums
    >>> exact_sums(np.array([[129, 126]], np.uint8), np.array([[3, 1], [0, 5]], np.int8))
    array([[  1., -10.]], dtype=float32)
    """
    if rows.shape[1] > LARGEST_INPUTS:
        raise ValueError(f"sums of more than {LARGEST_INPUTS} inputs are not exact in float32")
    sums: NDArray[np.float32] = (rows.astype(np.float32) - ZERO) @ weights.astype(np.float32).T
    return sums
