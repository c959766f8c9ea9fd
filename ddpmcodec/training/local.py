"""Training local networks (`networks.local`) for an exported model: it predicts, they learn to move its predictions.

Every step of the list that is to have one is learned by a network of its own, from pairs of states before and after it:
any places of a step at once, as the places of a window that come before a pixel are read from the state after. Places
of one image resemble each other, and its prediction costs more than all of them: so a batch has a few places of each of
many images, and an image comes back several times before it is replaced (`Pool`); too often, and small steps learn it
by heart.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ddpmcodec.channels import cells
from ddpmcodec.channels.adaptation import LAST_COUNT, NOT_TOLD, law_of
from ddpmcodec.channels.uniform import State, Walk
from ddpmcodec.networks import local
from ddpmcodec.networks.eager import LEVELS, activation
from ddpmcodec.networks.features import SCALE_UNIT
from ddpmcodec.networks.local import Shape
from ddpmcodec.networks.model import IntegerPrediction, Model
from ddpmcodec.networks.prediction import LN2, Prediction, range_bits
from ddpmcodec.parallel import run_all
from ddpmcodec.schedule import Step, step_mask
from ddpmcodec.training.evaluate import advance
from ddpmcodec.training.optim import Muon
from ddpmcodec.training.simulate import unknown_ranges

INPUT_LEVELS = 16.0  # of the network's inputs, per 1.0
FIRST_GAIN, BRANCH_GAIN = 1.0, 0.5
OCTAVE = 8 / LN2  # scale indices per unit of the logarithm
UNITS = [local.OFFSET_UNIT] * 3 + [OCTAVE] * 3 + [local.COUPLING_UNIT] * 3 + [local.SHARE_UNIT] * 3
TRAINED_NORM = 4.0  # of the weights of an output after thousands of steps
LAW_IMAGES, LAW_DRAWS = 64, 4  # that teach a law: images of a draw, and draws, so that every data set has its turn
PLACES = 128  # of an image in a batch
POOL = 2048  # images in a pool at most
FIRST, RENEWED = 256, 16  # images in it at first, and predicted in one call
FEWEST_USES, USES, PLACE_USES = 6, 16, 3  # of an image, if it can be, as often as its places are used three times


def _rounded(x: Tensor, limit: float = float("inf")) -> Tensor:
    """To the nearest integer up to a limit. Gradients go through both, so no mask of what was clipped is kept: what
    keeps one is not vectorised, and takes half of the time of a step."""
    return x + (torch.round(x.clamp(-limit, limit)) - x).detach()


class LatentLocal(nn.Module):
    """A local network in training: float weights, and the integers derived from them. At first it moves nothing."""

    def __init__(self, shape: Shape = Shape()) -> None:  # noqa: B008 (it is immutable)
        super().__init__()
        self.shape = shape
        self.weights, self.gains, self.biases = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        for layer, (outputs, inputs) in shape.layers.items():
            self.weights[layer] = nn.Parameter(torch.randn(outputs, inputs) / inputs**0.5)
            self.gains[layer] = nn.Parameter(torch.full((outputs,), FIRST_GAIN if layer == "enter" else BRANCH_GAIN))
            self.biases[layer] = nn.Parameter(torch.zeros(outputs))
        self.weights["leave"].data.zero_()
        self.biases["leave"].data[9:12] = 1.0
        self.law = torch.zeros(3, local.CONTEXTS + local.GAINS, dtype=torch.int32)
        self.units = torch.tensor(UNITS + [float(local.WEIGHT_UNIT)] * local.WINDOW)

    def integers(self) -> dict[str, Tensor]:
        """What `networks.local` takes, by '<layer>.weight', '.factor', '.bias'; gradients go through the rounding."""
        found = {}
        for layer, weight in self.weights.items():
            last = layer == "leave"
            direction = weight if last else F.normalize(weight)
            grid = (direction.detach().abs().amax(1) / LEVELS).clamp(min=1e-8)
            found[f"{layer}.weight"] = _rounded(direction / grid[:, None])
            unit = self._unit(layer)
            scale = self.units if last else 1.0
            found[f"{layer}.factor"] = self.gains[layer] * grid / unit * scale
            found[f"{layer}.bias"] = self.biases[layer] * scale
        return found

    def _unit(self, layer: str) -> float:
        """Levels per 1.0 of what a layer takes."""
        return INPUT_LEVELS if layer == "enter" else float(self.shape.levels)

    @torch.no_grad()
    def load_integers(self, params: Mapping[str, Tensor]) -> None:
        """The inverse of `exported`, up to rounding."""
        if self.shape.adapts:
            self.law = params["law"].clone()
        for layer in self.shape.layers:
            weight, factor, bias = (params[f"{layer}.{key}"].float() for key in ("weight", "factor", "bias"))
            unit = self._unit(layer)
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
        found = {k: v.to(torch.int8) if k.endswith(".weight") else v.float().clone() for k, v in found.items()}
        return found | ({"law": self.law} if self.shape.adapts else {})

    def as_local(self, step: Step) -> local.Local:
        """For the coder."""
        return local.local_network(self.exported(), "", step, self.shape)

    def forward(self, rows: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Inputs int8 [K, INPUTS] to outputs [K, OUTPUTS], integers.

        dtype: of sums. In float32 they are those of the coder; in bfloat16 they round, and cost a quarter.
        """
        params, q = self.integers(), rows.float()
        levels, limit = float(self.shape.levels), float(self.shape.limit)

        def real(layer: str) -> Tensor:
            sums = F.linear(q.to(dtype), params[f"{layer}.weight"].to(dtype)).float()
            return sums * params[f"{layer}.factor"] + params[f"{layer}.bias"]

        *inner, last = self.shape.layers
        for layer in inner:
            branch = _rounded(levels * activation(real(layer), torch.sqrt), limit)
            q = branch if layer == "enter" else _rounded(q + branch, limit)
        return _rounded(real(last), local.OUTPUT_LIMIT)


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


