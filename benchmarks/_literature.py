"""Figures published elsewhere, on CIFAR-10's test set, not measured here: sizes without loss, and curves."""

from __future__ import annotations

from typing import Any, NamedTuple

from ._data import CIFAR10_NAME, Dataset

NOT_MEASURED = "literature, not measured"
ARDM = "Hoogeboom et al. 2021, arXiv 2110.02037, table 3"
DDPM = "Ho et al. 2020, arXiv 2006.11239"
WARM_START = "Shen et al. 2025, arXiv 2510.20903, table 4"
UQDM = "github.com/mandt-lab/uqdm, eval/cifar.yml"
BITS_BACK_DIFFUSION = "github.com/facebookresearch/NeuralCompression, projects/bits_back_diffusion"

WHOLE = "one file an image"
EFFECTIVE = "without initial bits"  # of bits-back codes: the first image costs more, by several bits/dim
UNSTATED = "as published, initial bits not stated"
BOUND = "bound, no code"
CODE = "code"


class Published(NamedTuple):
    """A figure of another paper. what: which of these kinds of figures it is."""

    system: str
    bits_per_dim: float
    what: str
    source: str


LOSSLESS = (
    Published("FLIF", 4.19, WHOLE, ARDM),
    Published("HiLLoC, the first images by FLIF", 4.19, WHOLE, ARDM),
    Published("BPG lossless", 4.74, WHOLE, UQDM),
    Published("ARDM-Upscale 4", 2.71, WHOLE, ARDM),
    Published("IDF++", 3.26, WHOLE, ARDM),
    Published("Local bits-back", 3.12, EFFECTIVE, ARDM),
    Published("Improved DDPM, bits back, 100 steps", 3.08, EFFECTIVE, BITS_BACK_DIFFUSION),
    Published("Improved DDPM, bits back, 4000 steps", 2.95, EFFECTIVE, BITS_BACK_DIFFUSION),
    Published("VDM, bits back, 100 steps", 2.91, EFFECTIVE, ARDM),
    Published("VDM, bits back, 1000 steps", 2.72, EFFECTIVE, ARDM),
    Published("Warm start, bits back", 2.57, UNSTATED, WARM_START),
    Published("W-PCDM, bits back", 2.37, UNSTATED, WARM_START),
    Published("DDPM: rate 1.78 and distortion 1.97", 3.75, BOUND, f"{DDPM}, section 4.3"),
)


class PublishedCurve(NamedTuple):
    """points: (bits per pixel, PSNR in dB, computed from the RMSE of DDPM). what: a real code, or a bound."""

    system: str
    what: str
    points: tuple[tuple[float, float], ...]
    source: str


# Bounds of 1000 noise levels. With 20 the bound of VDM lies below real codecs: it bounds that model, not the images.
CURVES = (
    PublishedCurve("UQDM, 4 steps", CODE, ((0.846, 21.9), (2.783, 31.2), (7.670, 43.8), (15.30, 60.0)), UQDM),
    PublishedCurve("BPG", CODE, ((0.738, 25.0), (1.737, 31.0), (3.528, 36.8), (6.03, 40.6)), UQDM),
    PublishedCurve("VDM, 1000 steps", BOUND, ((0.142, 21.5), (0.489, 27.4), (1.279, 34.1), (2.798, 41.5)), UQDM),
    PublishedCurve(
        "DDPM, 1000 steps", BOUND, ((0.0215, 16.5), (0.162, 22.8), (0.360, 26.5), (5.327, 48.6)), f"{DDPM}, table 4"
    ),
)


def literature(dataset: Dataset) -> list[dict[str, Any]]:
    """Published sizes of lossless files of this data set, for a result."""
    return [each._asdict() | {"note": NOT_MEASURED} for each in LOSSLESS if _is_test_set(dataset)]


def literature_curves(dataset: Dataset) -> list[dict[str, Any]]:
    """Published curves of rate versus distortion on this data set, for a result."""
    return [_curve(each) for each in CURVES if _is_test_set(dataset)]


def _curve(each: PublishedCurve) -> dict[str, Any]:
    bpp, psnr = zip(*each.points, strict=True)
    return each._asdict() | {"points": {"bpp": list(bpp), "psnr": list(psnr)}, "note": NOT_MEASURED}


def _is_test_set(dataset: Dataset) -> bool:
    return dataset.name == CIFAR10_NAME and dataset.split == "test"
