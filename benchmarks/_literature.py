"""Figures published elsewhere, not measured here: sizes without loss, and, for CIFAR-10's test set, curves.

Those of photographs were transcribed from tables of later papers, and not compared with the originals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ._data import CIFAR10_NAME, CLIC_P_NAME, DIV2K_NAME, KODAK_NAME, Dataset

NOT_MEASURED = "literature, not measured"
ARDM = "Hoogeboom et al. 2021, arXiv 2110.02037, table 3"
DDPM = "Ho et al. 2020, arXiv 2006.11239"
WARM_START = "Shen et al. 2025, arXiv 2510.20903, table 4"
CALLIC = "Li et al. 2024, arXiv 2412.17464"
HPAC = "Li et al. 2025, arXiv 2511.10991"
DLPR = "Bai et al. 2022, arXiv 2209.04847"
ARIB = "Zhang et al. 2024, CVPR"
IVPF, IFLOW = "Zhang et al. 2021, arXiv 2103.16211", "Zhang et al. 2021, arXiv 2111.00965"
UQDM = "github.com/mandt-lab/uqdm, eval/cifar.yml"
BITS_BACK_DIFFUSION = "github.com/facebookresearch/NeuralCompression, projects/bits_back_diffusion"

WHOLE = "one file an image"
EFFECTIVE = "without initial bits"  # of bits-back codes: the first image costs more, by several bits/dim
ADAPTED = "one file an image, with weights adapted to it"
UNSTATED = "as published, initial bits not stated"
BOUND = "bound, no code"
CODE = "code"


class PublishedFigure(NamedTuple):
    """A figure of another paper. what: which of these kinds of figures it is."""

    system: str
    bits_per_dim: float
    what: str
    source: str


JPEG_XL = "JPEG XL"  # of the literature
CIFAR10_TEST = (
    PublishedFigure("FLIF", 4.19, WHOLE, ARDM),
    PublishedFigure("HiLLoC, the first images by FLIF", 4.19, WHOLE, ARDM),
    PublishedFigure("BPG lossless", 4.74, WHOLE, UQDM),
    PublishedFigure("ARDM-Upscale 4", 2.71, WHOLE, ARDM),
    PublishedFigure("IDF++", 3.26, WHOLE, ARDM),
    PublishedFigure("Local bits-back", 3.12, EFFECTIVE, ARDM),
    PublishedFigure("Improved DDPM, bits back, 100 steps", 3.08, EFFECTIVE, BITS_BACK_DIFFUSION),
    PublishedFigure("Improved DDPM, bits back, 4000 steps", 2.95, EFFECTIVE, BITS_BACK_DIFFUSION),
    PublishedFigure("VDM, bits back, 100 steps", 2.91, EFFECTIVE, ARDM),
    PublishedFigure("VDM, bits back, 1000 steps", 2.72, EFFECTIVE, ARDM),
    PublishedFigure("Warm start, bits back", 2.57, UNSTATED, WARM_START),
    PublishedFigure("W-PCDM, bits back", 2.37, UNSTATED, WARM_START),
    PublishedFigure("DDPM: rate 1.78 and distortion 1.97", 3.75, BOUND, f"{DDPM}, section 4.3"),
)

LOSSLESS = {
    CIFAR10_NAME: CIFAR10_TEST,
    KODAK_NAME: (
        PublishedFigure(JPEG_XL, 2.87, WHOLE, CALLIC),
        PublishedFigure("DLPR", 2.86, WHOLE, DLPR),
        PublishedFigure("ArIB-BPS", 2.78, WHOLE, ARIB),
        PublishedFigure("MGCF", 2.77, WHOLE, CALLIC),
        PublishedFigure("HPAC", 2.73, WHOLE, HPAC),
        PublishedFigure("CALLIC", 2.54, ADAPTED, CALLIC),
        PublishedFigure("HPAC, adapted", 2.52, ADAPTED, HPAC),
    ),
    CLIC_P_NAME: (
        PublishedFigure(JPEG_XL, 2.63, WHOLE, CALLIC),
        PublishedFigure("iVPF", 2.54, UNSTATED, IVPF),
        PublishedFigure("iFlow", 2.44, UNSTATED, IFLOW),
        PublishedFigure("ArIB-BPS", 2.42, WHOLE, ARIB),
        PublishedFigure("DLPR", 2.38, WHOLE, DLPR),
        PublishedFigure("MGCF", 2.33, WHOLE, CALLIC),
        PublishedFigure("CALLIC", 2.30, ADAPTED, CALLIC),
    ),
    DIV2K_NAME: (
        PublishedFigure(JPEG_XL, 2.79, WHOLE, CALLIC),
        PublishedFigure("MGCF", 2.49, WHOLE, CALLIC),
        PublishedFigure("CALLIC", 2.46, ADAPTED, CALLIC),
    ),
}
OF_SETS = {  # captions, by the name of the set; of others the name alone
    CIFAR10_NAME: "CIFAR-10 test set",
    KODAK_NAME: "Kodak, whose colours lie on a sparse lattice (about one RGB triple in nine occurs), by which codecs"
    " that adapt to an image gain",
}


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
    """Published sizes of lossless files of this data set, for a result; of photographs, only for the whole set."""
    if not (_is_test_set(dataset) if dataset.name == CIFAR10_NAME else len(dataset.images) == dataset.of):
        return []
    return [each._asdict() | {"note": NOT_MEASURED} for each in LOSSLESS.get(dataset.name, ())]


def caption(name: str) -> str:
    """The caption of the figures for the data set of this name."""
    kind = NOT_MEASURED if name == CIFAR10_NAME else "measured rows, and rows of the literature with their sources"
    return f"{OF_SETS.get(name, name)}: {kind}"


def literature_curves(dataset: Dataset) -> list[dict[str, Any]]:
    """Published curves of rate versus distortion on this data set, for a result."""
    return [_curve(each) for each in CURVES if _is_test_set(dataset)]


def _curve(each: PublishedCurve) -> dict[str, Any]:
    bpp, psnr = zip(*each.points, strict=True)
    return each._asdict() | {"points": {"bpp": list(bpp), "psnr": list(psnr)}, "note": NOT_MEASURED}


def _is_test_set(dataset: Dataset) -> bool:
    return dataset.name == CIFAR10_NAME and dataset.split == "test"
