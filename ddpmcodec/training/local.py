"""Training local networks (`networks.local`) for an exported model: it predicts, they learn to move its predictions.

Every step of the list that is to have one is learned by a network of its own, from pairs of states before and after it:
all places of a step at once, as the places of a window that come before a pixel are read from the state after.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ddpmcodec.networks import local
from ddpmcodec.networks.eager import ACTIVATION_LEVELS, LEVELS, activation
from ddpmcodec.networks.features import SCALE_UNIT
from ddpmcodec.networks.model import Model
from ddpmcodec.networks.prediction import LN2, Prediction, range_bits
from ddpmcodec.parallel import run_all
from ddpmcodec.schedule import Step, step_mask
from ddpmcodec.training.optim import Muon

INPUT_LEVELS = 16.0  # of the network's inputs, per 1.0
FIRST_GAIN, BRANCH_GAIN = 1.0, 0.5
OCTAVE = 8 / LN2  # scale indices per unit of the logarithm
UNITS = [local.OFFSET_UNIT] * 3 + [OCTAVE] * 3 + [local.COUPLING_UNIT] * 3 + [local.SHARE_UNIT] * 3
TRAINED_NORM = 4.0  # of the weights of an output after thousands of steps


def _rounded(x: Tensor) -> Tensor:
    return x + (torch.round(x) - x).detach()


class LatentLocal(nn.Module):
    """A local network in training: float weights, and the integers derived from them. At first it moves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weights, self.gains, self.biases = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        for layer in local.LAYERS:
            outputs, inputs = local.layer_shape(layer)
            self.weights[layer] = nn.Parameter(torch.randn(outputs, inputs) / inputs**0.5)
            self.gains[layer] = nn.Parameter(torch.full((outputs,), FIRST_GAIN if layer == "enter" else BRANCH_GAIN))
            self.biases[layer] = nn.Parameter(torch.zeros(outputs))
        self.weights["leave"].data.zero_()
        self.biases["leave"].data[9:12] = 1.0
        self.units = torch.tensor(UNITS + [float(local.WEIGHT_UNIT)] * local.WINDOW)

    def integers(self) -> dict[str, Tensor]:
        """What `networks.local` takes, by '<layer>.weight', '.factor', '.bias'; gradients go through the rounding."""
        found = {}
        for layer, weight in self.weights.items():
            last = layer == "leave"
            direction = weight if last else F.normalize(weight)
            grid = (direction.detach().abs().amax(1) / LEVELS).clamp(min=1e-8)
            found[f"{layer}.weight"] = _rounded(direction / grid[:, None])
            unit = INPUT_LEVELS if layer == "enter" else ACTIVATION_LEVELS
            scale = self.units if last else 1.0
            found[f"{layer}.factor"] = self.gains[layer] * grid / unit * scale
            found[f"{layer}.bias"] = self.biases[layer] * scale
        return found

    @torch.no_grad()
    def load_integers(self, params: Mapping[str, Tensor]) -> None:
        """The inverse of `integers`, up to rounding."""
        for layer in local.LAYERS:
            weight, factor, bias = (params[f"{layer}.{key}"].float() for key in ("weight", "factor", "bias"))
            unit = INPUT_LEVELS if layer == "enter" else ACTIVATION_LEVELS
            if layer == "leave":
                self.gains[layer].fill_(BRANCH_GAIN)
                self.weights[layer].copy_(weight * (factor * unit / BRANCH_GAIN / self.units)[:, None])
                self.biases[layer].copy_(bias / self.units)
                continue
            norm = weight.norm(dim=1)
            self.weights[layer].copy_(weight * (TRAINED_NORM / norm)[:, None])
            self.gains[layer].copy_(factor * unit * norm)
            self.biases[layer].copy_(bias)

    def exported(self) -> dict[str, Tensor]:
        """The integers as an exported model keeps them."""
        found = {key: value.detach() for key, value in self.integers().items()}
        return {k: v.to(torch.int8) if k.endswith(".weight") else v.float().clone() for k, v in found.items()}

    def forward(self, rows: Tensor) -> Tensor:
        """Inputs int8 [K, INPUTS] to outputs [K, OUTPUTS], integers."""
        params, q = self.integers(), rows.float()
        for layer in local.LAYERS[:-1]:
            # In float32, as in the coder.
            sums = F.linear(q, params[f"{layer}.weight"])
            real = sums * params[f"{layer}.factor"] + params[f"{layer}.bias"]
            branch = _rounded((ACTIVATION_LEVELS * activation(real, torch.sqrt)).clamp(-LEVELS, LEVELS))
            q = branch if layer == "enter" else (q + branch).clamp(-LEVELS, LEVELS)
        out = F.linear(q, params["leave.weight"]) * params["leave.factor"] + params["leave.bias"]
        return _rounded(out.clamp(-local.OUTPUT_LIMIT, local.OUTPUT_LIMIT))


class Places(NamedTuple):
    """What a step tells at K places; float32 [K, 3] where nothing else is said."""

    rows: Tensor  # int8 [K, INPUTS]
    middle: Tensor  # local means, 0..255
    mean: Tensor  # the denoiser's integers
    scale: Tensor
    coupling: Tensor
    lo: Tensor
    hi: Tensor
    new_lo: Tensor
    new_hi: Tensor


