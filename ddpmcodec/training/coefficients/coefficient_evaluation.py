"""What JPEG files cost with networks in training: ideal code lengths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ddpmcodec.training.coefficients.coefficient_network import LUMA, CoefficientNetwork, code_lengths
from ddpmcodec.training.coefficients.inputs import seen
from ddpmcodec.training.coefficients.order import CONDITIONS
from ddpmcodec.training.coefficients.planes import GROUP, Group, JpegFile

POSITIONS = 1 << 13  # of a file that are computed, about: as many of each condition as it has
TOGETHER = 64  # groups


@torch.no_grad()
def code_length(network: CoefficientNetwork, file: JpegFile, positions: int = POSITIONS) -> float:
    """Return the ideal code length of the components of a network, bits, by about so many positions."""
    numbers = [0] if network.shape.role == LUMA else range(1, len(file.components))
    total = sum(int(file.components[number].counts.sum()) for number in numbers)
    parts = [part for number in numbers for part in _parts(file, number, max(1, total // positions))]
    bits = 0.0
    for first in range(0, len(parts), TOGETHER):
        groups, weights = zip(*parts[first : first + TOGETHER], strict=True)
        positions_seen = seen(groups).to(network.scale.device)
        lengths = code_lengths(network(positions_seen), positions_seen).double().cpu().numpy()
        bits += float((lengths * np.stack(weights)).sum())
    return bits


def _parts(file: JpegFile, component: int, stride: int) -> Iterator[tuple[Group, np.ndarray]]:
    """Groups of every `stride`-th position, and how many positions each of theirs stands for; fillers for none."""
    for condition in range(CONDITIONS):
        group = file.group(component, condition)
        blocks = group.blocks[min(condition % stride, max(0, len(group.blocks) - 1)) :: stride]
        for first in range(0, len(blocks), GROUP):
            some = blocks[first : first + GROUP]
            weights = np.where(np.arange(GROUP) < len(some), len(group.blocks) / len(blocks), 0.0)
            yield group._replace(blocks=np.resize(some, GROUP)), weights
