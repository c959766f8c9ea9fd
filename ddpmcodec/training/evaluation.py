"""What images cost with networks in training: ideal code lengths, without online adaptation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec.models.context import BAND_ROLES
from ddpmcodec.training.data import Pixels
from ddpmcodec.training.replay import LEVELS, Columns, bands_of, parts_of, pixels_of
from ddpmcodec.training.trainable import Networks, Positions, Trainable, code_length

PIXELS, POSITIONS = 1 << 16, 1 << 14  # of images, and of positions, that are computed together
Bits = NDArray[np.float64]
# By name the network of a figure of exact pixels, and after how many noise levels it codes them.
PIXEL_RATES = {"direct": ("direct", 0), **{f"last {levels}": ("last", levels) for levels in LEVELS}}


def figures(networks: Networks, batches: Sequence[Pixels]) -> dict[str, Any]:
    """'held_out': bits/dim of exact pixels, of all noise levels and of whole files, by how many levels there are, where
    there are the networks for them. 'steps': of every noise level, by schedule. batches: uint8 [N, H, W, 3]."""
    dims = sum(batch.size for batch in batches)
    pixels = {
        name: _pixel_bits(networks[role], levels, batches) / dims
        for name, (role, levels) in PIXEL_RATES.items()
        if role in networks
    }
    bands = {role: network for role, network in networks.items() if role in BAND_ROLES}
    steps = {levels: _step_bits(bands, levels, batches) / dims for levels in LEVELS if bands}
    rates = pixels | {f"bands {levels}": float(bits.sum()) for levels, bits in steps.items()}
    rounded = {name: round(value, 4) for name, value in (rates | _totals(rates, bands)).items()}
    listed = {str(levels): [round(float(value), 4) for value in bits] for levels, bits in steps.items()}
    return {"held_out": rounded} | ({"steps": listed} if listed else {})


def _totals(rates: Mapping[str, float], bands: Networks) -> dict[str, float]:
    totals = {"levels 0": rates["direct"]} if "direct" in rates else {}
    for levels in LEVELS:
        if f"last {levels}" in rates and len(bands) == len(BAND_ROLES):
            totals[f"levels {levels}"] = rates[f"last {levels}"] + rates[f"bands {levels}"]
    return totals


def _pixel_bits(network: Trainable, levels: int, batches: Sequence[Pixels]) -> float:
    lengths = (bits_of(network, pixels_of(images, levels)) for images in _parts(batches))
    return sum(float(bits.sum()) for bits in lengths)


def _step_bits(networks: Networks, levels: int, batches: Sequence[Pixels]) -> Bits:
    """Bits of every step of a schedule."""
    numbers = [number for number, _ in _native.SCHEDULES[levels]]
    total = np.zeros(numbers[-1] + 1)
    for images in _parts(batches):
        for role, columns in bands_of(images, levels).items():
            if role in networks:
                steps = columns["condition"] // _native.BANDS_OF_STEP
                total += np.bincount(steps, bits_of(networks[role], columns), minlength=len(total))
    return total[numbers]


@torch.no_grad()
def bits_of(network: Trainable, columns: Columns) -> Bits:
    """The code length of each position."""
    device, lengths = network.units.device, [np.zeros(0)]
    for some in _together(columns):
        numbers = columns["near"][some]
        taken = {name: columns[name][some] for name in Positions._fields}
        taken["near"] = np.where(numbers < 0, -1, numbers - some.start)
        positions = Positions.of({name: torch.from_numpy(column).to(device) for name, column in taken.items()})
        lengths.append(code_length(network.shape, network.outputs(positions), positions).double().cpu().numpy())
    return np.concatenate(lengths)


def _together(columns: Columns) -> Iterator[slice]:
    """Positions that are computed together: whole parts."""
    first = end = 0
    for one in parts_of(columns):
        if one.stop - first > POSITIONS and end > first:
            yield slice(first, end)
            first = end
        end = one.stop
    if end > first:
        yield slice(first, end)


def _parts(batches: Sequence[Pixels]) -> Iterator[Pixels]:
    for batch in batches:
        count = max(1, PIXELS // (batch.shape[1] * batch.shape[2]))
        yield from (np.ascontiguousarray(batch[first : first + count]) for first in range(0, len(batch), count))