def bits(network: LatentLocal, places: Places, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bits of every dimension at the places, [K, 3]."""
    lo, hi, new_lo, new_hi = (x[..., None, None] for x in places[5:])
    return range_bits(refined(network(places.rows, dtype), places), lo, hi, new_lo, new_hi)[..., 0, 0]


def loss(network: LatentLocal, places: Places) -> Tensor:
    """Mean bits of a dimension at the places."""
    return bits(network, places, torch.bfloat16).mean()


class Sample(NamedTuple):
    """What is known of an image before and after a step, uint8 [H, W, 3], and what the denoiser predicts before it."""

    prediction: IntegerPrediction
    lo: NDArray[np.uint8]
    hi: NDArray[np.uint8]
    new_lo: NDArray[np.uint8]
    new_hi: NDArray[np.uint8]


def samples_of(model: Model, pixels: NDArray[np.uint8], steps: Sequence[Step], seed: int = 0) -> list[Sample]:
    """Of images uint8 [N, H, W, 3] at the last of the steps of a list. seed: of the dither."""
    images, generator = torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), torch.Generator().manual_seed(seed)
    state = before = unknown_ranges(images)
    for step in steps:
        before, state = state, advance(images, state, step, generator)
    lo, hi, new_lo, new_hi = (
        bound.permute(0, 2, 3, 1).to(torch.uint8).contiguous().numpy()
        for bound in (before.lo, before.hi, state.lo, state.hi)
    )
    prediction = model.predict(lo, hi)
    return [
        Sample(IntegerPrediction(*(a[n] for a in prediction)), lo[n], hi[n], new_lo[n], new_hi[n])
        for n in range(len(pixels))
    ]


def look_at(samples: Sequence[Sample], step: Step, draw: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Places:
    """Places that a step moves; draw: which of all those of an image [K, 2]."""
    window = local.dilation(step), local.gain(step)

    def look(sample: Sample) -> tuple[NDArray[Any], ...]:
        prediction, states = sample.prediction, sample[1:]
        at = draw(np.argwhere(step_mask(step, *sample.lo.shape[:2])))
        rows, middles = np.empty((len(at), local.INPUTS), np.int8), np.empty((len(at), 3), np.uint8)
        local.look_everywhere(*states, tuple(prediction), at, *window, rows, middles)
        return rows, middles, *(a[at[:, 0], at[:, 1]] for a in (*prediction, *states))

    rows, *rest = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*run_all(look, samples), strict=True))
    return Places(rows, *(part.float() for part in rest))


def places_of(model: Model, pixels: NDArray[np.uint8], steps: Sequence[Step]) -> Places:
    """All places that the last of the steps moves in images uint8 [N, H, W, 3]."""
    return look_at(samples_of(model, pixels, steps), steps[-1], lambda at: at)


def learned_laws(model: Model, pixels: NDArray[np.uint8], steps: Sequence[Step]) -> dict[Step, Tensor]:
    """What the steps of a list adapt to over images uint8 [N, H, W, 3], one after another: laws int32 to begin with.

    Means over all images but the first third.
    """
    state = State.unknown(*pixels.shape)
    found = {}
    for step, (prediction, constants) in zip(steps, Walk(model, steps, 0, state), strict=True):
        adaptation = cells.adaptation_of(constants, *pixels.shape[1:3])
        laws = []
        for n, image in enumerate(pixels):
            adaptation.counts[:], adaptation.residuals[:] = LAST_COUNT, NOT_TOLD
            before = state.lo[n], state.hi[n], state.c[n], *(a[n] for a in prediction)
            cells.encode_step(image, *before, *constants, adaptation=adaptation)
            laws.append(law_of(adaptation))
        found[step] = torch.from_numpy(np.mean(laws[len(laws) // 3 :], 0).round()).to(torch.int32)
    return found


class Pool:
    """Images that batches of a step's places are drawn from; the oldest are replaced."""

    def __init__(
        self, model: Model, steps: Sequence[Step], source: Callable[[int], NDArray[np.uint8]], batch: int
    ) -> None:
        """steps: of a list, up to the one. source: draws about so many images. batch: images a batch, at least."""
        self.model, self.steps, self.step, self.source = model, steps, steps[-1], source
        self.samples: deque[Sample] = deque(maxlen=POOL)
        self.batch, self.due, self.seen, self.places = batch, 0, 0, 0
        self.rng = np.random.default_rng(self.step[:4])

    def draw(self) -> Places:
        """Some places of each of some images; of images that have few, more images."""
        while self.due >= 0 or len(self.samples) < FIRST:
            new = samples_of(self.model, self.source(RENEWED), self.steps, self.seen)
            self.samples.extend(new)
            self.seen += len(new)
            height, width, _ = new[0].lo.shape
            self.places = height * width * (self.step.last - self.step.first) // self.step.period**2
            self.due -= min(max(PLACE_USES * self.places // PLACES, FEWEST_USES), USES) * len(new)
        count = self.batch * (2 if 2 * self.places < PLACES else 1)
        self.due += count
        chosen = self.rng.integers(len(self.samples), size=count)
        return look_at([self.samples[i] for i in chosen], self.step, self._some)

    def _some(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        return at[self.rng.permutation(len(at))[:PLACES]]


class LocalTrainer:
    """The networks of several steps, trained in turns: the more a step tells, the more of them.

    progress 0..1 sets the learning rates, which fall to zero."""

    def __init__(
        self,
        model: Model,
        steps: Sequence[Step],
        source: Callable[[int], NDArray[np.uint8]],
        *,
        shape: Shape,
        batch: int,
        muon_rate: float,
        adam_rate: float,
        warmup: int,
        compiled: bool = True,
    ) -> None:
        """steps: a list, each step of which gets a network. source: draws about so many images uint8 [N, H, W, 3].
        batch: images a batch, with `PLACES` places each."""
        self.model, self.source, self.warmup, self.taken, self.seconds = model, source, warmup, 0, 0.0
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss
        self.networks = {step: LatentLocal(shape) for step in steps}
        self.until = {step: steps[: n + 1] for n, step in enumerate(steps)}
        self.pools = {step: Pool(model, until, source, batch) for step, until in self.until.items()}
        self.turns = [step for step in steps for _ in range(_turns(step))]
        self.rates = (muon_rate, adam_rate)
        self.optimizers = {step: self._optimizers(network) for step, network in self.networks.items()}

    def _optimizers(self, network: LatentLocal) -> list[torch.optim.Optimizer]:
        inner = [weight for layer, weight in network.weights.items() if layer != "leave"]
        rest = [p for p in network.parameters() if all(p is not w for w in inner)]
        muon, adam = self.rates
        return [Muon(inner, lr=muon), torch.optim.AdamW(rest, lr=adam, betas=(0.9, 0.99), weight_decay=0.0)]

    def update(self, step: Step, progress: float) -> float:
        """One optimiser step of a step's network; its bits a dimension told."""
        value = self.loss(self.networks[step], self.pools[step].draw())
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.networks[step].parameters(), 1.0)
        multiplier = min(1.0, (self.taken // len(self.networks) + 1) / self.warmup) * (1 - progress)
        for optimizer, rate in zip(self.optimizers[step], self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * multiplier
            optimizer.step()
            optimizer.zero_grad()
        self.taken += 1
        return float(value.detach())

    def learn_laws(self) -> None:
        """Set the laws that the networks' steps begin to adapt from, by images of the source."""
        steps = list(self.networks)
        if self.networks[steps[0]].shape.adapts:
            local_networks = {step: network.as_local(step) for step, network in self.networks.items()}
            model = replace(self.model, local=local_networks)
            laws = [learned_laws(model, self.source(LAW_IMAGES), steps) for _ in range(LAW_DRAWS)]  # of all data sets
            for step, network in self.networks.items():
                network.law = torch.stack([law[step] for law in laws]).double().mean(0).round().to(torch.int32)

    @torch.no_grad()
    def evaluate(self, batches: Sequence[NDArray[np.uint8]]) -> dict[Step, float]:
        """Bits that every step adds to a dimension of whole images, over batches of them."""
        pixels = sum(batch.size for batch in batches)
        return {
            step: sum(float(bits(network, places_of(self.model, batch, until)).sum()) for batch in batches) / pixels
            for (step, network), until in zip(self.networks.items(), self.until.values(), strict=True)
        }


def _turns(step: Step) -> int:
    """1 of a 64th of the pixels, 7 of all."""
    return max(64 * (step.last - step.first) // step.period**2, 1).bit_length()


def train(trainer: LocalTrainer, hours: float, progress: Callable[[float, float], None]) -> None:
    """Train, in the turns of the trainer, until it has had so many hours. progress: told share done and loss."""
    start = time.perf_counter() - trainer.seconds
    while (done := (time.perf_counter() - start) / (3600 * hours)) < 1:
        loss = trainer.update(trainer.turns[trainer.taken % len(trainer.turns)], done)
        trainer.seconds = time.perf_counter() - start
        progress(done, loss)
