"""From networks of coefficients in training to the integers of a model file (`models.jpeg`), and back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.models import jpeg, model_file
from ddpmcodec.models.context import part
from ddpmcodec.models.jpeg import KIND
from ddpmcodec.models.registry import read
from ddpmcodec.training import state
from ddpmcodec.training.coefficients.coefficient_network import (
    ROLES,
    SKIP_UNIT,
    STEM_UNIT,
    CoefficientNetwork,
    CoefficientShape,
)
from ddpmcodec.training.state import State
from ddpmcodec.training.trainable import ACTIVATION_UNIT, LARGEST_WEIGHT

PADDED = 16  # rows of weights are padded to multiples of it
GAIN_UNIT, BIAS_UNIT = 4096.0, 32.0  # integers per 1: of a gain; of a bias in steps of activations
LARGEST_SHORT, LARGEST_SUM = 32767, 65535  # of weights; of the weights of a sum, so that it fits 32 bits
PLACES, LARGEST_GAP = 60, 255  # a model file has 60 weights a sum, and skips at most 255 entries before one
OCTAVE, TOP_OCTAVE, NO_WEIGHT = 16, 14, 255  # weights of magnitudes are 2 ** (TOP_OCTAVE - number / OCTAVE)

PREDICTORS = "predictors"  # what a model file calls them
PREDICTING_EFFORT = 2  # whose networks are trained with predictors, which others take
SAME_WEIGHTS = 0.1  # relative error of weights that rounding in a model file may have changed

Tensors = dict[str, NDArray[np.generic]]


def key_of(role: str, effort: int | str) -> str:
    """Return what a model file calls a network of an effort, or its predictors.

    >>> key_of("luma", 2), key_of("refine-luma", PREDICTORS)
    ('2.luma', 'predictors.refine.luma')
    """
    return f"{effort}.{role.replace('-', '.')}"


def exported(networks: Mapping[str, CoefficientNetwork], effort: int) -> Tensors:
    """Return the tensors of networks of an effort, and of predictors if they are trained with it, under the names that
    they have in a model file."""
    found: Tensors = {}
    for role, network in networks.items():
        sparse = _sparse(network).cpu()
        found |= {f"{key_of(role, effort)}.{name}": tensor for name, tensor in _of(sparse).items()}
        if effort == PREDICTING_EFFORT:
            found |= {f"{key_of(role, PREDICTORS)}.{name}": tensor for name, tensor in _predictors_of(sparse).items()}
    return found


def _trained(effort: int) -> tuple[int | str, ...]:
    """What runs of an effort train, as keys begin."""
    return (effort, PREDICTORS) if effort == PREDICTING_EFFORT else (effort,)


def _sparse(network: CoefficientNetwork) -> CoefficientNetwork:
    if not network.is_sparse:  # the run is not done
        network = copy.deepcopy(network)
        network.prune()
    return network


@torch.no_grad()
def _of(network: CoefficientNetwork) -> Tensors:
    units, bias_unit = network.units, ACTIVATION_UNIT * BIAS_UNIT
    return {
        **_layer("stem", network.stem / STEM_UNIT, torch.tensor(ACTIVATION_UNIT)),
        "stem.gain": _short(network.gain * GAIN_UNIT),
        "stem.bias": _short(network.bias * bias_unit),
        **{
            name: tensor
            for number, (block, bias) in enumerate(zip(network.blocks, network.block_biases, strict=True))
            for name, tensor in {
                **_layer(f"block{number}", block, torch.tensor(1.0)),
                f"block{number}.bias": _short(bias * bias_unit),
            }.items()
        },
        **_layer("head", network.head, units / ACTIVATION_UNIT),
        "head.bias": (network.head_bias * units).float().numpy(),
        **_layer("skip", network.skip / SKIP_UNIT, units),
    }


def _predictors_of(network: CoefficientNetwork) -> Tensors:
    linear, magnitudes = network.weights()
    return {
        **_linear_sums(linear.numpy(), network.kept_linear.numpy() > 0),
        **_magnitude_sums(magnitudes.numpy(), network.kept_magnitudes.numpy() > 0),
    }


def _layer(name: str, weight: Tensor, unit: Tensor) -> Tensors:
    """The weights of a layer in eight bits, and the factors of its sums."""
    grid = weight.abs().amax(1).clamp(min=1e-8) / LARGEST_WEIGHT
    integers = (weight / grid[:, None]).round().clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT).to(torch.int8)
    padded = torch.nn.functional.pad(integers, (0, -weight.shape[1] % PADDED))
    return {f"{name}.weight": padded.numpy(), f"{name}.factor": (grid * unit).float().numpy()}


def _short(x: Tensor) -> NDArray[np.int16]:
    return x.round().clamp(-LARGEST_SHORT, LARGEST_SHORT).to(torch.int16).numpy()


def _linear_sums(weights: NDArray[np.float32], kept: NDArray[np.bool_]) -> Tensors:
    sizes = np.abs(weights)
    factor = np.maximum(sizes.sum(2) / (LARGEST_SUM - PLACES), sizes.max(2) / LARGEST_SHORT).clip(min=1e-12)
    integers = np.rint(weights / factor[:, :, None]).astype(np.int16)
    places = places_of(kept)
    return {
        "linear.gap": _gaps(places),
        "linear.weight": np.take_along_axis(integers, places, 2),
        "linear.factor": factor.astype(np.float32),
    }


def _magnitude_sums(weights: NDArray[np.float32], kept: NDArray[np.bool_]) -> Tensors:
    top, rounding = 2.0**TOP_OCTAVE, 2 ** (0.5 / OCTAVE)
    factor = np.maximum(weights.sum(2) * rounding / (LARGEST_SUM - PLACES), weights.max(2) / top).clip(min=1e-12)
    relative = weights / factor[:, :, None]
    numbers = np.rint(OCTAVE * (TOP_OCTAVE - np.log2(relative.clip(min=1 / top)))).clip(0, NO_WEIGHT - 1)
    numbers = np.where(kept & (relative >= 0.5), numbers, NO_WEIGHT).astype(np.uint8)
    places = places_of(kept)
    found = np.take_along_axis(numbers, places, 2)
    return {
        "magnitude.gap": _gaps(places),
        "magnitude.weight": found,
        "magnitude.factor": (weights.sum(2) / powers(found).sum(2).clip(min=1)).astype(np.float32),
    }


def powers(numbers: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the integers that numbers of magnitudes stand for."""
    return np.where(numbers == NO_WEIGHT, 0.0, np.floor(2.0 ** (TOP_OCTAVE - numbers.astype(np.int64) / OCTAVE) + 0.5))


