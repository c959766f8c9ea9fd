"""A picture like a photograph, the same wherever numpy and Pillow are the same: for timing without a data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SHAPES = 60
OCTAVES = 7  # structures of 2 to 128 pixels
TEXTURE, CHROMA, GRAIN = 4.0, 1.5, 1.0  # grey levels: of an octave of brightness, of colour, and of the sensor's noise


def _octave(rng: np.random.Generator, width: int, height: int, size: int) -> NDArray[np.float32]:
    """Smooth noise of unit strength with structures of `size` pixels, float32 [H, W]."""
    grid = rng.standard_normal((height // size + 2, width // size + 2), dtype=np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))


def _texture(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Octaves of equal strength: the spectrum of photographs, whose power falls with the square of the frequency."""
    total = np.zeros((height, width), np.float32)
    for exponent in range(1, OCTAVES + 1):
        total += _octave(rng, width, height, 1 << exponent)
    return total


def _shapes(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Objects that hide one another: sharp edges between even colours."""
    image = Image.new("RGB", (width, height), (120, 140, 160))
    draw = ImageDraw.Draw(image)
    for _ in range(SHAPES):
        x, y, reach = rng.integers((0, 0, 8), (width, height, max(width // 5, 9))).tolist()
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=tuple(rng.integers(40, 216, 3).tolist()))
    return image


def synthetic_photo(width: int, height: int) -> Image.Image:
    """RGB, [H, W]: shapes, texture that the channels share, a little that they do not, and grain."""
    rng = np.random.Generator(np.random.PCG64(0))
    pixels = np.array(_shapes(rng, width, height))
    shared = TEXTURE * _texture(rng, width, height)
    for channel in range(3):  # one at a time: a large picture in floats takes four times its bytes
        own = CHROMA * _texture(rng, width, height) + GRAIN * rng.standard_normal((height, width), dtype=np.float32)
        pixels[..., channel] = np.clip(pixels[..., channel] + shared + own, 0, 255)
    return Image.fromarray(pixels)
