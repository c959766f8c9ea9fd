"""The images that a benchmark measures: a folder, an array, an archive, CIFAR-10, or pictures drawn in code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ddpmcodec import archive
from ddpmcodec.errors import DdpmError
from ddpmcodec.formats.folders import IMAGE_SUFFIXES
from ddpmcodec.training.data import is_archive, load_images


class KnownSet(NamedTuple):
    """A set of photographs.

    Attributes:
        name: as results call it.
        folders: names that its folder usually has.
        images: how many it has.
        stems: names of its images; None: a folder of one of these names with as many images is the set.
        source: the place to get it from.
    """

    name: str
    folders: tuple[str, ...]
    images: int
    stems: tuple[str, ...] | None
    source: str

    def is_in(self, folder: Path, stems: Sequence[str]) -> bool:
        """Return whether a folder with images of these names holds the set."""
        if self.stems is None:
            return folder.name in self.folders and len(stems) == self.images
        return tuple(stems) == self.stems


KODAK_NAME, DIV2K_NAME, CLIC_P_NAME = "Kodak", "DIV2K", "CLIC.p"
KNOWN_SETS = {  # by their names on the command line
    "kodak": KnownSet(
        KODAK_NAME, ("kodak", "Kodak"), 24, tuple(f"kodim{number:02}" for number in range(1, 25)),
        "kodim01.png to kodim24.png of https://r0k.us/graphics/kodak/",
    ),
    "div2k": KnownSet(
        DIV2K_NAME, ("DIV2K_valid_HR",), 100, tuple(f"{number:04}" for number in range(801, 901)),
        "DIV2K_valid_HR.zip of https://data.vision.ee.ethz.ch/cvl/DIV2K/",
    ),
    "clic-p": KnownSet(
        CLIC_P_NAME, ("professional_valid", "professional_valid_2020"), 41, None,
        "the professional validation set of CLIC 2020, 41 images, of https://compression.cc",
    ),
}  # fmt: skip


def recognised(folder: Path, stems: Sequence[str]) -> KnownSet | None:
    """Return the set that a folder with images of these names holds; None if it is not a known one."""
    return next((known for known in KNOWN_SETS.values() if known.is_in(folder, stems)), None)


Pixels = NDArray[np.uint8]

CIFAR10, CIFAR10_NAME = "cifar10", "CIFAR-10"  # on the command line, and in results
GRAPHICS, GRAPHICS_NAME = "graphics", "drawn graphics"
CIFAR10_SIZES = {"test": 10_000, "train": 50_000}
DATA_VARIABLE = "DDPMCODEC_DATA"
WHERE = (
    'get CIFAR-10 with torchvision.datasets.CIFAR10("data", download=True), then give --data data,'
    f" or --data {CIFAR10} with {DATA_VARIABLE}=data; or name a folder of images, an .npy array [N, H, W, 3] or an"
    " archive"
)


@dataclass(frozen=True)
class Dataset:
    """images: uint8 [H, W, 3] each. of: how many the whole set has. split: of CIFAR-10, None for others. names: of the
    images, where they have some."""

    name: str
    images: list[Pixels]
    of: int
    split: str | None = None
    names: list[str] | None = None

    def describe(self) -> dict[str, Any]:
        """Facts for a result file. ids: 8 hexadecimal digits of the sha256 of each image's shape and pixels.

        dimensions: H W 3 of each image, or of all of them where they are equal.
        """
        digests = [sha256(repr(image.shape).encode() + image.tobytes()).hexdigest() for image in self.images]
        dimensions = [image.size for image in self.images]
        return {
            "name": self.name,
            "split": self.split,
            "images": len(self.images),
            "of": self.of,
            "sha256": sha256("".join(digests).encode()).hexdigest(),
            "dimensions": dimensions[0] if len(set(dimensions)) == 1 else dimensions,
            "ids": [digest[:8] for digest in digests],
            "names": self.names,
        }


def load_dataset(source: str, *, split: str = "test", limit: int | None = None) -> Dataset:
    """The first `limit` images of a folder, an array, an archive, a CIFAR-10 root, or `cifar10`, which is looked for in
    $DDPMCODEC_DATA, ./cifar10, ./data and their folders `cifar10`; or of a set of photographs by its name in
    `KNOWN_SETS`, whose usual folders are looked for there; or `graphics`, which are drawn.

    split: of CIFAR-10. Raises DdpmError when there is nothing, TrainingError when something is unreadable.
    """
    if source == GRAPHICS:
        titles, drawn = zip(*graphics(), strict=True)
        return Dataset(GRAPHICS_NAME, list(drawn)[:limit], len(drawn), names=list(titles)[:limit])
    path = _find(source)
    if not path.exists():
        raise DdpmError(f"{path}: no such file or folder: {WHERE}")
    images = load_images(path, split)
    if not images:
        raise DdpmError(f"{path}: there are no images in it: {WHERE}")
    if _is_cifar10(path):
        return Dataset(CIFAR10_NAME, images[:limit], CIFAR10_SIZES[split], split)
    names = _names(path)
    known = recognised(path, names)
    return Dataset(known.name if known else path.stem, images[:limit], len(images), names=names[:limit] or None)


def alike(images: Sequence[Pixels]) -> Iterator[list[Pixels]]:
    """Consecutive images of one size."""
    for _, group in groupby(images, key=np.shape):
        yield list(group)


def pixel_count(images: Sequence[Pixels]) -> int:
    """Of all images together."""
    return sum(image[..., 0].size for image in images)


def _names(path: Path) -> list[str]:
    """Names of the images of a folder or an archive, in the order of `load_images`."""
    if is_archive(path):
        return [PurePosixPath(name).stem for name in archive.names(path)]
    return [each.stem for each in sorted(path.rglob("*")) if each.suffix.lower() in IMAGE_SUFFIXES]


def _is_cifar10(path: Path) -> bool:
    """Whether it is torchvision's root, or a folder of sheets of the tiles."""
    return (path / "cifar-10-batches-py").is_dir() or (path / "test_index.npz").is_file()


