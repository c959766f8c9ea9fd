"""A network of the codec in training: float weights, and the integers derived from them.

The coder runs the integers (`ddpmcodec._native`); rounding has the gradient of the identity, so that what is trained is
what is coded with. A position's loss is its ideal code length in bits: of the joint mixture of truncated logistics that
the outputs say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpmcodec import _native
from ddpmcodec.errors import TrainingError
from ddpmcodec.models import architectures
from ddpmcodec.models.architectures import RESIDUAL
from ddpmcodec.models.context import PREVIEW

LN2 = math.log(2)
# How many of the coder's integers (`contract.h`) are an octave of a logit or of a scale, and 1 of a mean or of a
# cross-channel coefficient.
LOGIT_OCTAVE, SCALE_OCTAVE, PIXEL_UNIT = 16, 8, _native.MEAN_UNIT
SCALE_ONE, LAST_SCALE = 48, _native.SCALES - 1  # indices: of a scale of 1, and the largest
SCALE_NAT = SCALE_OCTAVE / LN2  # scale indices per unit of the logarithm
# Integers per 1.0 in training; of means: 16 grey levels; of corrections of previews: a standard deviation.
INPUT_UNIT, ACTIVATION_UNIT, MEAN_UNIT = float(_native.ONE_INPUT), 32.0, 16.0 * PIXEL_UNIT
CORRECTION_UNIT, OUTPUT_LIMIT, ZERO = _native.CORRECTION_UNIT, _native.OUTPUT_LIMIT, _native.ZERO
LARGEST_ACTIVATION, LARGEST_WEIGHT = 255, 127
CHANNELS = 3
PAIRS = 3  # of channels, of which the second follows the first
NEIGHBOURS = 3  # positions whose activations blocks see: to the left, above, and above the right one
AROUND = 8  # the same, in previews: all that lie around
GAINS = {"stem": 1.0, "head": 0.5, "skip": 1.0}  # at first; those of blocks are 0.5
FIRST_SCALES = {"direct": 65.0, "last": 52.0, "band": 56.0}  # indices


class Outputs(NamedTuple):
    """Where the outputs of a network that codes stand (`Outputs` of `_core/networks/contract.h`)."""

    components: int  # of mixtures

    def logits(self) -> slice:
        return slice(0, self.components)

    def means(self) -> slice:
        """Of all components of the first channel, then of the second, then of the third; so are scales."""
        return slice(self.components, (1 + CHANNELS) * self.components)

    def scales(self) -> slice:
        return slice((1 + CHANNELS) * self.components, (1 + 2 * CHANNELS) * self.components)

    def cross(self) -> slice:
        """Coefficients of pairs: second channel by the first, third by the first, third by the second."""
        first = (1 + 2 * CHANNELS) * self.components
        return slice(first, first + PAIRS)


class Shape(NamedTuple):
    """Which network: its role, its width and blocks, the components of its mixtures, and its architecture."""

    role: str  # "direct", "last", "band" or "preview"
    width: int
    depth: int
    components: int
    architecture: str = RESIDUAL
    shown: int = 0  # activations that a position shows to those after it, before every block

    @property
    def block_inputs(self) -> int:
        """Own activations, and those that others show."""
        return self.width + (AROUND if self.role == PREVIEW else NEIGHBOURS) * self.shown

    @property
    def contract(self) -> tuple[int, int, int]:
        """Inputs, outputs, conditions."""
        sizes: tuple[int, int, int] = _native.contract(self.role, self.components)
        return sizes

    def layers(self) -> dict[str, tuple[int, int]]:
        """Name -> (outputs, inputs), in the order they run."""
        inputs, outputs, _ = self.contract
        blocks = {f"block{k}": (self.width, self.block_inputs) for k in range(self.depth)}
        return {"stem": (self.width, inputs), **blocks, "head": (outputs, self.width), "skip": (outputs, inputs)}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a position."""
        return sum(outputs * inputs for outputs, inputs in self.layers().values())

    def units(self) -> Tensor:
        """How many of the coder's integers are 1.0, for every output (`_core/networks/contract.h`)."""
        units = torch.full((self.contract[1],), CORRECTION_UNIT)
        if self.role != PREVIEW:
            where = Outputs(self.components)
            units[where.logits()], units[where.means()] = LOGIT_OCTAVE / LN2, MEAN_UNIT
            units[where.scales()], units[where.cross()] = SCALE_NAT, PIXEL_UNIT
        return units


