"""A network of JPEG coefficients in training, in the eight bits that it codes in; rounding has the gradient of the
identity. A position's loss is its ideal code length in bits."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpmcodec.training.coefficients.order import CELL_PARTS, OWN, VALUES, conditions_of
from ddpmcodec.training.coefficients.positions import (
    ASINH,
    CHROMA_INPUTS,
    LUMA_INPUTS,
    OTHER_ENTRIES,
    OWN_ENTRIES,
    SIGNED_FROM,
    Seen,
    integers,
)
from ddpmcodec.training.coefficients.predictors import LINEAR, MAGNITUDES, Statistics, patterns
from ddpmcodec.training.trainable import (
    ACTIVATION_UNIT,
    LARGEST_ACTIVATION,
    LARGEST_WEIGHT,
    LAST_SCALE,
    LN2,
    LOGIT_OCTAVE,
    OUTPUT_LIMIT,
    SCALE_NAT,
    SCALE_ONE,
    log_mass,
    log_sigmoid,
    rounded,
)

COMPONENTS = 3  # logistics
# Outputs of the coarsest level: the logit of a flag, then logits, means and log-scales of the logistics. Those of finer
# levels are logits of the parts of a cell, by its sign.
LOGITS, MEANS, SCALES = (slice(1 + k * COMPONENTS, 1 + (k + 1) * COMPONENTS) for k in range(3))
OUTPUTS = 1 + 3 * COMPONENTS
LOGARITHM, SMALLEST = 16.0, 0.02  # of magnitudes as inputs: what 1 is, and what is added to a sum
FIRST_SCALES = (-1.0, 0.0, 1.0)  # logarithms, in steps
FIRST_OWN = -0.7  # weight of the cell itself in the other linear sums of finer levels
FLAG_UNIT, MEAN_UNIT = 64.0, 256.0  # integers per 1: of the logit of a flag; of a mean in units of its scale
# Inputs are integers, of which this many are about 1. Of the skip layer, whose outputs must not jump, a tenth of that.
STEM_UNIT, SKIP_UNIT = 24.0, 240.0
# Weights of a sum in a model file. It has room for two more: entries that are far apart need fillers.
KEPT_WEIGHTS = 58
LUMA, CHROMA, REFINE_LUMA, REFINE_CHROMA = ROLES = ("luma", "chroma", "refine-luma", "refine-chroma")


class CoefficientShape(NamedTuple):
    """Which network: of luma, or of Cb and Cr, of the coarsest level or of finer ones; its width and blocks."""

    role: str
    width: int
    depth: int

    @property
    def refines(self) -> bool:
        return self.role in (REFINE_LUMA, REFINE_CHROMA)

    @property
    def is_chroma(self) -> bool:
        return self.role in (CHROMA, REFINE_CHROMA)

    @property
    def components(self) -> tuple[int, ...]:
        return (1, 2) if self.is_chroma else (0,)

    @property
    def conditions(self) -> int:
        return conditions_of(self.refines) * len(self.components)

    @property
    def predictor_conditions(self) -> int:
        """Conditions of predictors, which Cb and Cr share."""
        return conditions_of(self.refines)

    @property
    def entries(self) -> int:
        """Known coefficients that predictors add up."""
        return OWN_ENTRIES + (OTHER_ENTRIES if self.is_chroma else 0)

    @property
    def inputs(self) -> int:
        return (CHROMA_INPUTS if self.is_chroma else LUMA_INPUTS) + LINEAR + MAGNITUDES

    @property
    def outputs(self) -> int:
        return CELL_PARTS if self.refines else OUTPUTS

    @property
    def units(self) -> Tensor:
        """How many of the coder's integers are 1, for every output."""
        logits = [LOGIT_OCTAVE / LN2] * COMPONENTS
        others = (FLAG_UNIT, *logits, *[MEAN_UNIT] * COMPONENTS, *[SCALE_NAT] * COMPONENTS)
        return torch.tensor([LOGIT_OCTAVE / LN2] * CELL_PARTS if self.refines else others)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a position, without predictors."""
        return self.inputs * (self.width + self.outputs) + self.depth * self.width**2 + self.width * self.outputs


class Prediction(NamedTuple):
    """Outputs of groups of positions.

    Attributes:
        outputs: integers [G, n, 10]; of finer levels [G, n, 3].
        sum: what the first linear sum predicts, in steps [G, n].
        sign: 1 or -1, of the cell or else of that sum, [G, n]. Parts of a finer level's cell are multiplied by it.
    """

    outputs: Tensor
    sum: Tensor
    sign: Tensor


class CoefficientNetwork(nn.Module):
    """The network in training.

    Attributes:
        scale: `Statistics.scale` by condition, in which the weights of predictors are.
        kept_linear, kept_magnitudes: 1 for the weights of sums that are in use, 0 for the others.
        units: how many of the coder's integers are 1, for every output.
    """

    scale: Tensor
    kept_linear: Tensor
    kept_magnitudes: Tensor
    units: Tensor

    def __init__(self, shape: CoefficientShape, statistics: Statistics | None = None) -> None:
        """statistics: of all components together; None: of a network that is restored."""
        super().__init__()
        self.shape, width = shape, shape.width

        def by_condition(*sizes: int, value: float = 0.0) -> nn.Parameter:
            return nn.Parameter(torch.full((shape.conditions, *sizes), value))

        self.stem = nn.Parameter(torch.randn(width, shape.inputs) / shape.inputs**0.5)
        self.gain, self.bias = by_condition(width, value=1.0), by_condition(width)
        blocks = (torch.randn(width, width) / width**0.5 / 2 for _ in range(shape.depth))
        self.blocks = nn.ParameterList([nn.Parameter(block) for block in blocks])
        self.block_biases = nn.ParameterList([by_condition(width) for _ in range(shape.depth)])
        self.head, self.head_bias = nn.Parameter(torch.zeros(shape.outputs, width)), by_condition(shape.outputs)
        self.skip = nn.Parameter(torch.zeros(shape.outputs, shape.inputs))
        self.linear = nn.Parameter(torch.zeros(shape.predictor_conditions, LINEAR, shape.entries))
        self.magnitudes = nn.Parameter(patterns(shape.entries, shape.refines))
        self.register_buffer("scale", torch.ones(shape.predictor_conditions, shape.entries))
        self.register_buffer("kept_linear", torch.ones_like(self.linear))
        self.register_buffer("kept_magnitudes", torch.ones_like(self.magnitudes))
        self.register_buffer("units", shape.units, persistent=False)
        with torch.no_grad():
            self._begin(statistics)

    def _begin(self, statistics: Statistics | None) -> None:
        shape, condition = self.shape, torch.arange(self.shape.predictor_conditions)
        self.linear[:, 1:].normal_(0, 0.05)
        if shape.refines:
            self.linear[condition, 1:, OWN * VALUES + condition] = FIRST_OWN
        else:
            self.head_bias[:, SCALES] = torch.tensor(FIRST_SCALES) + SCALE_ONE / SCALE_NAT
        if statistics is not None:
            self.scale.copy_(statistics.scale)
            self.linear[:, 0] = torch.where(self.scale > 0, statistics.weights / self.scale.clamp(min=1e-6), 0.0)

    def forward(self, seen: Seen, dtype: torch.dtype = torch.float32) -> Prediction:
        """dtype: of products of layers, which round in bfloat16."""
        condition, predicted = seen.condition, self._sums(seen)
        linear, magnitudes = predicted.inputs()
        sign = _sign(torch.where(seen.cell != 0, seen.cell, predicted.linear[..., 0].detach()))
        signed = torch.cat([seen.rows[..., SIGNED_FROM:], linear], 2)
        if self.shape.refines:
            signed = signed * sign[..., None]
        rows = torch.cat([seen.rows[..., :SIGNED_FROM], signed, magnitudes], 2).to(dtype)
        product = F.linear(rows, _in_eight_bits(self.stem / STEM_UNIT).to(dtype)).float()
        trunk = product * self.gain[condition][:, None] + self.bias[condition][:, None]
        for block, bias in zip(self.blocks, self.block_biases, strict=True):
            trunk = trunk + _product(trunk + bias[condition][:, None], block, dtype)
        outputs = _product(trunk, self.head, dtype) + self.head_bias[condition][:, None]
        skipped = F.linear(rows, _in_eight_bits(self.skip / SKIP_UNIT).to(dtype)).float()
        integers = rounded((outputs + skipped) * self.units, -OUTPUT_LIMIT, OUTPUT_LIMIT)
        return Prediction(integers, predicted.linear[..., 0], sign)

    def _sums(self, seen: Seen) -> Sums:
        condition, step = seen.condition % self.shape.predictor_conditions, seen.step[:, None, None]
        linear, magnitudes = self._linear_weights(condition), self._magnitude_weights(condition)
        return Sums(seen.entries @ (linear / step).mT, seen.entries.abs() @ (magnitudes / step).mT)

    def _linear_weights(self, condition: Tensor | slice) -> Tensor:
        return self.linear[condition] * self.kept_linear[condition] * self.scale[condition][:, None]

    def _magnitude_weights(self, condition: Tensor | slice) -> Tensor:
        return self.magnitudes[condition].exp() * self.kept_magnitudes[condition] * self.scale[condition][:, None]

    @torch.no_grad()
    def weights(self) -> tuple[Tensor, Tensor]:
        """Return the weights of linear sums and of magnitudes in all their conditions, [conditions, sums, entries], for
        dequantised coefficients and sums in units of 1."""
        return self._linear_weights(slice(None)), self._magnitude_weights(slice(None))

    def predictors(self) -> dict[str, Tensor]:
        """Return by name what the sums are made of."""
        names = ("linear", "magnitudes", "scale", "kept_linear", "kept_magnitudes")
        return {name: getattr(self, name) for name in names}

    @property
    def is_sparse(self) -> bool:
        """Whether sums have no more weights than a model file keeps."""
        return not bool(self.kept_linear.all())

    @torch.no_grad()
    def prune(self) -> None:
        """Keep the largest weights of each sum alone, for coefficients of their usual sizes. Those of magnitudes grow,
        so that sums stay as large."""
        is_known = self.scale[:, None] > 0
        self.kept_linear.copy_(_largest(self.linear.abs() * self.kept_linear * is_known))
        sizes = self.magnitudes.exp() * self.kept_magnitudes * is_known
        kept = _largest(sizes)
        self.kept_magnitudes.copy_(kept)
        growth = sizes.sum(2) / (sizes * kept).sum(2).clamp(min=1e-9)
        self.magnitudes.add_(torch.log(growth.clamp(min=1))[:, :, None])


def _largest(sizes: Tensor) -> Tensor:
    """1 for the largest of each sum, 0 for the others."""
    return torch.zeros_like(sizes).scatter_(2, sizes.topk(KEPT_WEIGHTS, 2).indices, 1.0) * (sizes > 0)


class Sums(NamedTuple):
    """Sums of known coefficients by predictors, in steps of the coefficient to be coded, [G, n, sums]."""

    linear: Tensor
    magnitudes: Tensor

    def inputs(self) -> tuple[Tensor, Tensor]:
        return _input(torch.asinh(self.linear) * ASINH), _input(torch.log(self.magnitudes + SMALLEST) * LOGARITHM)


def _sign(x: Tensor) -> Tensor:
    """-1 below zero, else 1."""
    return torch.where(x < 0, -1.0, 1.0)


def _input(x: Tensor) -> Tensor:
    """The nearest input; gradients pass straight through."""
    return x + (integers(x) - x).detach()


def _in_eight_bits(weight: Tensor) -> Tensor:
    grid = weight.detach().abs().amax(1, keepdim=True).clamp(min=1e-8) / LARGEST_WEIGHT
    return rounded(weight / grid, -LARGEST_WEIGHT, LARGEST_WEIGHT) * grid


def _product(trunk: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """The product of quantised activations, the positive part of the trunk, with weights."""
    active = F.relu(trunk).clamp(max=LARGEST_ACTIVATION / ACTIVATION_UNIT)
    active = active + (torch.round(active * ACTIVATION_UNIT) / ACTIVATION_UNIT - active).detach()
    return F.linear(active.to(dtype), _in_eight_bits(weight).to(dtype)).float()


def code_lengths(prediction: Prediction, seen: Seen) -> Tensor:
    """Return the ideal code length of every position, bits [G, n]."""
    outputs, value = prediction.outputs, seen.value
    if outputs.shape[-1] == CELL_PARTS:
        part = (value * prediction.sign + CELL_PARTS // 2).long()
        return -_log_shares(outputs).gather(2, part[..., None])[..., 0] / LN2
    signs = torch.where(value > 0, 1.0, -1.0)
    of_flags = log_sigmoid(outputs[..., 0] / FLAG_UNIT * signs)
    log_scale = (outputs[..., SCALES].clamp(0, LAST_SCALE) - SCALE_ONE) / SCALE_NAT
    mean = prediction.sum[..., None] + outputs[..., MEANS] / MEAN_UNIT * torch.exp(log_scale)
    mass = log_mass(mean, torch.exp(-log_scale), value[..., None], value[..., None])
    of_values = torch.logsumexp(_log_shares(outputs[..., LOGITS]) + mass, -1)
    return -torch.where(seen.is_flag[:, None], of_flags, of_values) / LN2


def _log_shares(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits * (LN2 / LOGIT_OCTAVE), -1)


def loss(network: CoefficientNetwork, seen: Seen, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the mean bits of a position, which PyTorch compiles."""
    return code_lengths(network(seen, dtype), seen).mean()
