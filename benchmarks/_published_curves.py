"""Rate-distortion curves on CIFAR-10's test set as published: literature, not measured here."""

from __future__ import annotations

from typing import Any, NamedTuple

from ._literature import BOUND, NOT_MEASURED, UQDM

CODE = "code"


class Published(NamedTuple):
    """points: (bits per pixel, PSNR in dB, computed from the RMSE of DDPM). what: a real code, or a bound."""

    system: str
    what: str
    points: tuple[tuple[float, float], ...]
    source: str

    def to_json(self) -> dict[str, Any]:
        bpp, psnr = zip(*self.points, strict=True)
        return {**self._asdict(), "points": {"bpp": list(bpp), "psnr": list(psnr)}, "note": NOT_MEASURED}


CURVES = (
    Published("UQDM, 4 steps", CODE, ((0.846, 21.9), (2.783, 31.2), (7.670, 43.8), (15.30, 60.0)), UQDM),
    Published("BPG", CODE, ((0.738, 25.0), (1.737, 31.0), (3.528, 36.8), (6.03, 40.6)), UQDM),
    Published("VDM, 1000 steps", BOUND, ((0.142, 21.5), (0.489, 27.4), (1.279, 34.1), (2.798, 41.5)), UQDM),
    Published("VDM, 20 steps", BOUND, ((0.407, 21.5), (1.960, 27.4), (4.302, 34.1)), UQDM),
    Published(
        "DDPM, 1000 steps",
        BOUND,
        ((0.0215, 16.5), (0.162, 22.8), (0.360, 26.5), (5.327, 48.6)),
        "Ho et al. 2020, arXiv 2006.11239, table 4",
    ),
)