def _find(source: str) -> Path:
    """Raises DdpmError where a set that is named is in none of the folders where it is looked for."""
    if source == CIFAR10:
        return _find_cifar10()
    path, known = Path(source), KNOWN_SETS.get(source)
    if known is None or path.exists():
        return path
    places = [root / name for root in (*_chosen_folder(), Path("data")) for name in known.folders]
    for place in places:
        if place.is_dir():
            return place
    raise DdpmError(
        f"{known.name} is not in {', '.join(map(str, places))}: get {known.source}, then give --data FOLDER, or --data"
        f" {source} with {DATA_VARIABLE}=FOLDER, the folder that it is in"
    )


def _find_cifar10() -> Path:
    for folder in _cifar10_folders():
        if _is_cifar10(folder):
            return folder
    raise DdpmError(f"CIFAR-10 is not in {', '.join(map(str, _cifar10_folders()))}: {WHERE}")


def _cifar10_folders() -> Iterator[Path]:
    for folder in (*_chosen_folder(), Path(CIFAR10), Path("data")):
        yield folder
        yield folder / CIFAR10


def _chosen_folder() -> list[Path]:
    """The folder of data sets that the environment names, if it does."""
    chosen = os.environ.get(DATA_VARIABLE)
    return [Path(chosen)] if chosen else []


# --- pictures drawn in code, the same wherever numpy and Pillow are the same: graphics, and a synthetic photograph

Draw = Callable[[np.random.Generator, int, int], Image.Image]

WORDS = "the of image codec lossless noise level band file size open save edit view context model coder stream"
ICON_SIDES = (16, 32, 48, 64, 128)
SMOOTH = 4  # icons are drawn so many times larger, for smooth edges
INK, PAPER, FRAME = "#1d2733", "#ffffff", "#e6e9ee"
SHAPES = 60
OCTAVES = 7  # structures of 2 to 128 pixels
TEXTURE, CHROMA, GRAIN = 4.0, 1.5, 1.0  # grey levels: of an octave of brightness, of colour, and of the sensor's noise


def graphics() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """(name, uint8 [H, W, 3]) of every picture."""
    for side in ICON_SIDES:
        yield f"icon {side}", _pixels(_icon, side, side, side)
    for seed, (width, height) in enumerate(((640, 400), (1024, 640))):
        yield f"screenshot {width}x{height}", _pixels(_screenshot, width, height, seed)
    yield "text 600x400", _pixels(_page, 600, 400, 0)
    yield "terminal 640x384", _pixels(_terminal, 640, 384, 0)
    yield "chart 480x320", _pixels(_chart, 480, 320, 0)
    yield "slide with gradient 640x360", _pixels(_slide, 640, 360, 0)


