"""What the tests of archives put into them, and how they look at what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.errors import FormatError
from ddpmcodec.networks.model import Model

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
LEVELS = [2.0, 12.0, 90.0]
MODES = ("1", "L", "LA", "RGB", "RGBA")
Pictures = dict[str, Image.Image]
Levels = Sequence[float] | None


def crops(count: int, width: int = 8, height: int = 8) -> Pictures:
    """Pieces of a photograph by name."""
    photo, rng = Image.open(PHOTO), np.random.default_rng(count)
    corners = zip(rng.integers(0, 384 - width, count), rng.integers(0, 256 - height, count), strict=True)
    return {f"photo-{i:03}.png": photo.crop((x, y, x + width, y + height)) for i, (x, y) in enumerate(corners)}


def mixed() -> Pictures:
    """Every mode, several sizes, metadata, and enough images for bits back."""
    small = crops(14)
    for mode, image in zip(MODES, crops(5, 9, 5).values(), strict=True):
        small[f"modes/{mode}"] = image.convert(mode, dither=Image.Dither.NONE)
    small["modes/RGBA"].putalpha(small["modes/L"])
    small["modes/RGBA"].info.update(icc_profile=b"a profile", exif=b"Exif\0\0MM of one")
    small["modes/L"].info.update(icc_profile=b"a grey profile")
    small["photo-003.png"].info.update(icc_profile=b"a profile", exif=b"Exif\0\0MM of another")
    small["tall.png"] = crops(1, 3, 17)["photo-000.png"]
    return small


def create(pictures: Pictures, model: Any, levels: Sequence[float] | None = LEVELS, **options: Any) -> bytes:
    return archive.create(pictures.items(), levels=levels, model=model, effort=1, **options)


def same(found: Image.Image, expected: Image.Image) -> bool:
    facts = [(image.mode, image.info.get("icc_profile"), image.info.get("exif")) for image in (found, expected)]
    return facts[0] == facts[1] and np.array_equal(np.asarray(found), np.asarray(expected))


def whole(pictures: Pictures, found: Iterable[tuple[str, Image.Image]]) -> bool:
    decoded = dict(found)
    return decoded.keys() == pictures.keys() and all(same(decoded[name], pictures[name]) for name in pictures)


def survivors(data: bytes, model: Model) -> tuple[Pictures, str]:
    """What comes out of a damaged archive, and what is said of the rest."""
    found: Pictures = {}
    try:
        for name, image in archive.extract(data, model=model):
            found[name] = image
    except FormatError as error:
        return found, str(error)
    return found, ""