def places_of(kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the 60 entries of each sum that have a place in a model file, in order and not too far apart.

    kept: which entries have weights, at most 58 of a sum, [conditions, sums, entries].
    """
    has_place = kept.copy()
    has_place[..., LARGEST_GAP :: LARGEST_GAP + 1] = True
    return np.sort(np.argsort(~has_place, axis=2, kind="stable")[..., :PLACES], 2)


def _gaps(places: NDArray[np.int64]) -> NDArray[np.uint8]:
    return (np.diff(places, axis=2, prepend=-1) - 1).astype(np.uint8)


def begin_as(network: CoefficientNetwork, start: str, effort: int) -> None:
    """Give a network the weights and predictors of the folder of a run, or of a model of JPEG coefficients.

    Raises:
        TrainingError: if its network of this role is missing, or has other sizes.
        ModelError: if `start` is not such a model.
    """
    role, folder = network.shape.role, Path(start)
    with _fits(role, start):
        if state.exists(folder):
            state.load_module(network, role, state.read(folder).tensors)
        else:
            tensors = tensors_of(start)
            _take(network, part(tensors, key_of(role, effort)))
            _take_predictors(network, part(tensors, key_of(role, PREDICTORS)))


def take_predictors(network: CoefficientNetwork, source: str) -> None:
    """Give a network the predictors of a run or of a model, which it does not train. Raises what `begin_as` does."""
    role, folder = network.shape.role, Path(source)
    with _fits(role, source), torch.no_grad():
        if state.exists(folder):
            tensors = part(state.read(folder).tensors, role)
            for name, of_network in network.predictors().items():
                of_network.copy_(tensors[name])
        else:
            _take_predictors(network, part(tensors_of(source), key_of(role, PREDICTORS)))
    if not network.is_sparse:
        network.prune()


@contextmanager
def _fits(role: str, source: str) -> Iterator[None]:
    try:
        yield
    except (LookupError, RuntimeError) as error:
        raise TrainingError(
            f"{source}: has no network {role} of these sizes: give another effort=..., start=... or predictors=..."
        ) from error


def tensors_of(source: str) -> dict[str, NDArray[np.generic]]:
    """Return the tensors of a model of JPEG coefficients. Raises ModelError."""
    data = read(source)
    model_file.metadata(data, source, KIND)
    return model_file.stored(data, source)


@torch.no_grad()
def _take(network: CoefficientNetwork, tensors: dict[str, NDArray[np.generic]]) -> None:
    """Raises LookupError or RuntimeError if names or sizes differ."""
    found = {name: torch.from_numpy(tensor).float() for name, tensor in tensors.items()}
    inputs, units, bias_unit = network.shape.inputs, network.units, ACTIVATION_UNIT * BIAS_UNIT

    def weight(layer: str) -> Tensor:
        return found[f"{layer}.weight"] * found[f"{layer}.factor"][:, None]

    network.stem.copy_(weight("stem")[:, :inputs] * (STEM_UNIT / ACTIVATION_UNIT))
    network.gain.copy_(found["stem.gain"] / GAIN_UNIT)
    network.bias.copy_(found["stem.bias"] / bias_unit)
    for number, (block, bias) in enumerate(zip(network.blocks, network.block_biases, strict=True)):
        block.copy_(weight(f"block{number}"))
        bias.copy_(found[f"block{number}.bias"] / bias_unit)
    network.head.copy_(weight("head") * (ACTIVATION_UNIT / units[:, None]))
    network.head_bias.copy_(found["head.bias"] / units)
    network.skip.copy_(weight("skip")[:, :inputs] * (SKIP_UNIT / units[:, None]))


@torch.no_grad()
def _take_predictors(network: CoefficientNetwork, tensors: dict[str, NDArray[np.generic]]) -> None:
    """Raises LookupError or RuntimeError if names or sizes differ."""
    linear, sizes = _dense_predictors(tensors, network.shape.entries)
    is_weighed = (linear != 0).any(1) | (sizes > 0).any(1)
    network.scale[is_weighed & (network.scale == 0)] = 1.0  # entries that were zero wherever coefficients were measured
    scale = network.scale[:, None].clamp(min=1e-6)
    network.linear.copy_(linear / scale)
    network.magnitudes.copy_(torch.log((sizes / scale).clamp(min=1e-9)))
    network.kept_linear.copy_(linear != 0)
    network.kept_magnitudes.copy_(sizes > 0)
    network.prune()


def _dense_predictors(tensors: Tensors, entries: int) -> tuple[Tensor, Tensor]:
    """Weights of linear sums and of magnitudes by entry, [conditions, sums, entries]. Raises LookupError, and
    RuntimeError for other entries."""

    def dense(kind: str, integers: NDArray[np.generic]) -> Tensor:
        gaps, factors = (torch.from_numpy(tensors[f"{kind}.{name}"]) for name in ("gap", "factor"))
        weights = torch.from_numpy(integers).float() * factors[:, :, None]
        return torch.zeros(*gaps.shape[:2], entries).scatter(2, (gaps.long() + 1).cumsum(2) - 1, weights)

    return dense("linear", tensors["linear.weight"]), dense("magnitude", powers(tensors["magnitude.weight"]))


def is_run(folder: Path) -> bool:
    """Return whether a folder's run trains networks of coefficients. Raises TrainingError if it holds no run."""
    roles = set(state.read(folder).facts.get("shapes", {}))
    return bool(roles) and roles <= set(ROLES)


def export(folders: Sequence[Path], name: str, *, base: str | None = None) -> bytes:
    """Return the model file of runs, of which later ones win.

    Parameters:
        base: the model that has the networks that no run has; None: runs must have all.

    Raises:
        TrainingError: if a network is missing, or was trained with other predictors, or a folder has no such run.
        ModelError: if `base` is not a model of JPEG coefficients.
    """
    tensors: dict[str, NDArray[Any]] = {} if base is None else dict(tensors_of(base))
    seen = {role: part(tensors, key_of(role, PREDICTORS)) for role in ROLES}  # predictors, by networks that take them
    made = []
    for folder in folders:
        saved = state.read(folder)
        networks, effort = networks_of(saved, folder), saved.facts["settings"]["effort"]
        if effort != PREDICTING_EFFORT:
            seen |= {role: _predictors_of(_sparse(network).cpu()) for role, network in networks.items()}
        replaced = tuple(f"{key_of(role, kind)}." for role in networks for kind in _trained(effort))
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(replaced)}
        tensors |= exported(networks, effort)
        made.append(_made(saved, networks))
    if missing := [key for key in jpeg.NETWORKS if not part(tensors, key)]:
        raise TrainingError(
            f"no run has the networks {', '.join(missing)} (effort.role; predictors are trained with effort 2): train"
            " them, or take them from another model with base=..."
        )
    content = jpeg.pack(tensors, name, {"runs": made})
    others = [role for role in ROLES if not _are_same(role, seen[role], part(tensors, key_of(role, PREDICTORS)))]
    if others:
        raise TrainingError(
            f"the networks {', '.join(others)} of effort 1 were trained with other predictors than those of effort"
            f" {PREDICTING_EFFORT}: train them with predictors=..., the run that has these"
        )
    return content


def _are_same(role: str, some: Tensors, others: Tensors) -> bool:
    """Whether predictors are the same but for rounding; no predictors are those of no network."""
    entries = CoefficientShape(role, 1, 1).entries
    pairs = zip(_dense_predictors(some, entries), _dense_predictors(others, entries), strict=True) if some else ()
    return all(torch.allclose(one, other, SAME_WEIGHTS, float(one.abs().max()) / 1000) for one, other in pairs)


def networks_of(saved: State, folder: Path) -> dict[str, CoefficientNetwork]:
    """Return the networks of a run by role. Raises TrainingError if it is another kind of run."""
    with state.is_state(folder):
        networks = {role: CoefficientNetwork(CoefficientShape(*shape)) for role, shape in saved.facts["shapes"].items()}
        for role, network in networks.items():
            state.load_module(network, role, saved.tensors)
        return networks


def _made(saved: State, networks: dict[str, CoefficientNetwork]) -> dict[str, Any]:
    """What a model says of a run."""
    return {
        "effort": saved.facts["settings"]["effort"], "roles": list(networks), "files": saved.facts["images"],
        "hours": round(saved.facts["seconds"] / 3600, 3), "steps": saved.facts["step"],
    }  # fmt: skip
