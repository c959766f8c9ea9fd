"""How far a picture is from its original: mean squared error, SSIM and MS-SSIM.

SSIM: Wang et al. 2004, a Gaussian window of 11 x 11. MS-SSIM: Wang, Simoncelli & Bovik 2003, for images of more than
160 pixels a side. Both by pytorch-msssim, as in CompressAI: of R, G and B, then the mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from ddpmcodec.errors import DdpmError

from ._data import Pixels

try:
    from pytorch_msssim import ms_ssim, ssim
except ImportError as error:
    raise DdpmError("SSIM needs pytorch-msssim: pip install 'ddpmcodec[bench]'") from error

WINDOW = 11
LARGER_THAN = (WINDOW - 1) * 2**4  # a side, for the window to fit on the last of five scales


class Distortion(NamedTuple):
    """squared_error: mean over R, G and B, in squared grey levels. ms_ssim: None where the image is too small for it;
    ssim: of these, None where the image is too small for that."""

    squared_error: float
    ssim: float | None
    ms_ssim: float | None


def distortion(shown: Pixels, original: Pixels, *, similarity: bool = True) -> Distortion:
    """Of two images, uint8 [H, W, 3]. similarity: SSIM or MS-SSIM too, which take longer."""
    squared_error = float(np.square(shown.astype(np.float64) - original).mean())
    if not similarity:
        return Distortion(squared_error, None, None)
    a, b = (torch.from_numpy(np.array(x)).permute(2, 0, 1)[None].float() for x in (shown, original))
    least = min(original.shape[:2])
    return Distortion(
        squared_error,
        float(ssim(a, b, data_range=255)) if WINDOW <= least <= LARGER_THAN else None,
        float(ms_ssim(a, b, data_range=255)) if least > LARGER_THAN else None,
    )


def psnr(squared_error: float) -> float | None:
    """10 log10(255^2 / squared_error), dB; None where there is no error: JSON knows no infinity."""
    return 10 * math.log10(255**2 / squared_error) if squared_error else None
