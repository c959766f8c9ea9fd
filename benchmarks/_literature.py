"""Lossless bits/dim on CIFAR-10's test set as published: literature, not measured here."""

from __future__ import annotations

from typing import Any, NamedTuple

NOT_MEASURED = "literature, not measured"
ARDM = "Hoogeboom et al. 2021, arXiv 2110.02037, table 3"
WARM_START = "Shen et al. 2025, arXiv 2510.20903, table 4"
UQDM = "github.com/mandt-lab/uqdm, eval/cifar.yml"
BITS_BACK_DIFFUSION = "github.com/facebookresearch/NeuralCompression, projects/bits_back_diffusion"

WHOLE = "one file an image"
EFFECTIVE = "without initial bits"  # of bits-back codes: the first image costs more, by several bits/dim
UNSTATED = "as published, initial bits not stated"
BOUND = "bound, no code"


class Published(NamedTuple):
    """A figure of another paper. what: which of these kinds of figures it is."""

    system: str
    bits_per_dim: float
    what: str
    source: str

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "note": NOT_MEASURED}


LOSSLESS = (
    Published("FLIF", 4.19, WHOLE, ARDM),
    Published("HiLLoC, the first images by FLIF", 4.19, WHOLE, ARDM),
    Published("BPG lossless", 4.74, WHOLE, UQDM),
    Published("UQDM, 4 steps, up to its last latent", 5.10, WHOLE, UQDM),
    Published("ARDM-Upscale 4", 2.71, WHOLE, ARDM),
    Published("IDF++", 3.26, WHOLE, ARDM),
    Published("Local bits-back", 3.12, EFFECTIVE, ARDM),
    Published("Improved DDPM, bits back, 100 steps", 3.08, EFFECTIVE, BITS_BACK_DIFFUSION),
    Published("Improved DDPM, bits back, 4000 steps", 2.95, EFFECTIVE, BITS_BACK_DIFFUSION),
    Published("VDM, bits back, 100 steps", 2.91, EFFECTIVE, ARDM),
    Published("VDM, bits back, 1000 steps", 2.72, EFFECTIVE, ARDM),
    Published("Warm start, bits back", 2.57, UNSTATED, WARM_START),
    Published("W-PCDM, bits back", 2.37, UNSTATED, WARM_START),
    Published("DDPM: rate 1.78 and distortion 1.97", 3.75, BOUND, "Ho et al. 2020, arXiv 2006.11239, section 4.3"),
)
