"""Files of Gaussian models: int8 weights, float32 vectors, the architecture and known answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from ddpmcodec.errors import ModelError
from ddpmcodec.format import model_file
from ddpmcodec.format.model_file import LARGEST_NUMBER
from ddpmcodec.paper.exactness import exact_torch
from ddpmcodec.paper.gaussian.architecture import Architecture
from ddpmcodec.paper.gaussian.eager import LARGEST_INTEGER
from ddpmcodec.paper.gaussian.latent import LatentNetwork
from ddpmcodec.paper.gaussian.model import GaussianModel
from ddpmcodec.paper.gaussian.predictors import EagerPredictor, ExactPredictor, KnownAnswer
from ddpmcodec.paper.schedule import MAX_LEVEL

KIND = "gaussian"
EXACT_LIMIT = 2**24  # float32 holds every integer below it
ANSWER_SIZES, ANSWER_LEVELS = (10, 33), (2400, 700, 40_000, 400_000)  # a file that is loaded gives the first answer
MAX_SIZE = 4096  # of anything an architecture counts
MAX_ANSWERS, MAX_ANSWER_SIZE = 64, 64


def check_sums(params: Mapping[str, Tensor]) -> None:
    """Raise ModelError unless all sums stay exact in float32: 127 sum |w| < 2^24 per output channel."""
    for name, weight in params.items():
        if name.endswith(".weight"):
            largest = int(weight.to(torch.int64).abs().flatten(1).sum(1).max()) * int(LARGEST_INTEGER)
            if largest >= EXACT_LIMIT:
                raise ModelError(
                    f"{name}: sums may reach {largest}, at or above 2^24, and would round; the model cannot be exact"
                )


@exact_torch()
def constants(latent: LatentNetwork) -> dict[str, Tensor]:
    """The tensors of a model file. Raises ModelError where the network cannot be exact."""
    params = latent.integer_parameters()
    params = {k: v.to(torch.int8) if k.endswith(".weight") else v.float().clone() for k, v in params.items()}
    check_sums(params)
    return params


def export(latent: LatentNetwork, *, name: str, training: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a model file. training: facts about its making, kept in the metadata."""
    return pack(latent.architecture, constants(latent), name=name, training=training)


@exact_torch()
def pack(
    architecture: Architecture, params: Mapping[str, Tensor], *, name: str, training: Mapping[str, Any] | None = None
) -> bytes:
    """The same of integer parameters; the known answers are those of the reference."""
    reference = EagerPredictor(architecture, params, low_precision=False)
    asked = [KnownAnswer(seed, *of, "") for seed, of in enumerate(product(ANSWER_SIZES, ANSWER_LEVELS))]
    facts = {
        "architecture": architecture.to_json(),
        "known_answers": [known._replace(sha256=known.answer(reference)) for known in asked],
        "training": dict(training or {}),
    }
    return model_file.pack(params, KIND, name, facts)


@exact_torch()
def parse(data: bytes, source: str) -> GaussianModel:
    """A model from the bytes of its file, its first known answer checked. source: what errors call it.

    Raises ModelError.
    """
    metadata = model_file.metadata(data, source, KIND)
    try:
        params = load_tensors(data)
        architecture = _architecture(metadata["architecture"])
        known = _known_answers(metadata["known_answers"])
        name, first = str(metadata["name"]), known[0]
        _check_tensors(_layout(architecture), params)
    except (SafetensorError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise ModelError(f"{source}: the model is damaged ({error}); get it again") from error
    check_sums(params)
    predictor = ExactPredictor(architecture, params, first)
    return GaussianModel(hashlib.sha256(data).digest(), name, architecture, params, known, metadata, predictor)


def load(path: str | Path) -> GaussianModel:
    """A model from disk. Raises ModelError when there is none, or it is not one."""
    return parse(model_file.read(path), str(path))


def _architecture(sizes: Mapping[str, Any]) -> Architecture:
    if not all(type(size) is int and 0 <= size <= MAX_SIZE for size in sizes.values()):
        raise ValueError(f"impossible sizes {str(sizes)[:80]}")
    found = Architecture(**sizes)
    if not (found.width and found.inner_width):
        raise ValueError(f"impossible sizes {sizes}")
    return found


def _known_answers(listed: Any) -> tuple[KnownAnswer, ...]:
    """Raises ValueError or TypeError unless they are as few and as small as `pack` makes them: loading asks them."""
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_ANSWERS:
        raise ValueError(f"known_answers must list 1 to {MAX_ANSWERS}")
    found = tuple(KnownAnswer(*one) for one in listed)
    for seed, size, level, digest in found:
        numbers = ((seed, 0, MAX_SIZE), (size, 1, MAX_ANSWER_SIZE), (level, 1, MAX_LEVEL))
        small = all(type(number) is int and least <= number <= most for number, least, most in numbers)
        if not (small and isinstance(digest, str)):
            raise ValueError(f"an impossible known answer {str((seed, size, level))[:80]}")
    return found


Layout = dict[str, tuple[torch.dtype, list[int]]]


def _layout(architecture: Architecture) -> Layout:
    """Type and shape of every tensor of a file."""
    layout: Layout = {}
    vectors: dict[str, int] = {}
    for name, (outputs, inputs, size) in architecture.convolutions().items():
        layout[f"{name}.weight"] = torch.int8, [outputs, inputs, size, size]
        keys = ("factor", "bias", "levels") if name.endswith("conv1") else ("factor", "bias")
        vectors |= {f"{name}.{key}": outputs for key in keys}
    for name, channels in architecture.norms().items():
        vectors |= {f"{name}.{key}": channels for key in ("gain", "bias", "levels")}
    return layout | {name: (torch.float32, [length]) for name, length in vectors.items()}


def _check_tensors(layout: Layout, params: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless the kernels can take the tensors: they check no bounds."""
    found = {name: (p.dtype, list(p.shape)) for name, p in params.items()}
    for name in sorted(layout.keys() | found.keys()):
        if layout.get(name) != found.get(name):
            raise ValueError(f"{name} is {found.get(name)}, expected {layout.get(name)}")
        if not params[name].isfinite().all():
            raise ValueError(f"{name} is not finite")
        if params[name].dtype == torch.float32 and params[name].abs().max() > LARGEST_NUMBER:
            raise ValueError(f"{name} has numbers above {LARGEST_NUMBER}")
