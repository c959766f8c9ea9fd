"""Images from noise, and from latents: Algorithm 2 of arXiv 2006.11239, DDIM (arXiv 2010.02502), and what they draw.

In the notation c_t = v + s_t n every method is one rule for c_u given c_t and the denoiser's p(v | c_t), u < t; at s_1
the denoiser's mean is the image. Images [N, 3, H, W] count from 0 to 255, latents c_t [N, 3, H, W] are in centred grey
levels. Everything drawn comes from one generator, or one for each image, on the CPU, so that a seed repeats it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ddpmcodec.paper.diffusion import Denoiser, Prediction, Reverse, reverse
from ddpmcodec.paper.schedule import HALF_RANGE, Levels, alpha_sigma

PIXELS = 1 << 16  # of the images in one network call

Source: TypeAlias = "torch.Generator | Sequence[torch.Generator]"  # of noise: one for all images, or one for each
Method = Callable[[Tensor, Prediction, float, float, Source], Tensor]  # c_t, p(v | c_t), s_t, s_u -> c_u


def ancestral(c_t: Tensor, prediction: Prediction, s_t: float, s_u: float, generator: Source) -> Tensor:
    """Algorithm 2: c_u ~ p(c_u | c_t), the channels of a pixel coupled as the denoiser says."""
    scale = torch.exp(prediction.log_scale)
    return draw(reverse(c_t, prediction.mean - HALF_RANGE, scale, prediction.coefficients, s_t, s_u), generator)


def draw(transition: Reverse, generator: Source) -> Tensor:
    """c_u [N, 3, H, W] from its innovations: the coefficients of `Reverse` multiply those of the channels before."""
    new = transition.variance.sqrt() * normal_like(transition.mean, generator)
    to_green, red_to_blue, green_to_blue = transition.coefficients.unbind(1)
    green = to_green * new[:, 0]
    blue = red_to_blue * new[:, 0] + green_to_blue * new[:, 1]
    return transition.mean + new + torch.stack([torch.zeros_like(green), green, blue], 1)


def ddim(eta: float = 0.0) -> Method:
    """Equation 12 of arXiv 2010.02502, divided by alpha: the noise that c_t has is kept, all of it at eta = 0.

    eta = 1 adds the noise of the posterior q(c_u | c_t, v). Raises ValueError for eta outside 0..1.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta of DDIM must be 0 to 1, not {eta:g}")

    def step(c_t: Tensor, prediction: Prediction, s_t: float, s_u: float, generator: Source) -> Tensor:
        v = prediction.mean - HALF_RANGE
        fresh = eta * s_u * math.sqrt(1 - (s_u / s_t) ** 2)
        kept = math.sqrt(s_u**2 - fresh**2)
        return v + kept / s_t * (c_t - v) + fresh * normal_like(c_t, generator)

    return step


def normal_like(c: Tensor, generator: Source) -> Tensor:
    return normal(c.shape, generator, c.dtype).to(c.device)


def normal(shape: Sequence[int], generator: Source, dtype: torch.dtype | None = None) -> Tensor:
    """Standard normal numbers of a batch, on the CPU."""
    if isinstance(generator, torch.Generator):
        return torch.randn(*shape, generator=generator, dtype=dtype)
    return torch.stack([torch.randn(*shape[1:], generator=own, dtype=dtype) for own in generator])


def generator_of(seed: int, number: int) -> torch.Generator:
    """Of one of many images, which is then the same however many are drawn, and with which others."""
    (state,) = np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))


class State(NamedTuple):
    """A latent on its way to an image, and what the denoiser makes of it: the mean is the paper's x0-hat."""

    t: int
    c: Tensor
    prediction: Prediction