def refined(out: Tensor, places: Places) -> Prediction:
    """The denoiser's predictions at the places, moved by outputs [K, OUTPUTS] as by `networks.local.refine`."""
    rows, middle, mean, scale, coupling = places[:5]
    offset, index, pull, share = out[:, :12].view(-1, 4, 3).unbind(1)
    differences = rows[:, : 3 * local.WINDOW].float().view(-1, local.WINDOW, 3)
    around = (out[:, 12:, None] * differences).sum(1) / local.WEIGHT_UNIT
    width = torch.exp((scale - SCALE_UNIT) / OCTAVE)
    moved = middle + share / local.SHARE_UNIT * (mean / 64 - middle) + offset / local.OFFSET_UNIT * width + around
    log_scale = ((scale + index).clamp(0, 127) - SCALE_UNIT) / OCTAVE
    pulled = (coupling + pull).clamp(-local.COUPLING_LIMIT, local.COUPLING_LIMIT) / local.COUPLING_UNIT
    return Prediction(*(x[..., None, None] for x in (moved, log_scale, pulled)))


def bits(network: LatentLocal, places: Places) -> Tensor:
    """Bits of every dimension at the places, [K, 3]."""
    lo, hi, new_lo, new_hi = (x[..., None, None] for x in places[5:])
    return range_bits(refined(network(places.rows), places), lo, hi, new_lo, new_hi)[..., 0, 0]


def loss(network: LatentLocal, places: Places) -> Tensor:
    """Mean bits of a dimension at the places."""
    return bits(network, places).mean()


def places_of(model: Model, pixels: NDArray[np.uint8], step: Step) -> Places:
    """All places that a step makes exact in images uint8 [N, H, W, 3] whose phases before it are exact."""
    size = pixels.shape[1:3]
    known = step_mask(Step(0, step.period, 0, step.first), *size) if step.first else np.zeros(size, bool)
    told = step_mask(Step(0, step.period, 0, step.last), *size)
    (lo, hi), (new_lo, new_hi) = (_ranges(pixels, mask) for mask in (known, told))
    prediction = model.predict(lo, hi)
    at = np.argwhere(told & ~known)

    def look(n: int) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
        rows, middles = np.empty((len(at), local.INPUTS), np.int8), np.empty((len(at), 3), np.uint8)
        states = lo[n], hi[n], new_lo[n], new_hi[n]
        local.look_everywhere(*states, tuple(a[n] for a in prediction), at, local.dilation(step), rows, middles)
        return rows, middles

    rows, middles = (np.concatenate(parts) for parts in zip(*run_all(look, range(len(pixels))), strict=True))
    taken = (a[:, at[:, 0], at[:, 1]].reshape(-1, 3) for a in (*prediction, lo, hi, new_lo, new_hi))
    return Places(torch.from_numpy(rows), *(torch.from_numpy(a).float() for a in (middles, *taken)))


def _ranges(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    exact = np.broadcast_to(mask[..., None], pixels.shape)
    return np.where(exact, pixels, np.uint8(0)), np.where(exact, pixels, np.uint8(255))


class LocalTrainer:
    """The networks of several steps, trained in turns: the more a step tells, the more of them.

    progress 0..1 sets the learning rates, which fall to zero."""

    def __init__(
        self,
        model: Model,
        steps: Sequence[Step],
        *,
        muon_rate: float,
        adam_rate: float,
        warmup: int,
        compiled: bool = True,
    ) -> None:
        self.model, self.warmup, self.taken = model, warmup, 0
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss
        self.networks = {step: LatentLocal() for step in steps}
        self.turns = [step for step in steps for _ in range((step.last - step.first).bit_length())]
        self.rates = (muon_rate, adam_rate)
        self.optimizers = {step: self._optimizers(network) for step, network in self.networks.items()}

    def _optimizers(self, network: LatentLocal) -> list[torch.optim.Optimizer]:
        inner = [weight for layer, weight in network.weights.items() if layer != "leave"]
        rest = [p for p in network.parameters() if all(p is not w for w in inner)]
        muon, adam = self.rates
        return [Muon(inner, lr=muon), torch.optim.AdamW(rest, lr=adam, betas=(0.9, 0.99), weight_decay=0.0)]

    def update(self, step: Step, pixels: NDArray[np.uint8], progress: float) -> float:
        """One optimiser step of a step's network on images uint8 [N, H, W, 3]; its bits a dimension told."""
        value = self.loss(self.networks[step], places_of(self.model, pixels, step))
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.networks[step].parameters(), 1.0)
        multiplier = min(1.0, (self.taken // len(self.networks) + 1) / self.warmup) * (1 - progress)
        for optimizer, rate in zip(self.optimizers[step], self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * multiplier
            optimizer.step()
            optimizer.zero_grad()
        self.taken += 1
        return float(value.detach())

    @torch.no_grad()
    def evaluate(self, batches: Sequence[NDArray[np.uint8]]) -> dict[Step, float]:
        """Bits that every step adds to a dimension of whole images, over batches of them."""
        pixels = sum(batch.size for batch in batches)
        return {
            step: sum(float(bits(network, places_of(self.model, batch, step)).sum()) for batch in batches) / pixels
            for step, network in self.networks.items()
        }


def train(
    trainer: LocalTrainer,
    draw: Callable[[int], NDArray[np.uint8]],
    hours: float,
    progress: Callable[[int, float, float], None],
) -> None:
    """Train for so many hours of a clock, in the turns of the trainer.

    draw: images of turn number i. progress: told number, share done and loss.
    """
    start, number = time.perf_counter(), 0
    while (done := (time.perf_counter() - start) / (3600 * hours)) < 1:
        loss = trainer.update(trainer.turns[number % len(trainer.turns)], draw(number), done)
        number += 1
        progress(number, done, loss)