class Positions(NamedTuple):
    """What K positions see, and what is coded there."""

    rows: Tensor  # uint8 [K, inputs]
    base: Tensor  # float32 [3, K], as the next four
    lo: Tensor
    hi: Tensor
    new_lo: Tensor
    new_hi: Tensor
    condition: Tensor  # int64 [K]
    near: Tensor  # int64 [3, K]: which of these positions show activations to each; K: nobody

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Positions:
        """Positions from tensors by these names, [K, ...], whose axis K becomes the last, to vectorise over. near: -1
        where there is nobody."""
        ranges = {name: tensors[name].movedim(0, -1).float().contiguous() for name in RANGES}
        near = tensors["near"].t().long()
        shown = torch.where(near < 0, near.shape[1], near)
        return cls(rows=tensors["rows"], condition=tensors["condition"].long(), near=shown, **ranges)


RANGES = ("base", "lo", "hi", "new_lo", "new_hi")


def rounded(x: Tensor, low: float, high: float) -> Tensor:
    """The nearest integer in bounds; gradients pass straight through, so that no mask of clipped values is kept."""
    return x + (torch.round(x.clamp(low, high)) - x).detach()


class Groups(NamedTuple):
    """Parameters by how they learn."""

    inner: list[nn.Parameter]  # matrices, by Muon
    gains: list[nn.Parameter]  # by AdamW, at several times the rate of the rest
    rest: list[nn.Parameter]