@dataclass(frozen=True)
class Sampler:
    """A denoiser on a schedule of noise levels. t counts them from 1; a latent of t has the noise of s_t."""

    denoiser: Denoiser
    levels: Levels
    generator: Source
    method: Method = ancestral

    @property
    def T(self) -> int:
        return len(self.levels)

    def start(self, n: int, height: int, width: int) -> Tensor:
        """c_T [n, 3, height, width] of z_T ~ N(0, 1): its standard deviation is 127.5 / alpha_T grey levels."""
        std = math.hypot(HALF_RANGE, float(self.levels[-1]))
        return std * normal((n, 3, height, width), self.generator)

    def noised(self, images: Tensor, t: int) -> Tensor:
        """c_t ~ q(c_t | x): the paper's stochastic encoder."""
        v = images.float() - HALF_RANGE
        return v + float(self.levels[t - 1]) * normal_like(v, self.generator)

    def predict(self, c: Tensor, s_t: float) -> Prediction:
        """p(v | c_t), not too many images at a time: memory does not grow with their number."""
        batches = torch.split(c, max(PIXELS // (c.shape[2] * c.shape[3]), 1))
        parts = [self.denoiser(batch, s_t) for batch in batches]
        return Prediction(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    @torch.no_grad()
    def descend(self, c: Tensor, t: int | None = None) -> Iterator[State]:
        """The states from a latent of t (default: T) down to t = 1: progressive generation, section 4.3."""
        for i in range(t or self.T, 0, -1):
            s_t = float(self.levels[i - 1])
            prediction = self.predict(c, s_t)
            yield State(i, c, prediction)
            if i > 1:
                c = self.method(c, prediction, s_t, float(self.levels[i - 2]), self.generator)

    def finish(self, c: Tensor, t: int | None = None) -> Tensor:
        """Images of latents of t (default: T); not rounded."""
        *_, last = self.descend(c, t)
        return last.prediction.mean

    def share(self, c_t: Tensor, t: int, count: int) -> Tensor:
        """Different images [count, 3, H, W] of one latent [3, H, W]: Figure 7."""
        return self.finish(c_t.expand(count, *c_t.shape), t)

    def interpolate(self, ends: Tensor, t: int, weights: Sequence[float]) -> Tensor:
        """Between two images `ends` [2, 3, H, W]: [len(weights), 3, H, W], weight 0 the first, 1 the second.

        Section 4.4: both are noised to t, once, mixed linearly there, and the mixtures finished. At t = 0 the pixels
        are mixed.
        """
        first, second = self.noised(ends, t) if t else ends.float()
        mixed = torch.stack([torch.lerp(first, second, weight) for weight in weights])
        return self.finish(mixed, t) if t else mixed

    def progress_rows(self, c: Tensor, columns: int) -> Tensor:
        """x0-hat over time, evenly spaced from the first state to the last: [N, columns, 3, H, W]. c: latents of T."""
        times = [self.T - round(k * (self.T - 1) / max(columns - 1, 1)) for k in range(columns)]
        means = {state.t: state.prediction.mean for state in self.descend(c) if state.t in times}
        return torch.stack([means[t] for t in times], 1)

    def shared_rows(self, latents: Mapping[int, Tensor], count: int) -> Tensor:
        """A row for each latent [3, H, W] by its t: the latent as the papers show it, then `count` images of it.

        [len(latents), 1 + count, 3, H, W].
        """
        rows = []
        for t, c_t in latents.items():
            images = self.share(c_t, t, count)
            rows.append(torch.cat([shown(c_t, float(self.levels[t - 1]))[None].to(images), images]))
        return torch.stack(rows)


def shown(c_t: Tensor, s_t: float) -> Tensor:
    """A latent as the papers show it, z_t = alpha_t x + sigma_t n from black to white: 0..255, not clipped."""
    alpha, _ = alpha_sigma(s_t)
    return HALF_RANGE + float(alpha) * c_t


def grid(images: Tensor) -> Image.Image:
    """[rows, columns, 3, H, W] side by side without gaps; rounded and clipped."""
    rows, columns, _, height, width = images.shape
    tiles = torch.round(images).clamp(0, 255).to(torch.uint8).permute(0, 3, 1, 4, 2)
    return Image.fromarray(tiles.reshape(rows * height, columns * width, 3).cpu().numpy())
