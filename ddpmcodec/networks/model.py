"""A model ready to code with: exact integer predictions of the clean pixels from what is known of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.errors import ModelError
from ddpmcodec.networks import glue
from ddpmcodec.networks.eager import EagerOperations, patches, unpatch
from ddpmcodec.networks.exact import MULTIPLE, OUTPUTS, PATCH, Architecture, denoise
from ddpmcodec.networks.features import LARGEST_WEIGHT, PER_PIXEL, context_features
from ddpmcodec.networks.fused import FusedOperations
from ddpmcodec.networks.fused_neighbours import gaussian_middle, neighbour_sums, range_middle
from ddpmcodec.networks.gaussian_features import (
    LevelConstants,
    eager_features,
    estimate_of,
    gaussian_features,
    level_constants,
)
from ddpmcodec.networks.local import NO_LOCAL, Local
from ddpmcodec.networks.neighbours import blend
from ddpmcodec.parallel import one_thread_if
from ddpmcodec.schedule import HALF_RANGE, Step

# Without oneDNN, PyTorch gives batches of sixteen and more to NNPACK, whose Winograd convolutions round.
torch.backends.nnpack.set_flags(_enabled=False)  # type: ignore[no-untyped-call]

Ranges = NDArray[np.uint8]
Latents = NDArray[np.int64]  # c_t [N, H, W, 3], in units of a power of two of grey levels
SMALL_PIXELS = 1 << 13  # of a batch: below, a network call runs on one thread


class IntegerPrediction(NamedTuple):
    """The logistic over clean pixels as the coder sees it, all [N, H, W, 3].

    mean: int32, 1/64 grey level; scale: uint8, index of 2^((i - 48) / 8) grey levels; coupling: int16, 1/64.
    """

    mean: NDArray[np.int32]
    scale: NDArray[np.uint8]
    coupling: NDArray[np.int16]

    def sha256(self) -> str:
        return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in self)).hexdigest()


class Canary(NamedTuple):
    """A seeded input and the sha256 of the integers the network must return for it."""

    seed: int
    size: int
    sha256: str

    def inputs(self) -> tuple[Ranges, Ranges]:
        """Ranges [1, size, size + 2, 3]: exact, narrow, wide and unknown dimensions side by side.

        From the raw output of numpy's Philox 4x64, key `seed`, the same in every version: eight bits for lo, eight for
        the width, and in a pixel's first value eight for how often the width is halved; nine times: nothing is known.
        """
        shape = (self.size, self.size + 2, 3)
        raw = np.random.Philox(key=self.seed).random_raw(math.prod(shape)).reshape(1, *shape)
        shift = (raw[..., :1] >> 16 & 255) % 10
        lo, reach = raw & 255, (raw >> 8 & 255) >> shift
        hi = np.minimum(lo + reach, 255)
        return np.where(shift < 9, lo, 0).astype(np.uint8), np.where(shift < 9, hi, 255).astype(np.uint8)


Predictor = Callable[[Ranges, Ranges], IntegerPrediction]
GaussianPredictor = Callable[[Latents, float, int], IntegerPrediction]


def padded(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE


def integers_of(
    outputs: Tensor, lo: Tensor, hi: Tensor, spreads: Tensor, origins: Tensor, around: Tensor | float = 0.0
) -> IntegerPrediction:
    """Network numbers [N, H, W, 9 or more] to integers, in eager operations; lo, hi: int64 [N, H, W, 3].

    around: what neighbours add to the mean, grey levels, [N, H, W, 3].
    """
    return _integers(outputs, 0.5 * (lo + hi).float(), spreads[hi - lo], origins[hi - lo], around)


def gaussian_integers(
    outputs: Tensor, estimate: Tensor, constants: LevelConstants, around: Tensor | float = 0.0
) -> IntegerPrediction:
    """The same in the Gaussian channel; estimate: centred grey levels, [N, H, W, 3]."""
    return _integers(outputs, estimate + HALF_RANGE, float(constants.spread), float(constants.origin), around)


def _integers(
    outputs: Tensor, centre: Tensor, spread: Tensor | float, origin: Tensor | float, around: Tensor | float
) -> IntegerPrediction:
    offset, index, coupling = outputs[..., :OUTPUTS].chunk(3, -1)
    mean = 64 * ((centre + spread * offset) + around)
    scale = (origin + 8 * index).clamp(0, 127)
    return IntegerPrediction(
        torch.round(mean.clamp(-32767, 32767)).to(torch.int32).cpu().numpy(),
        torch.round(scale).to(torch.uint8).cpu().numpy(),
        torch.round((64 * coupling).clamp(-1023, 1023)).to(torch.int16).cpu().numpy(),
    )


@dataclass(frozen=True)
class Model:
    """An exported model. Predictions are exact: the same integers on every machine, thread count and batch size.

    predict: from ranges, in the uniform channel; predict_gaussian: from latents, their spacing in grey levels and their
    noise level in 1/1024 grey level, in the Gaussian channel.
    id: sha256 of the exported file. presets: the step list of every effort. local: networks of the steps that have one.
    """

    id: bytes
    name: str
    architecture: Architecture
    presets: Mapping[int, tuple[Step, ...]]
    params: Mapping[str, Tensor]
    canaries: tuple[Canary, ...]
    metadata: Mapping[str, Any]
    predict: Predictor
    predict_gaussian: GaussianPredictor
    local: Mapping[Step, Local] = field(default_factory=dict)

    def local_of(self, step: Step) -> Local:
        """The local network of a step, whether it learns or not."""
        return self.local.get(step._replace(learns=False), NO_LOCAL)


class EagerPredictor:
    """The reference: eager operations on any device. lo, hi: uint8 [N, H, W, 3]."""

    def __init__(
        self,
        architecture: Architecture,
        params: Mapping[str, Tensor],
        *,
        low_precision: bool = True,
        device: str = "cpu",
    ) -> None:
        self.architecture, self.device = architecture, device
        self.params = {k: v.to(device) for k, v in params.items()}
        weights = {k: v.float() for k, v in self.params.items() if not k.startswith("table.")}
        self.ops = EagerOperations(weights, low_precision=low_precision)

    @torch.no_grad()
    def __call__(self, lo: Ranges, hi: Ranges) -> IntegerPrediction:
        low, high = (torch.from_numpy(a).to(self.device).long() for a in (lo, hi))
        outputs = self._outputs(F.pad(self._features(low, high).flatten(3), (0, 1)))
        estimate, weight = 0.5 * (low + high).float() - HALF_RANGE, self.params["table.precision"][high - low]
        around = self._around(outputs, estimate, weight, weight * (1 / LARGEST_WEIGHT))
        return integers_of(outputs, low, high, self.params["table.spread"], self.params["table.scale_origin"], around)

    @torch.no_grad()
    def gaussian(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        """From latents in units of `spacing` at noise level `level` / 1024 grey level (`Model.predict_gaussian`)."""
        constants = level_constants(level)
        estimate = torch.from_numpy(estimate_of(c, spacing, constants)).to(self.device)
        outputs = self._outputs(eager_features(estimate.permute(0, 3, 1, 2), constants))
        one = torch.ones_like(estimate)
        return gaussian_integers(outputs, estimate, constants, self._around(outputs, estimate, one, one))

    def _around(self, outputs: Tensor, estimate: Tensor, weight: Tensor, visible: Tensor) -> Tensor | float:
        """What neighbours add to the means; all [N, H, W, ...]."""
        if not self.architecture.neighbours:
            return 0.0
        images = (x.permute(0, 3, 1, 2) for x in (estimate, weight, visible, outputs[..., OUTPUTS:]))
        return blend(*images).permute(0, 2, 3, 1)

    def _outputs(self, features: Tensor) -> Tensor:
        """[N, H, W, architecture.outputs] from features [N, H, W, PER_PIXEL]."""
        _, h, w, _ = features.shape
        features = F.pad(features, (0, 0, 0, padded(w) - w, 0, padded(h) - h))
        dtype = torch.bfloat16 if self.ops.low_precision else torch.float32
        inputs = patches(features).to(dtype, memory_format=torch.channels_last)
        return unpatch(denoise(self.architecture, self.ops, inputs))[:, :h, :w]

    def _features(self, lo: Tensor, hi: Tensor) -> Tensor:
        """[N, H, W, 3, PER_DIM] from int64 ranges [N, H, W, 3]."""
        estimate = (0.5 * (lo + hi).float() - 127.5).permute(0, 3, 1, 2)
        weight, inverse = (self.params[f"table.{k}"][hi - lo].permute(0, 3, 1, 2) for k in ("precision", "inverse"))
        context = context_features(estimate, weight, inverse).permute(0, 2, 3, 1, 4)
        return torch.cat([self.params["table.features"][lo, hi].float(), context], -1)


class FusedPredictor:
    """The fast path on a CPU. lo, hi: uint8 [N, H, W, 3]."""

    def __init__(self, architecture: Architecture, params: Mapping[str, Tensor], *, low_precision: bool = True) -> None:
        self.architecture = architecture
        weights = {k: v for k, v in params.items() if not k.startswith("table.")}
        self.ops = FusedOperations(weights, low_precision=low_precision)
        self.bits = _bfloat16_bits(torch.arange(-127, 128))
        self.tables = (
            _bfloat16_bits(params["table.features"]),
            params["table.precision"].numpy(),
            params["table.inverse"].numpy(),
        )
        self.spreads, self.origins = (params[f"table.{k}"].numpy() for k in ("spread", "scale_origin"))

    @torch.no_grad()
    def __call__(self, lo: Ranges, hi: Ranges) -> IntegerPrediction:
        features = _blank(lo)
        glue.range_features(lo, hi, *self.tables, self.bits, features)
        outputs = self._outputs(features)
        prediction = IntegerPrediction(
            np.empty(lo.shape, np.int32), np.empty(lo.shape, np.uint8), np.empty(lo.shape, np.int16)
        )
        glue.integer_prediction(outputs, lo, hi, self.spreads, self.origins, self._around(outputs, lo, hi), *prediction)
        return prediction

    @torch.no_grad()
    def gaussian(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        """From latents in units of `spacing` at noise level `level` / 1024 grey level (`Model.predict_gaussian`)."""
        constants = level_constants(level)
        estimate, features = estimate_of(c, spacing, constants), _blank(c)
        fade = constants.weight * np.float32(1 / LARGEST_WEIGHT)
        gaussian_features(estimate, constants.inverse, fade, constants.visible, constants.hats, self.bits, features)
        _, h, w, _ = c.shape
        outputs = self._outputs(features)
        around = np.zeros_like(estimate)
        if self.architecture.neighbours:
            neighbour_sums(outputs, estimate, np.ones_like(estimate), gaussian_middle(estimate), around)
        numbers = unpatch(torch.from_numpy(outputs).permute(0, 3, 1, 2))[:, :h, :w]
        return gaussian_integers(numbers, torch.from_numpy(estimate), constants, torch.from_numpy(around))

    def _around(self, outputs: NDArray[np.float32], lo: Ranges, hi: Ranges) -> NDArray[np.float32]:
        """What neighbours add to the means, [N, H, W, 3]."""
        around = np.zeros(lo.shape, np.float32)
        if self.architecture.neighbours:
            precision = self.tables[1]
            estimate = np.float32(0.5) * (lo.astype(np.float32) + hi) - np.float32(HALF_RANGE)
            visible = precision[hi - lo] * np.float32(1 / LARGEST_WEIGHT)
            neighbour_sums(outputs, estimate, visible, range_middle(lo, hi, precision), around)
        return around

    def _outputs(self, features: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Patches of outputs, [N, H'/2, W'/2, 4 architecture.outputs], from patches of features."""
        with one_thread_if(features[..., 0].size * PATCH * PATCH < SMALL_PIXELS):
            outputs: NDArray[np.float32] = denoise(self.architecture, self.ops, features)
            return outputs


