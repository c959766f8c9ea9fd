"""The paper's U-Net as a denoiser, p(v | c_t).

With x = v / 127.5, z_t = alpha_t c_t / 127.5 and the mean of the clean pixels is c_t - s_t eps. The variance of the
step to u = t - 1 is the paper's choice, small (beta~_t) or large (beta_t), or predicted between the two in log: Nichol
& Dhariwal 2021, arXiv 2102.09672, equation 15. In grey levels, with tau = s_u^2 (1 - rho),

    small   tau
    large   tau + (1 - rho)^2 (alpha_t s_t)^2  =  tau sigma_t^2 / sigma_u^2

each tau + (1 - rho)^2 Var(v | c_t): the small variance is right for pixels that are known, the large one for pixels of
variance 127.5^2 beforehand. Var(v | c_t) is all that the transitions need, for any u < t.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import cached_property
from typing import ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ddpmcodec._native import MAX_LATENT_LEVEL
from ddpmcodec.errors import ModelError
from ddpmcodec.format.block import LEVEL_UNIT
from ddpmcodec.paper.diffusion import Prediction
from ddpmcodec.paper.schedule import HALF_RANGE, Levels, alpha_sigma, check_levels, ddpm_linear, respace, rounded
from ddpmcodec.paper.unet import UNet

Variance = Literal["large", "small", "learned"]

TOLERANCE = 1e-3  # relative, of a level that is asked for; the paper's levels are 0.4% apart, and more
LEAST_VARIANCE = 1e-8  # of a clean pixel, squared grey levels: keeps its logarithm finite


class PaperDenoiser:
    """A `Denoiser` for the noise levels the U-Net was trained on (those of the paper, unless said otherwise).

    At the first level the pixels themselves are coded, and the small variance would be zero; as in the authors' code,
    that of the second level takes its place, and the large one's too: the published distortion, 1.97 bits/dim at an
    RMSE of 0.95, is that of beta~_2. The U-Net is put in evaluation mode. Raises ModelError when the variance
    is to be learned and the U-Net does not predict it, and for fewer than two levels.

    A learned variance is of the step to t - 1 on the levels that the U-Net was trained on, also where fewer levels are
    used, and not below the small one.
    """

    prior_std: ClassVar[float] = HALF_RANGE  # of its bound, grey levels: the paper's p(z_T) = N(0, 1)

    def __init__(self, unet: UNet, levels: npt.ArrayLike | None = None, variance: Variance = "large") -> None:
        if variance not in get_args(Variance):
            raise ModelError(f"the variance is one of {', '.join(get_args(Variance))}, not {variance}")
        if variance == "learned" and not unet.config.learned_variance:
            raise ModelError("the network predicts no variance: choose 'large' or 'small' instead of 'learned'")
        self.unet, self.variance = unet.eval(), variance
        self.levels = ddpm_linear() if levels is None else check_levels(levels)
        if self.levels.size < 2:
            raise ModelError("the variances of the paper need a schedule of at least two noise levels, found one")

    @cached_property
    def id(self) -> bytes:
        """sha256 of everything a prediction depends on."""
        facts = json.dumps([self.unet.config.to_json(), self.variance], sort_keys=True)
        digest = hashlib.sha256(facts.encode() + self.levels.tobytes())
        for name, tensor in sorted(self.unet.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        return digest.digest()

    def coding_levels(self, T: int | None) -> Levels:
        """T of its noise levels, in grey levels, for bits back and the bound; None: all.

        Those beyond 65,536 grey levels, as at the end of a cosine schedule, show nothing of an image and are left out.
        Raises ValueError for fewer than 2 or more than there are.
        """
        levels = self.levels[self.levels <= MAX_LATENT_LEVEL / LEVEL_UNIT]
        if T is None or levels.size < T <= self.levels.size:
            return rounded(levels)
        return rounded(respace(levels, T))

    def sampling_levels(self, T: int) -> Levels:
        """T of its noise levels, in grey levels. Raises ValueError for fewer than 2 or more than there are."""
        return respace(self.levels, T)

    def accelerated(self) -> PaperDenoiser:
        """Itself, its network moved to a GPU where there is one; inputs and outputs may be on any device."""
        if torch.cuda.is_available():
            self.unet.cuda()
        return self

    def time(self, s_t: float) -> int:
        """t of a level, from 1. Raises ModelError when the schedule has none within 0.1% of it."""
        t = 1 + int(np.abs(self.levels - s_t).argmin())
        if not math.isclose(self.levels[t - 1], s_t, rel_tol=TOLERANCE):
            raise ModelError(
                f"noise level {s_t:.6g} is none of the {self.levels.size}, from {self.levels[0]:.6g} to "
                f"{self.levels[-1]:.6g} grey levels, that the network was trained on: choose steps among those"
            )
        return t

    @torch.no_grad()
    def __call__(self, c_t: Tensor, s_t: float) -> Prediction:
        t = self.time(s_t)
        outputs = self._outputs(c_t, t)
        eps, rest = outputs[:, :3], outputs[:, 3:]
        mean = (c_t - s_t * eps).clamp(-HALF_RANGE, HALF_RANGE) + HALF_RANGE  # the paper clips x as well
        large = self.variance == "large" and t > 1
        fraction = (rest + 1) / 2 if self.variance == "learned" else torch.full_like(eps, large)
        variance = self._pixel_variance(t, fraction).clamp(min=LEAST_VARIANCE)
        return Prediction(mean, 0.5 * torch.log(variance * (3 / math.pi**2)), torch.zeros_like(mean))

    def _outputs(self, c_t: Tensor, t: int) -> Tensor:
        """The U-Net's outputs, in the type and on the device of c_t. Inputs are padded with the last row and column."""
        height, width = c_t.shape[2:]
        multiple = self.unet.config.multiple
        alpha, _ = alpha_sigma(self.levels[t - 1])
        z = (c_t * (float(alpha) / HALF_RANGE)).to(self.unet.conv_in.weight)
        z = F.pad(z, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        outputs: Tensor = self.unet(z, torch.full((len(z),), t - 1, device=z.device))
        return outputs[:, :, :height, :width].to(c_t)

    def _pixel_variance(self, t: int, fraction: Tensor) -> Tensor:
        """Var(v | c_t) with the reverse variance at this fraction, in log, of the way from small to large."""
        s_u, s_t = self.levels[[max(t - 2, 0), max(t - 1, 1)]]  # at t = 1 those of t = 2
        (alpha, _), (sigma_u, sigma_t) = alpha_sigma(np.array([s_u, s_t]))
        left = 1 - (s_u / s_t) ** 2
        small = float(s_u**2 * left)
        if t > 1:  # small and large differ by little, and are never subtracted
            return torch.expm1(fraction * (2 * math.log(sigma_t / sigma_u))) * float(small / left**2)
        small, large = small * alpha**2, (HALF_RANGE * sigma_u) ** 2
        return torch.exp(fraction * math.log(large / small)) * float(small)
