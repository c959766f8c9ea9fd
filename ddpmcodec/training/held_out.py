"""What networks take for whole images: ideal code lengths, without online adaptation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec.models.context import BAND_ROLES
from ddpmcodec.training.replay import LEVELS, Columns, Images, bands_of, pixels_of
from ddpmcodec.training.trainable import Positions, TrainableNetwork, code_length

STEPS = {2: (0, 1), 5: (2, 3, 4, 5, 6)}  # of the noise levels of each schedule: their numbers
PIXELS, POSITIONS = 1 << 16, 1 << 14  # of images, and of positions, that are computed together
BANDS_OF_STEP = _native.BAND_CONDITIONS // sum(map(len, STEPS.values()))
SEED = 1  # every position is taken
Networks = Mapping[str, TrainableNetwork]
Bits = NDArray[np.float64]


def figures(networks: Networks, batches: Sequence[Images]) -> dict[str, Any]:
    """'held_out': bits/dim by role and of all that a file with so many noise levels holds, as far as there are networks
    for it. 'steps': of every noise level, by schedule. batches: uint8 [N, H, W, 3]."""
    dims = sum(batch.size for batch in batches)
    pixels = {role: _pixel_bits(networks[role], role, batches) / dims for role in networks if role not in BAND_ROLES}
    bands = {role: network for role, network in networks.items() if role in BAND_ROLES}
    steps = {levels: _step_bits(bands, levels, batches) / dims for levels in LEVELS if bands}
    found = pixels | {f"bands {levels}": float(bits.sum()) for levels, bits in steps.items()}
    rounded = {name: round(value, 4) for name, value in (found | _totals(found, bands)).items()}
    listed = {str(levels): [round(float(value), 4) for value in bits] for levels, bits in steps.items()}
    return {"held_out": rounded} | ({"steps": listed} if listed else {})


def _totals(found: Mapping[str, float], bands: Networks) -> dict[str, float]:
    totals = {"levels 0": found["direct"]} if "direct" in found else {}
    if "last" in found and len(bands) == len(BAND_ROLES):
        totals |= {f"levels {levels}": found["last"] + found[f"bands {levels}"] for levels in LEVELS}
    return totals


def _pixel_bits(network: TrainableNetwork, role: str, batches: Sequence[Images]) -> float:
    found = (bits_of(network, pixels_of(images, role, 1.0, SEED)) for images in _parts(batches))
    return sum(float(bits.sum()) for bits in found)


def _step_bits(networks: Networks, levels: int, batches: Sequence[Images]) -> Bits:
    """Of every step of a schedule."""
    total = np.zeros(sum(map(len, STEPS.values())))
    for images in _parts(batches):
        for role, columns in bands_of(images, levels, 1.0, SEED).items():
            if role in networks:
                steps = columns["condition"] // BANDS_OF_STEP
                total += np.bincount(steps, bits_of(networks[role], columns), minlength=len(total))
    return total[list(STEPS[levels])]


@torch.no_grad()
def bits_of(network: TrainableNetwork, columns: Columns) -> Bits:
    """The code length of each of some positions."""
    device = network.units.device
    found = [np.zeros(0)]
    for first in range(0, len(columns["rows"]), POSITIONS):
        some = {name: torch.from_numpy(columns[name][first : first + POSITIONS]) for name in Positions._fields}
        positions = Positions.of({name: column.to(device) for name, column in some.items()})
        out = network(positions.rows, positions.condition)
        found.append(code_length(network.shape, out, positions).double().cpu().numpy())
    return np.concatenate(found)


def _parts(batches: Sequence[Images]) -> Iterator[Images]:
    for batch in batches:
        count = max(1, PIXELS // (batch.shape[1] * batch.shape[2]))
        yield from (np.ascontiguousarray(batch[first : first + count]) for first in range(0, len(batch), count))
