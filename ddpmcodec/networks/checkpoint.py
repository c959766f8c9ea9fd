"""Exported models: one safetensors file of int8 weights, constants, step lists and canaries. Nothing else is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from ddpmcodec.errors import FormatError, ModelError
from ddpmcodec.networks import learning
from ddpmcodec.networks.eager import LEVELS
from ddpmcodec.networks.exact import Architecture
from ddpmcodec.networks.features import (
    LARGEST_WEIGHT,
    OWN,
    inverse_spread,
    range_table,
    scale_origin,
    uniform_spread,
    weights,
)
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.local import CONTEXTS, FIRST_SHAPE, GAINS, Local, Shape, fingerprint, local_network
from ddpmcodec.networks.model import Canary, EagerPredictor, Model, exact_predictor
from ddpmcodec.schedule import Step, steps_from_json, steps_to_json

FORMAT = 1
EXACT_LIMIT = 2**24  # float32 holds every integer below it
CANARY_SIZES = (10, 33)
MAX_SIZE = 4096  # of anything an architecture counts
LARGEST_FACTOR = 1 << 20  # of sums: what networks compute and learn stays finite


def check_sums(params: Mapping[str, Tensor], shape: Shape = FIRST_SHAPE) -> None:
    """Raise ModelError unless all sums stay exact in float32: 127 sum |w| < 2^24 per output channel.

    Local networks, of this shape, may have larger activations.
    """
    for name, weight in params.items():
        if name.endswith(".weight"):
            layer = name.split(".")[-2]
            most = shape.largest_input(layer) if name.startswith("local.") else int(LEVELS)
            largest = int(weight.to(torch.int64).abs().flatten(1).sum(1).max()) * most
            if largest >= EXACT_LIMIT:
                raise ModelError(
                    f"{name}: sums may reach {largest}, at or above 2^24, and would round; the model cannot be exact"
                )


def check_learned_sums(shape: Shape) -> None:
    """The same for all weights that local networks may learn."""
    largest = learning.LARGEST * shape.width * shape.limit
    if largest >= EXACT_LIMIT:
        raise ModelError(f"local networks of {shape} may learn sums up to {largest}, at or above 2^24; none may learn")


@torch.no_grad()
def constants(latent: LatentNetwork) -> dict[str, Tensor]:
    """The tensors of the exported file: int8 weights, float32 vectors and the tables the inputs are made from."""
    params = latent.integer_parameters()
    params = {k: v.to(torch.int8) if k.endswith(".weight") else v.float().clone() for k, v in params.items()}
    spread = uniform_spread(torch.arange(1, 257, dtype=torch.float32))
    tables = {
        "features": range_table(),
        "precision": weights(spread),
        "inverse": inverse_spread(spread),
        "spread": spread,
        "scale_origin": scale_origin(spread),
    }
    check_sums(params)
    return params | {f"table.{k}": v for k, v in tables.items()}


def export(
    latent: LatentNetwork,
    presets: Mapping[int, Sequence[Step]],
    *,
    name: str,
    training: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of an exported model. training: facts about its making, kept in the metadata."""
    params = constants(latent)
    reference = EagerPredictor(latent.architecture, params, low_precision=False)
    canaries = []
    for seed, size in enumerate(CANARY_SIZES):
        blank = Canary(seed, size, "")
        canaries.append(blank._replace(sha256=reference(*blank.inputs()).sha256()))
    metadata = {
        "format": FORMAT,
        "name": name,
        "architecture": latent.architecture.to_json(),
        "presets": {str(effort): steps_to_json(steps) for effort, steps in presets.items()},
        "canaries": [list(canary) for canary in canaries],
        "training": dict(training or {}),
    }
    tensors = {k: v.contiguous() for k, v in sorted(params.items())}
    return bytes(save_tensors(tensors, metadata={"ddpmcodec": json.dumps(metadata, sort_keys=True)}))


def _metadata(data: bytes, source: str) -> dict[str, Any]:
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        metadata: dict[str, Any] = json.loads(header["__metadata__"]["ddpmcodec"])
        version = metadata["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{source}: not an exported ddpmcodec model; make one with `ddpmcodec export` "
            "(checkpoints of the paper's network code archives only)"
        ) from error
    if version != FORMAT:
        raise ModelError(f"{source}: model format {version}, this version reads {FORMAT}; update ddpmcodec")
    return metadata


