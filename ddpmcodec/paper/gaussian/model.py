"""Gaussian models, exact denoisers of latents c_t = v + s n in the pixel domain: in use, and as files.

A file has int8 weights, float32 vectors, the architecture and known answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from ddpmcodec._native import MAX_LATENT_LEVEL
from ddpmcodec.errors import ModelError
from ddpmcodec.format import model_file
from ddpmcodec.format.block import LEVEL_UNIT
from ddpmcodec.format.model_file import LARGEST_NUMBER
from ddpmcodec.paper.bits_back import PRIOR_STD
from ddpmcodec.paper.denoiser import IntegerPrediction, Latents, Prediction, Predictor, to_floats
from ddpmcodec.paper.gaussian.architecture import LARGEST_INTEGER, Architecture
from ddpmcodec.paper.gaussian.predictors import ExactPredictor, GaussianPredictor, KnownAnswer
from ddpmcodec.paper.gaussian.trainable import TrainableGaussian
from ddpmcodec.paper.numerics import exact_torch
from ddpmcodec.paper.schedule import Levels, log_linear, rounded
from ddpmcodec.parallel import run_all, thread_count

FINE_SPACING = 1 / 1024  # grey levels, to which a model rounds latents that it is given in float

CHANNELS = 3

# Levels of a code by bits back, grey levels: max(FINEST_LEVEL, FEW_STEPS / T) to COARSEST_LEVEL. The smallest bound of
# 96 held-out CIFAR-10 training images, at T = 16, 32, 64 and 128: docs/experiments.
FINEST_LEVEL, FEW_STEPS, COARSEST_LEVEL = 0.6, 14.0, 400.0
VISIBLE_LEVEL, BLIND_LEVEL = 0.75, 1000.0  # of sampling: hardly visible, and nothing left to see


@dataclass(frozen=True)
class GaussianModel:
    """p(v | c_t), exactly: the same integers on every machine, for every thread count and batch size.

    It is a `Predictor` (`predict`), which bits back codes with, and a `Denoiser` (called), for the bound and sampling.
    id: sha256 of the model's file. predictor: the path that gives the known answer on this machine. prior_std: of its
    bound, grey levels: what bits back codes the last latent with.
    """

    prior_std: ClassVar[float] = PRIOR_STD

    id: bytes
    name: str
    architecture: Architecture
    params: Mapping[str, Tensor]
    known_answers: tuple[KnownAnswer, ...]
    metadata: Mapping[str, Any]
    predictor: Predictor

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        """c int64 [N, H, W, 3] in units of `spacing`, a power of two of grey levels; level: 1/1024 grey level.

        Pieces of a batch run in parallel, which is faster than the whole batch on all cores. Raises ValueError for a
        level below 1, and for images of other than three channels.
        """
        if c.ndim != 4 or c.shape[3] != CHANNELS:
            raise ValueError(f"latents must be [N, H, W, {CHANNELS}], got {list(c.shape)}")
        pieces = np.array_split(np.ascontiguousarray(c, np.int64), min(len(c), thread_count()))
        predictions = run_all(lambda piece: self.predictor.predict(piece, spacing, level), pieces)
        return IntegerPrediction(*(np.concatenate(arrays) for arrays in zip(*predictions, strict=True)))

    def __call__(self, c_t: Tensor, s_t: float) -> Prediction:
        """c_t [N, 3, H, W] is rounded to 1/1024 grey level, and so is s_t."""
        c = torch.round(c_t.detach().double() / FINE_SPACING).to(torch.int64).permute(0, 2, 3, 1).cpu().numpy()
        return to_floats(self.predict(c, FINE_SPACING, max(round(LEVEL_UNIT * s_t), 1)), c_t)

    @staticmethod
    def coding_levels(T: int | None) -> Levels:
        """The T noise levels, in grey levels, of bits back and of the bound. Raises ValueError for fewer than 2, more
        than there are, and None: it has no levels of its own."""
        if T is None:
            raise ValueError("the model has none of its own: give their number")
        return rounded(log_linear(max(FINEST_LEVEL, FEW_STEPS / max(T, 1)), COARSEST_LEVEL, T))

    @staticmethod
    def sampling_levels(T: int) -> Levels:
        """The T noise levels of sampling, grey levels. Raises ValueError for fewer than 2, or more than there are."""
        return rounded(log_linear(VISIBLE_LEVEL, BLIND_LEVEL, T))

    def accelerated(self) -> GaussianModel:
        """Itself: its integers are computed on the CPU."""
        return self


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
def constants(network: TrainableGaussian) -> dict[str, Tensor]:
    """The tensors of a model file. Raises ModelError where the network cannot be exact."""
    params = network.integer_parameters()
    params = {k: v.to(torch.int8) if k.endswith(".weight") else v.float().clone() for k, v in params.items()}
    check_sums(params)
    return params


def export(network: TrainableGaussian, *, name: str, training: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a model file. training: facts about its making, kept in the metadata."""
    return pack(network.architecture, constants(network), name=name, training=training)


@exact_torch()
def pack(
    architecture: Architecture, params: Mapping[str, Tensor], *, name: str, training: Mapping[str, Any] | None = None
) -> bytes:
    """`export` of integer parameters; the known answers are those of convolutions in float32."""
    predictor = GaussianPredictor(architecture, params, low_precision=False)
    pairs = product(ANSWER_SIZES, ANSWER_LEVELS)
    questions = [KnownAnswer(seed, size, level, "") for seed, (size, level) in enumerate(pairs)]
    facts = {
        "architecture": architecture.to_json(),
        "known_answers": [known._replace(sha256=known.answer(predictor)) for known in questions],
        "training": dict(training or {}),
    }
    return model_file.pack({key: tensor.numpy() for key, tensor in params.items()}, KIND, name, facts)


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


def _architecture(sizes: Mapping[str, Any]) -> Architecture:
    if not all(type(size) is int and 0 <= size <= MAX_SIZE for size in sizes.values()):
        raise ValueError(f"impossible sizes {str(sizes)[:80]}")
    architecture = Architecture(**sizes)
    if not (architecture.width and architecture.inner_width):
        raise ValueError(f"impossible sizes {sizes}")
    return architecture


def _known_answers(listed: Any) -> tuple[KnownAnswer, ...]:
    """Raises ValueError or TypeError unless they are as few and as small as `pack` makes them: loading computes one."""
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_ANSWERS:
        raise ValueError(f"known_answers must list 1 to {MAX_ANSWERS}")
    answers = tuple(KnownAnswer(*one) for one in listed)
    for seed, size, level, digest in answers:
        numbers = ((seed, 0, MAX_SIZE), (size, 1, MAX_ANSWER_SIZE), (level, 1, MAX_LATENT_LEVEL))
        small = all(type(number) is int and least <= number <= most for number, least, most in numbers)
        if not (small and isinstance(digest, str)):
            raise ValueError(f"an impossible known answer {str((seed, size, level))[:80]}")
    return answers


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
    """Raise ValueError unless the tensors are those of such a network, and of numbers that it computes exactly with."""
    actual = {name: (p.dtype, list(p.shape)) for name, p in params.items()}
    for name in sorted(layout.keys() | actual.keys()):
        if layout.get(name) != actual.get(name):
            raise ValueError(f"{name} is {actual.get(name)}, expected {layout.get(name)}")
        if not params[name].isfinite().all():
            raise ValueError(f"{name} is not finite")
        if params[name].dtype == torch.float32 and params[name].abs().max() > LARGEST_NUMBER:
            raise ValueError(f"{name} has numbers above {LARGEST_NUMBER}")
