"""The denoiser of previews: a small convolutional network trained for squared error. Not exact, never used for coding.

It sees the conditional means of the planes Y, Co, Cg and their standard deviations (`codec.preview`), in 2x2 patches,
and returns residuals in standard deviations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ddpmcodec.exactness import exact_torch, new_process
from ddpmcodec.parallel import one_thread_if, run_all

PLANES, PATCH = 3, 2
WIDTH, BLOCKS = 48, 5
UNIT = 1 / 32  # of a grey level, as the network sees it
LEAST_DEVIATION = 0.05  # grey levels
FARTHEST = 4096.0  # grey levels from 0: only a network that nobody trained goes there
PART = 512  # pixels of a side that are denoised together
MARGIN = 16  # pixels around them that they depend on, or more: BLOCKS + 2 convolutions at half the resolution
Part = tuple[tuple[slice, slice], NDArray[np.float32]]


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
        """Means and standard deviations [N, 3, H, W] in grey levels to better means. level: the image's own mean
        [N, 3, 1, 1], where this is a part of it."""
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


def denoiser_of(tensors: Mapping[str, NDArray[Any]]) -> Denoiser:
    """From a model file's tensors."""
    network = Denoiser()
    found = {key: torch.from_numpy(np.array(value, np.float32)) for key, value in tensors.items()}
    network.load_state_dict(found, assign=True)  # whatever the default dtype and device are
    return network.eval()


def denoised(network: Denoiser, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> Iterator[Part]:
    """Better means of planes [H, W, 3], part by part, so that memory does not grow with the height: (rows, columns),
    and the means there. Parts of the same rows are computed side by side."""
    height, width, _ = mean.shape
    level = torch.from_numpy(mean.mean((0, 1), dtype=np.float64).astype(np.float32)).view(1, PLANES, 1, 1)
    for top in range(0, height, PART):

        def part(left: int, top: int = top) -> Part:
            return _part(network, mean, deviation, level, top, left)

        with new_process():
            parts = run_all(part, range(0, width, PART))
        yield from parts


@torch.inference_mode()
def _part(
    network: Denoiser, mean: NDArray[np.float32], deviation: NDArray[np.float32], level: Tensor, top: int, left: int
) -> Part:
    """On one thread: on a busy machine OpenMP's threads spin while they wait for the one that another program keeps."""
    height, width, _ = mean.shape
    first_row, first_column = max(top - MARGIN, 0), max(left - MARGIN, 0)
    seen = slice(first_row, top + PART + MARGIN), slice(first_column, left + PART + MARGIN)
    inner = slice(top, min(top + PART, height)), slice(left, min(left + PART, width))
    planes = (np.ascontiguousarray(known[seen].transpose(2, 0, 1)) for known in (mean, deviation))
    with one_thread_if(True), exact_torch():
        answer = network(*(torch.from_numpy(plane)[None] for plane in planes), level)[0].permute(1, 2, 0)
        better = answer.nan_to_num(0.0).clamp(-FARTHEST, FARTHEST).numpy()
    return inner, better[top - first_row :, left - first_column :][:PART, :PART]


assert MARGIN >= PATCH * (BLOCKS + 2)
assert PART % PATCH == MARGIN % PATCH == 0