def parse(data: bytes, source: str) -> Model:
    """A `Model` from exported bytes, its first canary run. source: what errors call it. Raises ModelError."""
    metadata = _metadata(data, source)
    try:
        params = load_tensors(data)
        architecture = _architecture(metadata["architecture"])
        presets = {int(effort): steps_from_json(steps) for effort, steps in metadata["presets"].items()}
        canaries = tuple(Canary(int(seed), int(size), str(digest)) for seed, size, digest in metadata["canaries"])
        name = str(metadata["name"])
        steps = steps_from_json(metadata.get("local", []), whole=False)
        if any(step.learns for step in steps):
            raise ValueError("steps are named that learn, where networks are")
        shape = _shape(metadata.get("local_shape", FIRST_SHAPE._asdict()))
        _check_tensors(_layout(architecture, steps, shape), params)
        first = canaries[0]
    except (SafetensorError, FormatError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise ModelError(f"{source}: the exported model is damaged ({error}); get it again") from error
    check_sums(params, shape)
    if any(step.learns for steps in presets.values() for step in steps):
        check_learned_sums(shape)
    local = {step: local_network(params, local_prefix(step), step, shape) for step in steps}
    if local and _local_canary(local, presets) != metadata.get("local_canary"):
        raise ModelError(
            f"{source}: its local networks do not compute exactly on this machine; please report the processor"
        )
    params = {key: p for key, p in params.items() if not key.startswith("local.")}
    predict = exact_predictor(architecture, params, first)
    digest = hashlib.sha256(data).digest()
    return Model(digest, name, architecture, presets, params, canaries, metadata, predict, predict.gaussian, local)


def local_prefix(step: Step) -> str:
    """What the names of a step's local network begin with."""
    return "local." + ".".join(map(str, step[:4])) + "."


def _local_canary(local: Mapping[Step, Local], presets: Mapping[int, Sequence[Step]]) -> str:
    """sha256 of what all local networks make of their canaries, and of what those that may learn make of themselves."""
    learn = {step._replace(learns=False) for steps in presets.values() for step in steps if step.learns}
    made = [fingerprint(network) for network in local.values()]
    learned = [learning.fingerprint(network) for step, network in local.items() if step in learn]
    return hashlib.sha256(b"".join(made + learned)).hexdigest()


def local_params(model: bytes, step: Step) -> dict[str, Tensor]:
    """The tensors of a step's local network in an exported model, by '<layer>.weight', '.factor', '.bias' and 'law'."""
    prefix = local_prefix(step)
    return {k.removeprefix(prefix): p for k, p in load_tensors(model).items() if k.startswith(prefix)}


def local_shape(model: bytes) -> Shape:
    """Of the local networks of an exported model."""
    return _shape(_metadata(model, "the model").get("local_shape", FIRST_SHAPE._asdict()))


def with_local(
    model: bytes,
    local: Mapping[Step, Mapping[str, Tensor]],
    shape: Shape,
    presets: Mapping[int, Sequence[Step]],
) -> bytes:
    """The exported model with these local networks, tensors by the names within each, and these step lists."""
    metadata = _metadata(model, "the model to refine")
    tensors = {key: p for key, p in load_tensors(model).items() if not key.startswith("local.")}
    tensors |= {local_prefix(step) + key: p for step, params in local.items() for key, p in params.items()}
    metadata["local"] = steps_to_json(list(local))
    metadata["local_shape"] = shape._asdict()
    networks = {step: local_network(tensors, local_prefix(step), step, shape) for step in local}
    metadata["local_canary"] = _local_canary(networks, presets)
    metadata["presets"] = {str(effort): steps_to_json(steps) for effort, steps in presets.items()}
    tensors = {k: v.contiguous() for k, v in sorted(tensors.items())}
    return bytes(save_tensors(tensors, metadata={"ddpmcodec": json.dumps(metadata, sort_keys=True)}))


def _architecture(sizes: Mapping[str, Any]) -> Architecture:
    if not all(type(size) is int and 0 <= size <= MAX_SIZE for size in sizes.values()):
        raise ValueError(f"impossible sizes {sizes}")
    return Architecture(**{"neighbours": 0, **sizes})  # older models say nothing of them


def _shape(sizes: Mapping[str, Any]) -> Shape:
    shape = Shape(**sizes)
    *counts, adapts = shape
    if not all(type(size) is int and 0 < size <= MAX_SIZE for size in counts) or type(adapts) is not bool:
        raise ValueError(f"impossible sizes {sizes} of local networks")
    return shape


Layout = dict[str, tuple[torch.dtype, list[int]]]


def _layout(architecture: Architecture, local: Sequence[Step], shape: Shape) -> Layout:
    """Type and shape of every tensor of an exported file."""
    layout: Layout = {"table.features": (torch.int8, [256, 256, OWN])}
    vectors = {f"table.{name}": 256 for name in ("precision", "inverse", "spread", "scale_origin")}
    for name, (outputs, inputs, size) in architecture.convolutions().items():
        layout[f"{name}.weight"] = torch.int8, [outputs, inputs, size, size]
        keys = ("factor", "bias", "levels") if name.endswith("conv1") else ("factor", "bias")
        vectors |= {f"{name}.{key}": outputs for key in keys}
    for name, channels in architecture.norms().items():
        vectors |= {f"{name}.{key}": channels for key in ("gain", "bias", "levels")}
    for step, (layer, (outputs, inputs)) in product(local, shape.layers.items()):
        name = local_prefix(step) + layer
        layout[f"{name}.weight"] = torch.int8, [outputs, inputs]
        vectors |= {f"{name}.factor": outputs, f"{name}.bias": outputs}
    if shape.adapts:
        layout |= {local_prefix(step) + "law": (torch.int32, [3, CONTEXTS + GAINS]) for step in local}
    return layout | {name: (torch.float32, [length]) for name, length in vectors.items()}


def _check_tensors(layout: Layout, params: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless the kernels can take the tensors: they check no bounds."""
    found = {name: (p.dtype, list(p.shape)) for name, p in params.items()}
    for name in sorted(layout.keys() | found.keys()):
        if layout.get(name) != found.get(name):
            raise ValueError(f"{name} is {found.get(name)}, expected {layout.get(name)}")
        if not params[name].isfinite().all():
            raise ValueError(f"{name} is not finite")
        if name.endswith(".factor") and params[name].abs().max() > LARGEST_FACTOR:
            raise ValueError(f"{name} has factors above {LARGEST_FACTOR}")
    precision = params["table.precision"]
    if params["table.features"].min() < -LEVELS or precision.min() < 1 or precision.max() > LARGEST_WEIGHT:
        raise ValueError("the tables are out of range")


def read(path: str | Path) -> bytes:
    """The bytes of a model's file. Raises ModelError when there is none."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model ({error.strerror or error}); check --model") from error


def load(path: str | Path) -> Model:
    """An exported model from disk. Raises ModelError when there is none, or it is not one."""
    return parse(read(path), str(path))