def _pixels(draw: Draw, width: int, height: int, seed: int) -> NDArray[np.uint8]:
    return np.asarray(draw(np.random.Generator(np.random.PCG64(seed)), width, height))


def _colour(rng: np.random.Generator, low: int = 40, high: int = 230) -> tuple[int, ...]:
    return tuple(rng.integers(low, high, 3).tolist())


def _icon(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A badge on white, with smooth edges."""
    side = SMOOTH * width
    image = Image.new("RGB", (side, side), PAPER)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((side // 16, side // 16, side * 15 // 16, side * 15 // 16), side // 5, fill=_colour(rng))
    draw.ellipse((side // 4, side // 4, side * 3 // 4, side * 3 // 4), fill=PAPER)
    draw.polygon(
        [(side // 2, side // 3), (side * 2 // 3, side * 3 // 5), (side // 3, side * 3 // 5)], fill=_colour(rng)
    )
    return image.resize((width, height), Image.Resampling.BOX)


def _sentence(rng: np.random.Generator, words: int) -> str:
    known = WORDS.split()
    return " ".join(known[k] for k in rng.integers(0, len(known), words))


def _write(image: Image.Image, rng: np.random.Generator, box: tuple[int, int, int, int], ink: str, size: int) -> None:
    """Lines of words in a box (left, top, right, bottom)."""
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    left, top, right, bottom = box
    for y in range(top, bottom - size, size * 3 // 2):
        draw.text((left, y), _sentence(rng, max(1, (right - left) // (4 * size))), ink, font)


def _page(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), PAPER)
    _write(image, rng, (20, 16, width - 20, height - 8), INK, 14)
    return image


def _terminal(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "#101418")
    _write(image, rng, (8, 6, width // 2, height - 4), "#7fd37f", 12)
    _write(image, rng, (width // 2, 6, width - 8, height - 4), "#d0d0d0", 12)
    return image


def _screenshot(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Windows with title bars, buttons and text on a plain background."""
    image = Image.new("RGB", (width, height), _colour(rng, 60, 120))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height - 28, width, height), fill=FRAME)
    for left in range(6, width // 3, 30):
        image.paste(_icon(rng, 20, 20), (left, height - 24))
    for _ in range(3):
        x, y = rng.integers((width // 3, height // 3)).tolist()
        right, bottom = x + width // 2, y + height // 2
        draw.rectangle((x, y, right, bottom), fill=PAPER, outline="#808080")
        draw.rectangle((x + 1, y + 1, right - 1, y + 24), fill=FRAME)
        draw.text((x + 8, y + 4), _sentence(rng, 2), INK, ImageFont.load_default(13))
        _write(image, rng, (x + 10, y + 34, right - 10, bottom - 30), INK, 12)
        draw.rounded_rectangle((right - 80, bottom - 26, right - 10, bottom - 6), 5, fill="#3b73c4")
    return image


def _chart(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    for y in range(20, height - 30, 40):
        draw.line((40, y, width - 10, y), fill=FRAME)
        draw.text((8, y - 6), str(height - y), INK, ImageFont.load_default(11))
    for _ in range(3):
        steps = rng.normal(0, 12, (width - 60) // 8).cumsum() + height // 2
        points = [(44 + 8 * k, float(y)) for k, y in enumerate(np.clip(steps, 10, height - 34))]
        draw.line(points, fill=_colour(rng), width=2)
    draw.line((40, 10, 40, height - 30, width - 10, height - 30), fill=INK)
    return image


def _slide(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Large words on a gradient, which dictionary coders are poor at."""
    slope = np.linspace(0, 1, width)[None, :, None] * 0.6 + np.linspace(0, 1, height)[:, None, None] * 0.4
    first, last = (np.array(_colour(rng)) for _ in range(2))
    image = Image.fromarray(np.rint(first + slope * (last - first)).astype(np.uint8))
    _write(image, rng, (40, 40, width - 40, height - 40), PAPER, 30)
    return image


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
        unshared = CHROMA * _texture(rng, width, height) + GRAIN * rng.standard_normal(
            (height, width), dtype=np.float32
        )
        pixels[..., channel] = np.clip(pixels[..., channel] + shared + unshared, 0, 255)
    return Image.fromarray(pixels)
