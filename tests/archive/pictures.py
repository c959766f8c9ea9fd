"""What the tests of archives put into them, and how they look at what comes out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import archive, models
from ddpmcodec.errors import FormatError
from ddpmcodec.models import context
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import find

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
MODES = ("1", "L", "LA", "RGB", "RGBA")
Pictures = dict[str, Image.Image]


def context_model(name: str) -> bytes:
    """The file of a model that is not embedded."""
    embedded = find(models.THUMBNAIL)
    components = {key: facts.components for key, facts in embedded.facts.items()}
    return context.pack(context.tensors_of(embedded), components, name)


def crops(count: int, width: int = 8, height: int = 8) -> Pictures:
    """Pieces of a photograph by name."""
    photo, rng = Image.open(PHOTO), np.random.default_rng(count)
    corners = zip(rng.integers(0, 384 - width, count), rng.integers(0, 256 - height, count), strict=True)
    return {f"photo-{i:03}.png": photo.crop((x, y, x + width, y + height)) for i, (x, y) in enumerate(corners)}


def mixed() -> Pictures:
    """Every mode, several sizes, and metadata."""
    small = crops(14)
    for mode, image in zip(MODES, crops(5, 9, 5).values(), strict=True):
        small[f"modes/{mode}"] = image.convert(mode, dither=Image.Dither.NONE)
    small["modes/RGBA"].putalpha(small["modes/L"])
    small["modes/RGBA"].info.update(icc_profile=b"a profile", exif=b"Exif\0\0MM of one", xmp=b"<x/>")
    small["modes/L"].info.update(icc_profile=b"a grey profile")
    small["photo-003.png"].info.update(icc_profile=b"a profile", exif=b"Exif\0\0MM of another")
    small["tall.png"] = crops(1, 3, 17)["photo-000.png"]
    small["dot.png"] = crops(1, 1, 1)["photo-000.png"]
    return small


def drawing(side: int = 66) -> Image.Image:
    """A few colours, again and again: large enough for a file of its own."""
    y, x = np.mgrid[:side, :side]
    colours = np.array([[250, 250, 250], [20, 90, 200], [0, 0, 0]], np.uint8)
    return Image.fromarray(colours[(x % 2) + (y // 5 % 2)])


def pattern(height: int, width: int) -> Image.Image:
    """What WebP takes fewer bytes for than any model: noise, again and again."""
    noise = np.random.Generator(np.random.Philox(6)).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    return Image.fromarray(np.tile(noise, (-(-height // 5), -(-width // 8), 1))[:height, :width])


def create(pictures: Pictures, model: Any, **options: Any) -> bytes:
    return archive.create(pictures.items(), **{"model": model, "effort": 1, "levels": 0, **options})


def same(found: Image.Image, expected: Image.Image) -> bool:
    facts = [(image.mode, *map(image.info.get, ("icc_profile", "exif", "xmp"))) for image in (found, expected)]
    return facts[0] == facts[1] and np.array_equal(np.asarray(found), np.asarray(expected))


def whole(pictures: Pictures, found: Iterable[tuple[str, Image.Image]]) -> bool:
    decoded = dict(found)
    return decoded.keys() == pictures.keys() and all(same(decoded[name], pictures[name]) for name in pictures)


def survivors(data: bytes, model: ContextModel) -> tuple[Pictures, FormatError | None]:
    """What comes out of a damaged archive, and the error at its end."""
    found: Pictures = {}
    try:
        for name, image in archive.extract(data, model=model):
            found[name] = image
    except FormatError as error:
        return found, error
    return found, None


def equal(a: Path, b: Path) -> bool:
    """Pixels, mode and metadata."""
    first, second = Image.open(a), Image.open(b)
    facts = [(image.mode, *map(image.info.get, ("icc_profile", "exif", "xmp"))) for image in (first, second)]
    return facts[0] == facts[1] and np.array_equal(np.asarray(first), np.asarray(second))


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def nearly_flat(seed: int) -> NDArray[np.uint8]:
    """One colour but for two pixels at most, which takes few bits. 8 to 39 pixels a side."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(8, 40, 2)
    pixels = np.full((height, width, 3), rng.integers(0, 256, 3, np.uint8))
    for _ in range(2):
        pixels[rng.integers(height), rng.integers(width)] = rng.integers(0, 256, 3)
    return pixels
