"""JPEG files to learn from, which Pillow writes of images: of many qualities, tables of quantisation and samplings."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, JpegPresets

from ddpmcodec.training.data import Pixels, grey

Table = list[int]  # steps in raster order, as Pillow takes them
SAMPLINGS, SAMPLING_SHARES = ("4:2:0", "4:4:4", "4:2:2"), (0.58, 0.28, 0.14)
TABLES, TABLE_SHARES = ("standard", "robidoux", "camera", "preset"), (0.6, 0.12, 0.18, 0.1)
QUALITIES, USUAL_QUALITIES, USUAL_SHARE = (30, 101), (70, 99), 0.6  # ranges without their ends
GREY_SHARE = 0.03
# By N. Robidoux, for luma and chroma alike: the default of mozjpeg.
ROBIDOUX = (
    (16, 16, 16, 18, 25, 37, 56, 85),
    (16, 17, 20, 27, 34, 40, 53, 75),
    (16, 20, 24, 31, 43, 62, 91, 135),
    (18, 27, 31, 40, 53, 74, 106, 156),
    (25, 34, 43, 53, 69, 94, 131, 189),
    (37, 40, 62, 74, 94, 124, 169, 238),
    (56, 53, 91, 106, 131, 169, 226, 311),
    (85, 75, 135, 156, 189, 238, 311, 418),
)
PRESETS: list[Any] = [preset["quantization"] for preset in JpegPresets.presets.values()]
DISTANCES = np.add.outer(np.arange(8), np.arange(8)).reshape(64)  # of frequencies from the mean


class JpegSetting(NamedTuple):
    """How a file is written. tables: of luma and of chroma; None: the standard's, of this quality."""

    quality: int
    sampling: str = "4:2:0"
    tables: Sequence[Table] | None = None


def scaled(table: ArrayLike, quality: int) -> Table:
    """Return a table of a quality, as libjpeg scales it.

    >>> scaled([16, 11], 50), scaled([16, 11], 90), scaled([16, 400], 10)
    ([16, 11], [3, 2], [80, 255])
    """
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    steps = np.clip((np.asarray(table) * percent + 50) // 100, 1, 255).astype(int)
    return [int(step) for step in steps.reshape(-1)]


def robidoux(quality: int) -> list[Table]:
    """Return the tables of mozjpeg."""
    return [scaled(ROBIDOUX, quality)] * 2


def camera(quality: int, rng: np.random.Generator) -> list[Table]:
    """Return random tables that rise as those of cameras do, with chroma of a different quality."""
    noise = np.exp(rng.normal(0, 0.08, 64))
    luma = 16 * (1 + DISTANCES / 2) ** rng.uniform(0.4, 1.3) * noise
    chroma = 18 * rng.uniform(0.8, 1.6) * (1 + DISTANCES / 2) ** rng.uniform(0.4, 1.4)
    of_chroma = int(np.clip(quality + rng.integers(-8, 6), 20, 100))
    return [scaled(luma, quality), scaled(chroma, of_chroma)]


def random_setting(rng: np.random.Generator) -> JpegSetting:
    """Draw how a file is written."""
    quality = int(rng.integers(*(USUAL_QUALITIES if rng.random() < USUAL_SHARE else QUALITIES)))
    sampling, kind = str(rng.choice(SAMPLINGS, p=SAMPLING_SHARES)), str(rng.choice(TABLES, p=TABLE_SHARES))
    preset = PRESETS[int(rng.integers(len(PRESETS)))]
    tables = {"robidoux": robidoux(quality), "camera": camera(quality, rng), "preset": preset}
    return JpegSetting(quality, sampling, tables.get(kind))


def write(pixels: Pixels, setting: JpegSetting) -> bytes:
    """Return the file of an image uint8 [H, W, C], C 1 or 3, with optimised Huffman tables."""
    is_grey, file = pixels.shape[2] == 1, io.BytesIO()
    tables = setting.tables and list(setting.tables)[: 1 if is_grey else 2]
    how: dict[str, Any] = {"qtables": tables} if tables else {"quality": setting.quality}
    if not is_grey:
        how["subsampling"] = setting.sampling
    Image.fromarray(pixels[..., 0] if is_grey else pixels).save(file, "JPEG", optimize=True, **how)
    return file.getvalue()


def random_file(image: Pixels, side: int, rng: np.random.Generator) -> bytes:
    """Return a file of a random crop of an image uint8 [H, W, 3], of at most `side` squared."""
    crop = random_crop(image, side, rng)
    return write(grey(crop) if rng.random() < GREY_SHARE else crop, random_setting(rng))


def random_crop(image: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """Return a crop of an image uint8 [H, W, 3], mirrored or not: of at most `side` squared."""
    top, left = (int(rng.integers(max(1, size - side + 1))) for size in image.shape[:2])
    crop = image[top : top + side, left : left + side]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)
