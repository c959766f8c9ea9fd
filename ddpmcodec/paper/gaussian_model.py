"""Gaussian models, exact denoisers of latents c_t = v + s n in the pixel domain: in use, and as files.

Convolutions in bfloat16 or float32 compute the coder's integers; known answers decide which of them are exact on a
machine. A file has int8 weights, float32 vectors, the architecture and known answers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from ddpmcodec._native import MAX_LATENT_LEVEL
from ddpmcodec.errors import ModelError
from ddpmcodec.format.block import LEVEL_UNIT
from ddpmcodec.models import model_file
from ddpmcodec.paper.bits_back import PRIOR_STD
from ddpmcodec.paper.diffusion import (
    COEFFICIENT_LIMIT,
    LAST_SCALE,
    MEAN_LIMIT,
    OCTAVE,
    PIXEL_UNIT,
    IntegerPrediction,
    Latents,
    Prediction,
    Predictor,
    to_floats,
)
from ddpmcodec.paper.gaussian_features import LevelConstants, estimate_of, level_constants, level_features
from ddpmcodec.paper.gaussian_network import (
    LARGEST_INTEGER,
    MULTIPLE,
    PIXEL_OUTPUTS,
    Architecture,
    Operations,
    TrainableGaussian,
    blend,
    denoise,
    patches,
    unpatch,
)
from ddpmcodec.paper.numerics import exact_torch, torch_settings
from ddpmcodec.paper.schedule import HALF_RANGE, Levels, log_linear, rounded
from ddpmcodec.parallel import one_thread_if, run_all, thread_count

# --- predictors

SMALL_PIXELS = 1 << 13  # of a batch: below, a network call runs on one thread
ANSWER_SPACING = 1 / 128  # grey levels, of the latents of known answers
Params = Mapping[str, Tensor]


class KnownAnswer(NamedTuple):
    """A seeded input at a noise level (1/1024 grey level), and the sha256 of the integers a network must return."""

    seed: int
    size: int
    level: int
    sha256: str

    def latents(self) -> Latents:
        """[1, size, size + 2, 3] in units of 1/128 grey level, from -256 to 256 grey levels.

        From the raw output of numpy's Philox 4x64, key `seed`, the same in every version.
        """
        shape = (1, self.size, self.size + 2, 3)
        raw = np.random.Philox(key=self.seed).random_raw(math.prod(shape)).reshape(shape)
        return (raw >> np.uint64(48)).astype(np.int64) - (1 << 15)

    def answer(self, predictor: Predictor) -> str:
        return predictor.predict(self.latents(), ANSWER_SPACING, self.level).sha256()


def padded(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE


def integers_of(outputs: Tensor, estimate: Tensor, constants: LevelConstants, around: Tensor) -> IntegerPrediction:
    """Network numbers [N, H, W, PIXEL_OUTPUTS or more] to integers.

    estimate: centred grey levels; around: what neighbours add to the means, grey levels; both [N, H, W, 3].
    """
    offset, index, coefficients = outputs[..., :PIXEL_OUTPUTS].chunk(3, -1)
    mean = PIXEL_UNIT * (((estimate + HALF_RANGE) + float(constants.std) * offset) + around)
    scale = (float(constants.origin) + OCTAVE * index).clamp(0, LAST_SCALE)
    cut = (PIXEL_UNIT * coefficients).clamp(-COEFFICIENT_LIMIT, COEFFICIENT_LIMIT)
    return IntegerPrediction(
        torch.round(mean.clamp(-MEAN_LIMIT, MEAN_LIMIT)).to(torch.int32).numpy(),
        torch.round(scale).to(torch.uint8).numpy(),
        torch.round(cut).to(torch.int16).numpy(),
    )


class GaussianPredictor:
    """By PyTorch's convolutions on a CPU, in bfloat16 or in float32."""

    def __init__(self, architecture: Architecture, params: Params, *, low_precision: bool = True) -> None:
        self.architecture = architecture
        self.ops = Operations({k: v.float() for k, v in params.items()}, low_precision=low_precision)

    @torch.no_grad()
    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        with one_thread_if(c[..., 0].size < SMALL_PIXELS):
            return self._predict(c, spacing, level)

    def _predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        constants = level_constants(level)
        estimate = torch.from_numpy(estimate_of(c, spacing, constants))
        first = estimate.permute(0, 3, 1, 2)
        outputs = self._outputs(level_features(first, constants))
        around = blend(first, outputs[..., PIXEL_OUTPUTS:].permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return integers_of(outputs, estimate, constants, around)

    def _outputs(self, features: Tensor) -> Tensor:
        """[N, H, W, OUTPUTS_PER_PIXEL] from features [N, H, W, PER_PIXEL]."""
        _, h, w, _ = features.shape
        features = F.pad(features, (0, 0, 0, padded(w) - w, 0, padded(h) - h))
        dtype = torch.bfloat16 if self.ops.low_precision else torch.float32
        inputs = patches(features).to(dtype, memory_format=torch.channels_last)
        return unpatch(denoise(self.architecture, self.ops, inputs))[:, :h, :w]


def candidates(architecture: Architecture, params: Params) -> Sequence[Callable[[], Predictor]]:
    """Predictors, the fastest first, built when asked for."""
    return [
        lambda: GaussianPredictor(architecture, params, low_precision=True),
        lambda: GaussianPredictor(architecture, params, low_precision=False),
    ][not _fast_bfloat16() :]


def _fast_bfloat16() -> bool:
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(available and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class ExactPredictor:
    """The first predictor that gives the known answer, which is asked again where PyTorch's settings change."""

    def __init__(self, architecture: Architecture, params: Params, known: KnownAnswer) -> None:
        """Raises as `chosen`."""
        self.architecture, self.params, self.known = architecture, params, known
        self._chosen: dict[Hashable, Predictor] = {}
        with exact_torch():
            self.chosen()

    def chosen(self) -> Predictor:
        """Raises ModelError when no predictor gives the known answer: never decode on hope."""
        settings = torch_settings()
        if settings not in self._chosen:
            self._chosen[settings] = exact_predictor(self.architecture, self.params, self.known)
        return self._chosen[settings]

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        with exact_torch():
            return self.chosen().predict(c, spacing, level)


def exact_predictor(architecture: Architecture, params: Params, known: KnownAnswer) -> Predictor:
    """The first predictor that gives the known answer under these settings. Raises ModelError when none does."""
    answers = []
    for build in candidates(architecture, params):
        predictor = build()
        answers.append(known.answer(predictor))
        if answers[-1] == known.sha256:
            return predictor
    raise ModelError(
        f"the model does not compute exactly on this machine: its known-answer test must give {known.sha256[:16]}, "
        f"found {', '.join(h[:16] for h in answers)}; please report the processor and the PyTorch version"
    )


# --- the model

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


# --- its file

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
    """Raise ValueError unless the tensors are those of such a network."""
    actual = {name: (p.dtype, list(p.shape)) for name, p in params.items()}
    for name in sorted(layout.keys() | actual.keys()):
        if layout.get(name) != actual.get(name):
            raise ValueError(f"{name} is {actual.get(name)}, expected {layout.get(name)}")