class Trainable(nn.Module):
    """A network in training, of any architecture (docs/extending.md).

    units: how many of the coder's integers are 1.0, for every output, [outputs].
    """

    units: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("units", shape.units(), persistent=False)

    def forward(self, rows: Tensor, condition: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Inputs uint8 [K, inputs] in conditions [K] to outputs [outputs, K], integers (`rounded`). dtype: of products,
        which round in bfloat16."""
        raise NotImplementedError

    def exported(self) -> dict[str, Tensor]:
        """What a model file keeps, which the architecture's class is made from."""
        raise NotImplementedError

    def outputs(self, positions: Positions, dtype: torch.dtype = torch.float32) -> Tensor:
        """Outputs [outputs, K] of positions."""
        found: Tensor = self(positions.rows, positions.condition, dtype)
        return found

    def loss(self, positions: Positions, dtype: torch.dtype) -> Tensor:
        """What training minimises: mean bits of a position where anything is left to code, unless an architecture adds
        to it."""
        bits = code_length(self.shape, self.outputs(positions, dtype), positions)
        return bits.sum() / (positions.lo < positions.hi).any(0).sum().clamp(min=1)

    def groups(self) -> Groups:
        """All parameters, by how they learn."""
        return Groups([], [], list(self.parameters()))


Networks = dict[str, Trainable]  # by role


class TrainableNetwork(Trainable):
    """The core's own. Rows of weights are directions times gains, so that Muon may move the directions freely."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        conditions = shape.contract[2]
        self.weights, self.gains, self.biases = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        for layer, (outputs, inputs) in shape.layers().items():
            self.weights[layer] = nn.Parameter(torch.randn(outputs, inputs) / inputs**0.5)
            self.gains[layer] = nn.Parameter(torch.full((outputs,), GAINS.get(layer, 0.5)))
            if layer in ("stem", "head"):
                self.biases[layer] = nn.Parameter(torch.zeros(conditions, outputs))
        for layer in ("head", "skip"):
            self.weights[layer].data.zero_()
        self.biases["head"].data += first_bias(shape)

    def groups(self) -> Groups:
        inner = [weight for layer, weight in self.weights.items() if layer not in ("head", "skip")]
        gains = list(self.gains.values())
        return Groups(inner, gains, [p for p in self.parameters() if all(p is not other for other in (*inner, *gains))])

    def unit_of(self, layer: str) -> float:
        """How many integers are 1.0 in what a layer takes."""
        return INPUT_UNIT if layer in ("stem", "skip") else ACTIVATION_UNIT

    def integers(self) -> dict[str, Tensor]:
        """'<layer>.weight' integers, '<layer>.factor' and, of stem and head, '<layer>.bias' float: a layer's result is
        sums * factor + bias, in activation levels or output units."""
        integers = {}
        for layer, weight in self.weights.items():
            is_output = layer in ("head", "skip")
            direction = weight if is_output else F.normalize(weight)
            grid = (direction.detach().abs().amax(1) / LARGEST_WEIGHT).clamp(min=1e-8)
            integers[f"{layer}.weight"] = rounded(direction / grid[:, None], -LARGEST_WEIGHT, LARGEST_WEIGHT)
            scale = self.units if is_output else ACTIVATION_UNIT
            integers[f"{layer}.factor"] = self.gains[layer] * grid / self.unit_of(layer) * scale
            if layer in self.biases:
                integers[f"{layer}.bias"] = self.biases[layer] * scale
        return integers

    def exported(self) -> dict[str, Tensor]:
        """The integers as a model file keeps them."""
        integers = {key: value.detach() for key, value in self.integers().items()}
        return {k: v.to(torch.int8) if k.endswith(".weight") else v.float().clone() for k, v in integers.items()}

    def outputs(self, positions: Positions, dtype: torch.dtype = torch.float32) -> Tensor:
        found: Tensor = self(positions.rows, positions.condition, dtype, positions.near)
        return found

    def forward(
        self, rows: Tensor, condition: Tensor, dtype: torch.dtype = torch.float32,
        near: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """near: as in `Positions`; None: each position is alone."""
        several = len(self.biases["stem"]) > 1
        chosen = F.one_hot(condition, len(self.biases["stem"])).float() if several else None
        last = self.layers(rows, chosen, dtype, lambda activations: _beside(activations, self.shape.shown, near))
        return rounded(last.t(), -OUTPUT_LIMIT, OUTPUT_LIMIT)

    def layers(
        self, rows: Tensor, chosen: Tensor | None, dtype: torch.dtype, beside: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Outputs [..., outputs], not rounded, of rows uint8 [..., inputs]. chosen: [..., conditions], 1 where a
        condition is that of a position; None: there is one. beside: activations [..., width] to what blocks see."""
        params = self.integers()

        def product(x: Tensor, name: str) -> Tensor:
            """The product with weights times factors, so that the gradients of both are products, too."""
            weight = params[f"{name}.weight"] * params[f"{name}.factor"][:, None]
            return F.linear(x.to(dtype), weight.to(dtype)).float()

        def bias(name: str) -> Tensor:
            biases = params[f"{name}.bias"]
            return biases[0] if chosen is None else chosen @ biases  # a product: gathering is not vectorised

        seen = rows.float() - ZERO
        trunk = product(seen, "stem") + bias("stem")
        for k in range(self.shape.depth):
            trunk = trunk + product(beside(_activation(trunk).to(dtype)), f"block{k}")
        return product(_activation(trunk), "head") + bias("head") + product(seen, "skip")


def first_bias(shape: Shape) -> Tensor:
    """Biases of the outputs of a new network, in units: wide distributions, whose components lie apart."""
    k, where = shape.components, Outputs(shape.components)
    bias = torch.zeros(shape.contract[1])
    if shape.role == PREVIEW:
        return bias
    offsets = torch.linspace(-0.5, 0.5, k).repeat(CHANNELS) if k > 1 else torch.zeros(CHANNELS)
    bias[where.means()] = 0.6 * offsets
    bias[where.scales()] = offsets + FIRST_SCALES[shape.role] / SCALE_NAT
    if shape.role != "band":  # green, red, blue go together
        bias[where.cross()] = torch.tensor([1.0, 0.5, 0.5])
    return bias


def _activation(trunk: Tensor) -> Tensor:
    """ReLU, quantised; written without a mask of negative values, which would not be vectorised. Values above the
    largest activation have no gradient: in a run in which they had one, gains grew until all values were above it."""
    clipped = (0.5 * (trunk + trunk.abs())).clamp(max=LARGEST_ACTIVATION)
    return clipped + (torch.round(clipped) - clipped).detach()


def _beside(activations: Tensor, shown: int, near: Tensor | None) -> Tensor:
    """Activations [K, width], and beside them the first ones of three others, by their numbers `near`."""
    if not shown:
        return activations
    if near is None:
        return F.pad(activations, (0, NEIGHBOURS * shown))
    all_shown = F.pad(activations[:, :shown], (0, 0, 0, 1))  # and of nobody: zeros
    return torch.cat([activations, *(all_shown[numbers] for numbers in near)], 1)


def log_sigmoid(x: Tensor) -> Tensor:
    return x.clamp(max=0) - torch.log1p(torch.exp(-x.abs()))


def log_mass(mean: Tensor, inverse_scale: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """log P(lo - 1/2 < x < hi + 1/2) under a logistic, stable in both tails."""
    below, above = (lo - 0.5 - mean) * inverse_scale, (hi + 0.5 - mean) * inverse_scale
    return log_sigmoid(above) + log_sigmoid(-below) + torch.log(-torch.expm1(below - above))


def residual(mean: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """How far a channel's mean is from the inner half of its new range, which the next channels' means follow."""
    quarter = (hi - lo) / 4
    return torch.minimum(torch.maximum(mean, lo + quarter), hi - quarter) - mean


def code_length(shape: Shape, outputs: Tensor, positions: Positions) -> Tensor:
    """Ideal code length of every position, bits [K], given outputs [outputs, K]: that of its new ranges under the joint
    mixture, truncated to the old ranges."""
    where, by_channel = Outputs(shape.components), (CHANNELS, shape.components, outputs.shape[1])
    base, lo, hi = positions.base, positions.lo, positions.hi
    new_lo, new_hi = positions.new_lo, positions.new_hi
    log_scale = ((outputs[where.scales()].clamp(0, LAST_SCALE) - SCALE_ONE) / SCALE_NAT).reshape(by_channel)
    inverse = torch.exp(-log_scale)
    means = outputs[where.means()].reshape(by_channel) / PIXEL_UNIT
    cross = outputs[where.cross()] / PIXEL_UNIT
    log_weights = torch.log_softmax(outputs[where.logits()] * (LN2 / LOGIT_OCTAVE), 0)
    relative = (means * log_weights.exp()).sum(1)
    first = base[0]
    first_residual = residual(first + relative[0], new_lo[0], new_hi[0])
    second = base[1] + cross[0] * first_residual
    second_residual = residual(second + relative[1], new_lo[1], new_hi[1])
    third = base[2] + cross[1] * first_residual + cross[2] * second_residual
    mean = torch.stack([first, second, third])[:, None] + means
    log_new = log_mass(mean, inverse, new_lo[:, None], new_hi[:, None])
    log_truncated = (log_new - log_mass(mean, inverse, lo[:, None], hi[:, None])).sum(0)
    return -torch.logsumexp(log_weights + log_truncated, 0) / LN2


def loss(network: Trainable, positions: Positions, dtype: torch.dtype = torch.float32) -> Tensor:
    """`Trainable.loss` as a function, which PyTorch compiles."""
    return network.loss(positions, dtype)


def trainable(shape: Shape) -> Trainable:
    """A new network. Raises ModelError where nothing registers its architecture, TrainingError where it cannot be
    trained."""
    if shape.architecture == RESIDUAL:
        return TrainableNetwork(shape)
    make = getattr(architectures.find(shape.architecture), "trainable", None)
    if make is None:
        raise TrainingError(f"networks of the architecture {shape.architecture!r} have no `trainable`: train others")
    network: Trainable = make(shape)
    return network
