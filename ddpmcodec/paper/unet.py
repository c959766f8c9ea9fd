"""The U-Net of arXiv 2006.11239, appendix B.

The network predicts the noise in z_t = alpha_t x + sigma_t eps, x in [-1, 1], from z_t and t. Modules carry the names
of the published checkpoints (those of the diffusers library), so that a checkpoint is a state dict of it. Shapes are
[N, C, H, W].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpmcodec.errors import ModelError

TIME_PERIOD = 10000.0  # of the slowest wave of the time embedding, over 2 pi


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the network.

    multipliers: channels of every level, from full resolution down, in units of `channels`. attention: the levels that
    have it, counted from 0. blocks: residual blocks of a level on the way down; on the way up there is one more.
    learned_variance: the output has three more channels, where the variance lies between its bounds (arXiv 2102.09672).
    """

    channels: int = 128
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    attention: tuple[int, ...] = (1,)
    blocks: int = 2
    groups: int = 32
    dropout: float = 0.1
    learned_variance: bool = False

    def __post_init__(self) -> None:
        """Raises ModelError for what is no network."""
        sizes = self.channels, self.blocks, self.groups, *self.multipliers
        if not (1 <= len(self.multipliers) <= 10 and all(type(size) is int and 1 <= size <= 1024 for size in sizes)):
            raise ModelError(f"{self._sizes}: sizes of a U-Net are integers from 1 to 1024, and its levels 1 to 10")
        if self.channels % self.groups or self.channels % 2 or self.channels < 4:
            raise ModelError(f"{self._sizes}: channels must be even, at least 4, and make groups of equal size")
        if not set(self.attention) <= set(range(len(self.multipliers))):
            raise ModelError(f"attention at {self.attention}: a level that does not exist; they count from 0")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout must be at least 0 and below 1, not {self.dropout}")

    @property
    def _sizes(self) -> str:
        """For errors."""
        return f"channels {self.channels}, groups {self.groups}, multipliers {self.multipliers}, blocks {self.blocks}"

    @property
    def multiple(self) -> int:
        """Image sides must be multiples of this."""
        return 1 << (len(self.multipliers) - 1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> UNetConfig:
        """The inverse of `to_json`, also after JSON has made lists of tuples. Raises ModelError."""
        try:
            sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
            return cls(**sizes)
        except (TypeError, AttributeError) as error:
            raise ModelError(f"{value}: not the sizes of a U-Net ({error})") from error


CIFAR10 = UNetConfig()  # 35.7 M parameters
LARGE256 = UNetConfig(multipliers=(1, 1, 2, 2, 4, 4), attention=(4,), dropout=0.0)  # 114 M: CelebA-HQ and LSUN, 256x256


def normalise(channels: int, config: UNetConfig) -> nn.GroupNorm:
    return nn.GroupNorm(config.groups, channels, eps=1e-6)


def time_embedding(t: Tensor, channels: int) -> Tensor:
    """[N, channels]: sines, then cosines, of t [N] at frequencies from 1 down to 1 / TIME_PERIOD, evenly in log."""
    half = channels // 2
    exponents = -math.log(TIME_PERIOD) * torch.arange(half, dtype=torch.float32, device=t.device) / (half - 1)
    phases = t.float()[:, None] * torch.exp(exponents)
    return torch.cat([torch.sin(phases), torch.cos(phases)], 1)


class TimeNetwork(nn.Module):
    """Two layers over the time embedding; every residual block takes a projection of what they return."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(channels, 4 * channels)
        self.linear_2 = nn.Linear(4 * channels, 4 * channels)

    def forward(self, embedding: Tensor) -> Tensor:
        result: Tensor = self.linear_2(F.silu(self.linear_1(embedding)))
        return result


class ResidualBlock(nn.Module):
    """Normalise, SiLU, convolve, add the time; normalise, SiLU, drop out, convolve; add to what came in."""

    def __init__(self, inputs: int, outputs: int, config: UNetConfig) -> None:
        super().__init__()
        self.norm1 = normalise(inputs, config)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(4 * config.channels, outputs)
        self.norm2 = normalise(outputs, config)
        self.dropout = nn.Dropout(config.dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x))) + self.time_emb_proj(F.silu(time))[:, :, None, None]
        y = self.conv2(self.dropout(F.silu(self.norm2(y))))
        result: Tensor = self.conv_shortcut(x) + y
        return result


class Attention(nn.Module):
    """Self-attention over all positions, with one head, and a residual connection."""

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.group_norm = normalise(channels, config)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.group_norm(x).flatten(2).transpose(1, 2)  # [N, H W, C]
        query, key, value = self.to_q(tokens), self.to_k(tokens), self.to_v(tokens)
        attended = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        result: Tensor = x + self.to_out(attended).transpose(1, 2).view_as(x)
        return result


class Downsample(nn.Module):
    """Convolution with stride 2; the row and column of zeros it needs come last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return result


class Upsample(nn.Module):
    """Every pixel becomes 2x2, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return result


class Level(nn.Module):
    """Residual blocks of one resolution; the first blocks are followed by attention, as many as there are."""

    def __init__(self, inputs: Sequence[int], channels: int, attentions: int, config: UNetConfig) -> None:
        """inputs: channels that enter each block."""
        super().__init__()
        self.resnets = nn.ModuleList(ResidualBlock(entering, channels, config) for entering in inputs)
        self.attentions = nn.ModuleList(Attention(channels, config) for _ in range(attentions))

    def block(self, i: int, x: Tensor, time: Tensor) -> Tensor:
        x = self.resnets[i](x, time)
        return self.attentions[i](x) if i < len(self.attentions) else x


class DownLevel(Level):
    def __init__(
        self, inputs: Sequence[int], channels: int, attentions: int, config: UNetConfig, *, last: bool
    ) -> None:
        super().__init__(inputs, channels, attentions, config)
        self.downsamplers = nn.ModuleList([] if last else [Downsample(channels)])

    def forward(self, x: Tensor, time: Tensor) -> list[Tensor]:
        """The outputs of every block, and of the change of resolution."""
        results = []
        for i in range(len(self.resnets)):
            x = self.block(i, x, time)
            results.append(x)
        return results + [downsample(x) for downsample in self.downsamplers]


class MiddleLevel(Level):
    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        for i in range(len(self.resnets)):
            x = self.block(i, x, time)
        return x


class UpLevel(Level):
    def __init__(
        self, inputs: Sequence[int], channels: int, attentions: int, config: UNetConfig, *, last: bool
    ) -> None:
        super().__init__(inputs, channels, attentions, config)
        self.upsamplers = nn.ModuleList([] if last else [Upsample(channels)])

    def forward(self, x: Tensor, skips: list[Tensor], time: Tensor) -> Tensor:
        """Takes one output of the way down for each block, from the end of `skips`."""
        for i in range(len(self.resnets)):
            x = self.block(i, torch.cat([x, skips.pop()], 1), time)
        for upsample in self.upsamplers:
            x = upsample(x)
        return x


class UNet(nn.Module):
    """Weights are initialised as in the paper's code: the last layer of a branch, and of the network, with zeros."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_in = nn.Conv2d(3, config.channels, 3, padding=1)
        self.time_embedding = TimeNetwork(config.channels)
        widths = [config.channels * multiplier for multiplier in config.multipliers]
        skips = [config.channels]
        self.down_blocks = nn.ModuleList(_down_levels(config, widths, skips))
        self.mid_block = MiddleLevel([widths[-1]] * 2, widths[-1], 1, config)
        self.up_blocks = nn.ModuleList(_up_levels(config, widths, skips))
        self.conv_norm_out = normalise(config.channels, config)
        self.conv_out = nn.Conv2d(config.channels, 6 if config.learned_variance else 3, 3, padding=1)
        self.apply(_initialise)
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """z [N, 3, H, W], sides multiples of `config.multiple`; t [N] from 0, the index of the noise level.

        [N, 3, H, W]; with a learned variance [N, 6, H, W], the noise first.
        """
        time = self.time_embedding(time_embedding(t, self.config.channels).to(z.dtype))
        skips = [self.conv_in(z)]
        for down in self.down_blocks:
            skips += down(skips[-1], time)
        x = self.mid_block(skips[-1], time)
        for up in self.up_blocks:
            x = up(x, skips, time)
        result: Tensor = self.conv_out(F.silu(self.conv_norm_out(x)))
        return result


def _down_levels(config: UNetConfig, widths: Sequence[int], skips: list[int]) -> Iterable[DownLevel]:
    """Appends to `skips` the channels of everything the levels return."""
    for level, width in enumerate(widths):
        inputs = [skips[-1]] + [width] * (config.blocks - 1)
        last = level == len(widths) - 1
        skips += [width] * (config.blocks if last else config.blocks + 1)
        yield DownLevel(inputs, width, config.blocks * (level in config.attention), config, last=last)


def _up_levels(config: UNetConfig, widths: Sequence[int], skips: list[int]) -> Iterable[UpLevel]:
    """Levels from the coarsest to the finest; empties `skips`."""
    entering = widths[-1]
    for level, width in reversed(list(enumerate(widths))):
        blocks = config.blocks + 1
        inputs = [skips.pop() + (width if i else entering) for i in range(blocks)]
        yield UpLevel(inputs, width, blocks * (level in config.attention), config, last=level == 0)
        entering = width


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, ResidualBlock):  # which `apply` visits after its layers
        nn.init.zeros_(module.conv2.weight)
    elif isinstance(module, Attention):
        for parameter in module.to_out.parameters():
            nn.init.zeros_(parameter)