def _blank(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    """Patches of features, zero, for images [N, H, W, 3]."""
    n, h, w, _ = pixels.shape
    return np.zeros((n, padded(h) // PATCH, padded(w) // PATCH, PATCH * PATCH * PER_PIXEL), np.uint16)


def _bfloat16_bits(integers: Tensor) -> NDArray[np.uint16]:
    return np.ascontiguousarray(integers.to(torch.bfloat16).contiguous().view(torch.int16).numpy().view(np.uint16))


def candidates(
    architecture: Architecture, params: Mapping[str, Tensor]
) -> list[Callable[[], EagerPredictor | FusedPredictor]]:
    """Predictors from the fastest to the plainest, built when asked for."""
    predictors: list[Callable[[], EagerPredictor | FusedPredictor]] = [
        lambda: FusedPredictor(architecture, params),
        lambda: FusedPredictor(architecture, params, low_precision=False),
        lambda: EagerPredictor(architecture, params, low_precision=False),
    ]
    return predictors if _fast_bfloat16() else predictors[1:]


def _fast_bfloat16() -> bool:
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(available and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def exact_predictor(
    architecture: Architecture, params: Mapping[str, Tensor], canary: Canary
) -> EagerPredictor | FusedPredictor:
    """The first predictor that returns what the canary says. Raises ModelError when none does: never decode on hope."""
    found = []
    for build in candidates(architecture, params):
        predictor = build()
        found.append(predictor(*canary.inputs()).sha256())
        if found[-1] == canary.sha256:
            return predictor
    raise ModelError(
        f"the model does not compute exactly on this machine: its canary must give {canary.sha256[:16]}, "
        f"found {', '.join(h[:16] for h in found)}; please report the processor and the PyTorch version"
    )
