"""What a prefix shows: the conditional means of all coefficients, brought back to pixels, then denoised.

Nothing here is exact, and nothing of it is used for coding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native

PLANES = 3
ROWS, COLUMNS = 1024, 4096  # of a preview that are denoised together: memory grows with them
MARGIN = 16  # pixels around them that they depend on, or more: 7 convolutions at half the resolution
GREY, UNKNOWN = 128, 64  # mean and standard deviation of what nothing is known of
RGB_WEIGHTS = (3.0, 0.5, 0.75)  # of a squared error of Y, Co, Cg, in RGB
Box = tuple[slice, slice]


class Canvas:
    """A preview that is put together from tiles and shown at the end, so that the denoiser sees across their edges."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.channels = channels
        self.mean = np.zeros((height, width, PLANES), np.float32)
        self.mean[..., 0] = GREY
        self.deviation = np.full((height, width, PLANES), UNKNOWN, np.float32)
        self.known = np.zeros((height, width), bool)
        self.begun = False  # a coefficient is coded: of a flat image a denoiser makes what is not there
        self.exact = np.zeros((height, width, channels), np.uint8)

    def place(
        self,
        box: Box,
        coding_pass: _native.Pass | None,
        pixels: NDArray[np.uint8] | None,
        *,
        image: int = 0,
        threads: int = 1,
    ) -> None:
        """A tile: its pixels, where they are exact, or what a decoder knows of it, or nothing. image: of the pass."""
        if pixels is not None:
            self.known[box], self.exact[box] = True, pixels
            colour = np.broadcast_to(pixels, (*pixels.shape[:2], PLANES)) if self.channels == 1 else pixels
            self.mean[box], self.deviation[box] = to_ycocg(colour), 0
        elif coding_pass is not None:
            self.mean[box], self.deviation[box] = _native.moments(coding_pass, image, threads)
            exact, known = coding_pass.pixels()
            self.exact[box], self.known[box] = exact[image], known[image]
            if _native.has_coefficients(coding_pass, image):
                self.begun = True  # and never False again: several threads place tiles

    def pixels(self, denoiser: _native.Denoiser | None, threads: int = 1) -> NDArray[np.uint8]:
        """uint8 [H, W, C]. denoiser: used where something is not exact, and more is known than pixels."""
        shown = self.exact.copy()
        level = self.mean.mean((0, 1), dtype=np.float64).astype(np.float32)
        for box, seen in self._parts():
            if self.known[box].all():
                continue
            mean = self.mean[box]
            if denoiser is not None and self.begun:
                seen_mean, seen_deviation = (np.ascontiguousarray(p[seen]) for p in (self.mean, self.deviation))
                top, left = (inner.start - outer.start for inner, outer in zip(box, seen, strict=True))
                better = denoiser.denoise(seen_mean, seen_deviation, level, threads)
                mean = better[top : top + len(mean), left : left + mean.shape[1]]
            shown[box] = np.where(self.known[box][..., None], self.exact[box], self._colours(mean))
        return shown

    def _colours(self, mean: NDArray[np.float32]) -> NDArray[np.uint8]:
        if self.channels == 3:
            return _native.to_rgb(np.ascontiguousarray(mean))
        return np.clip(np.rint(mean[..., :1]), 0, 255).astype(np.uint8)

    def _parts(self) -> Iterator[tuple[Box, Box]]:
        """Boxes that are the whole together, and what each depends on."""
        height, width = self.known.shape
        for top in range(0, height, ROWS):
            for left in range(0, width, COLUMNS):
                box = slice(top, min(top + ROWS, height)), slice(left, min(left + COLUMNS, width))
                seen = tuple(slice(max(side.start - MARGIN, 0), side.stop + MARGIN) for side in box)
                yield box, (seen[0], seen[1])


assert ROWS % 2 == COLUMNS % 2 == MARGIN % 2 == 0  # patches of 2x2 pixels lie where they lie in the whole


def to_ycocg(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """YCoCg-R: RGB as luma and two chroma differences, reversible by lifting (Malvar & Sullivan 2003, JVT-I014).

    uint8 [..., C] with C 3 (RGB) or 1 (grey, which stays as it is) to int16 [..., C], Y in 0..255, Co and Cg in
    -255..255.

    >>> to_ycocg(np.array([[255, 0, 0]], np.uint8))
    array([[  63,  255, -127]], dtype=int16)
    """
    wide = pixels.astype(np.int16)
    if pixels.shape[-1] == 1:
        return wide
    red, green, blue = (wide[..., c] for c in range(3))
    co = red - blue
    middle = blue + (co >> 1)
    cg = green - middle
    return np.stack([middle + (cg >> 1), co, cg], -1)
