"""From latents to the coder's integers, by convolutions in bfloat16 or float32: known answers say which are exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ddpmcodec.errors import ModelError
from ddpmcodec.paper.denoiser import (
    COEFFICIENT_LIMIT,
    LAST_SCALE,
    MEAN_LIMIT,
    OCTAVE,
    PIXEL_UNIT,
    IntegerPrediction,
    Latents,
    Predictor,
)
from ddpmcodec.paper.gaussian.architecture import (
    MULTIPLE,
    PIXEL_OUTPUTS,
    Architecture,
    Operations,
    blend,
    denoise,
    patches,
    unpatch,
)
from ddpmcodec.paper.gaussian.features import LevelConstants, estimate_of, level_constants, level_features
from ddpmcodec.paper.numerics import exact_torch, torch_settings
from ddpmcodec.paper.schedule import HALF_RANGE
from ddpmcodec.parallel import one_thread_if

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
