"""The denoiser of previews in training; the core runs it (`_core/denoiser.h`). Not exact, never used for coding.

It sees the conditional means of the planes Y, Co, Cg and their standard deviations, in 2x2 patches, and returns
residuals in standard deviations.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLANES, PATCH = 3, 2
WIDTH, BLOCKS = 48, 5
UNIT = 1 / 32  # of a grey level, as the network sees it
LEAST_DEVIATION = 0.05  # grey levels


class Denoiser(nn.Module):
    """Residual blocks of one 3x3 convolution each, at half the resolution."""

    def __init__(self) -> None:
        super().__init__()
        patch = PLANES * PATCH**2
        self.enter = nn.Conv2d(3 * patch, WIDTH, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(BLOCKS))
        self.leave = nn.Conv2d(WIDTH, patch, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, mean: Tensor, deviation: Tensor, level: Tensor | None = None) -> Tensor:
        """Means and standard deviations [N, 3, H, W] in grey levels to better means. level [N, 3, 1, 1]: of the image
        whose part this is; None: of the part."""
        height, width = mean.shape[2:]
        padding = (0, width % PATCH, 0, height % PATCH)
        planes, scale = (F.pad(x, padding, mode="replicate") for x in (mean, deviation.clamp(min=LEAST_DEVIATION)))
        low = mean.mean((2, 3), keepdim=True) if level is None else level
        seen = torch.cat([(planes - low) * UNIT, torch.log2(scale), (planes - low) * UNIT / scale.clamp(min=1)], 1)
        x = self.enter(F.pixel_unshuffle(seen, PATCH))
        for block in self.blocks:
            x = x + block(F.relu(x))
        residual = F.pixel_shuffle(self.leave(F.relu(x)), PATCH)[:, :, :height, :width]
        return mean + residual * deviation
