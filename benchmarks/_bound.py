"""The variational bound of a denoiser, by default of the embedded Gaussian model, on images: what bits back pays, and
the rate-distortion curve of an ideal progressive code (Figure 5 and Table 4 of the DDPM paper), which no real prefix
reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ddpmcodec.archive.latents import find_network
from ddpmcodec.comparison import psnr
from ddpmcodec.paper.bound import CHANNELS, Bound, evaluate, spaced
from ddpmcodec.paper.bound import Row as BoundRow
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.schedule import Levels

from ._data import Pixels, alike
from ._results import Table, estimate
from ._work import Columns, Task

COST = 5.0  # time a pixel of a noise level, as of `_codecs.cost`
ROWS = 10  # of a table, before the pixels themselves
DIGITS = 7  # significant ones that a result keeps


class DenoiserChoice(NamedTuple):
    """A denoiser, by what a user calls it, and through how many noise levels. source: None: the embedded model."""

    source: str | None
    levels: int

    @property
    def name(self) -> str:
        """What its bound is called in results."""
        return f"{described(self.source)['name']}, T={self.levels}"

    @property
    def noise_levels(self) -> Levels:
        """Those of archives by bits back."""
        return np.array([level.s for level in find_network(self.source).hierarchy(self.levels)])


def described(source: str | None) -> dict[str, str]:
    """Name and id of a denoiser, for results. Raises ModelError."""
    denoiser = find_denoiser(source)
    return {"name": getattr(denoiser, "name", None) or str(source), "id": denoiser.id.hex()}


def bound_of(images: Sequence[Pixels], asked: DenoiserChoice, seed: int) -> Bound:
    """The bound of images of one size, uint8 [H, W, 3], by one draw of the latents."""
    pixels, noise = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), torch.Generator().manual_seed(seed)
    denoiser = find_denoiser(asked.source)
    return evaluate(denoiser, pixels, asked.noise_levels, noise, prior_std=denoiser.prior_std)


def task(asked: DenoiserChoice) -> Task:
    """A task that gives {bits, squared_error}: the terms of each image in bits/dim, and its errors, as in `Bound`."""
    return Task(asked.name, COST * asked.levels, lambda group, first: _terms(group, asked, first))


def _terms(images: Sequence[Pixels], asked: DenoiserChoice, seed: int) -> Columns:
    columns: Columns = {"bits": [], "squared_error": []}
    for group in alike(images):
        bound = bound_of(group, asked, seed)
        for bits, errors in zip(bound.bits.T, bound.squared_error.T, strict=True):
            columns["bits"].append(_rounded(bits))
            columns["squared_error"].append(_rounded(errors))
    return columns


def _rounded(values: torch.Tensor) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]


def result(asked: DenoiserChoice, unit_values: Mapping[str, Columns]) -> dict[str, Any]:
    """What a result file keeps: every row of the table, and the curve, means over images."""
    columns = task(asked).collect(unit_values)
    bits, errors = (torch.tensor(columns[key], dtype=torch.float64).T for key in ("bits", "squared_error"))
    bound = Bound(asked.noise_levels, bits, errors).to_json()
    rates = [CHANNELS * row["rate"]["mean"] for row in bound["table"][:-1]]  # from c_T to c_1
    qualities = [estimate(list(map(psnr, row))) for row in reversed(errors.tolist())]
    return {"codec": asked.name, "levels": asked.levels, **bound, "curve": {"bpp": rates, "psnr": qualities}}


def table(row: Mapping[str, Any], images: str, denoiser: Mapping[str, str]) -> Table:
    """A table like Table 4 of the paper, at every tenth of the noise levels."""
    name, T = f"{denoiser['name']} ({denoiser['id'][:8]})", row["levels"]
    caption = f"Variational bound of the denoiser {name}, {T} noise levels, {images}"
    rows = spaced([*map(BoundRow.from_json, row["table"])], ROWS)
    return Table(f"bound{T}", caption, [line.cells(T) for line in rows])


def points(row: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Bits per pixel and PSNR of the curve: means over images, as of real prefixes."""
    return row["curve"]["bpp"], [quality["mean"] for quality in row["curve"]["psnr"]]


def errors_of(row: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """(bits per pixel, standard error of PSNR there), at some rows of the table."""
    curve, step = row["curve"], max(1, row["levels"] // ROWS)
    for bpp, quality in list(zip(curve["bpp"], curve["psnr"], strict=True))[::step]:
        if quality["standard_error"] is not None:
            yield bpp, quality["standard_error"]
