"""JPEG files to learn from: as they are, or written of images, of many qualities, tables of quantisation and samplings;
and the latest of them, of which a step sees some."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, JpegPresets

from ddpmcodec import _native
from ddpmcodec._native import MOST_JPEG_LEVELS
from ddpmcodec.errors import DdpmError, TrainingError
from ddpmcodec.training.coefficients.order import SIDE, coarsest_levels
from ddpmcodec.training.coefficients.positions import GRIDS, GROUP, OF_LUMA_ALONE, Component, Group, JpegFile
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


COLOURS = (0, 1)  # of `_native.Coefficients`: grey, and YCbCr
SUFFIXES = (".jpg", ".jpeg")  # of files that are taken as they are
KEPT, EVERY = 256, 8  # files at a time, 1 MB each; steps after which there is a new one
LEVELS_SHARES = (0.2, 0.5, 0, 0.3)  # of files with at most 0, 1, 2 and 3 levels: small ones have 0, by default it is 1
FINEST_SHARE = 0.6  # of files at a finer level, of those at the last one, which all of them have


class CodedComponent(NamedTuple):
    """A component of a file: sampling factors; steps by rank, uint16 [64]; quantised values, int16 [rows, columns, 64]
    by rank."""

    horizontal: int
    vertical: int
    steps: NDArray[np.uint16]
    values: NDArray[np.int16]


def parsed(data: bytes) -> list[CodedComponent] | None:
    """Return the components of a file: luma alone, or luma, Cb, Cr; None for other files."""
    try:
        image, _, _ = _native.parse_jpeg(data)
    except DdpmError:
        return None
    if image.colour not in COLOURS:
        return None
    components = [
        CodedComponent(across, down, image.steps[number], image.values(number))
        for number, (across, down) in enumerate(image.factors)
    ]
    return components if _covered(components) in GRIDS else None


def _covered(components: Sequence[CodedComponent]) -> tuple[int, int] | None:
    """How many blocks of luma a block of chroma covers; None if Cb and Cr differ."""
    luma, *chroma = [(component.horizontal, component.vertical) for component in components]
    if not chroma:
        return OF_LUMA_ALONE
    return luma if chroma == [(1, 1)] * 2 else None


def whole(data: bytes) -> list[CodedComponent]:
    """Return the components of a file that `parsed` accepts."""
    components = parsed(data)
    assert components is not None
    return components


def levels_of(components: Sequence[CodedComponent]) -> int:
    """Return how many levels a file has besides the exact one."""
    return max(int(coarsest_levels(component.steps).max()) for component in components)


def in_training(components: Sequence[CodedComponent], levels: int = 0, refined: int | None = None) -> JpegFile:
    """Return a file in training. levels, refined: of `Component`."""
    covered = _covered(components)
    assert covered is not None
    return JpegFile([Component(each.values, each.steps, levels, refined) for each in components], covered)


def part(data: bytes, side: int, rng: np.random.Generator) -> list[CodedComponent]:
    """Return a random part of a file, of whole MCUs, at most `side` pixels squared but at least one MCU."""
    components = whole(data)
    across, down = (components[0].horizontal, components[0].vertical) if len(components) > 1 else (1, 1)
    rows, columns, _ = components[0].values.shape
    top, height = _range(rows // down, side // (SIDE * down), rng)
    left, width = _range(columns // across, side // (SIDE * across), rng)
    cut = []
    for component in components:
        v, h = (component.vertical, component.horizontal) if len(components) > 1 else (1, 1)
        values = component.values[top * v : (top + height) * v, left * h : (left + width) * h]
        cut.append(component._replace(values=values))
    return cut


def _range(full: int, most: int, rng: np.random.Generator) -> tuple[int, int]:
    """A random first MCU, and how many."""
    count = max(1, min(full, most))
    return int(rng.integers(full - count + 1)), count


class FileSource:
    """Files by number, each a function of the seed and its number: of the sets in turn, of each of its images once an
    epoch, and of large ones as often as they have parts."""

    def __init__(self, sets: Sequence[Sequence[Pixels]], side: int, seed: int) -> None:
        """sets: images uint8 [H, W, 3], and files as uint8 [bytes], that `parsed` accepts."""
        self.sets, self.side, self.seed = sets, side, seed
        self.orders = [np.repeat(np.arange(len(images)), [self._parts(image) for image in images]) for images in sets]

    def _parts(self, image: Pixels) -> int:
        return max(1, round(area(image) / self.side**2))

    def file(self, number: int, refines: bool = False) -> JpegFile:
        """Return a file at its coarsest level, of as many as a draw allows; or at a finer one."""
        components, rng = self._components(number), np.random.default_rng((self.seed, 2**36, number))
        if not refines:
            return in_training(components, int(rng.choice(len(LEVELS_SHARES), p=LEVELS_SHARES)))
        finer = 0 if rng.random() < FINEST_SHARE else int(rng.integers(max(1, levels_of(components))))
        return in_training(components, MOST_JPEG_LEVELS, finer)

    def _components(self, number: int) -> list[CodedComponent]:
        turn, which = divmod(number, len(self.sets))
        epoch, index = divmod(turn, len(self.orders[which]))
        shuffled = np.random.default_rng((self.seed, 2**32 + which, epoch)).permutation(self.orders[which])
        image, rng = self.sets[which][shuffled[index]], np.random.default_rng((self.seed, 2**33, number))
        if image.ndim == 1:
            return part(image.tobytes(), self.side, rng)
        return whole(random_file(image, self.side, rng))


def area(image: Pixels) -> int:
    """Return how many pixels an image uint8 [H, W, 3], or a file uint8 [bytes], has."""
    height, width = image.shape[:2] if image.ndim > 1 else Image.open(io.BytesIO(image.tobytes())).size
    return int(height) * int(width)


class ReplayFiles:
    """The latest files of a source at each step, at their coarsest levels and at finer ones: a resumed run sees those
    that it would have seen."""

    def __init__(self, source: FileSource) -> None:
        self.source = source
        self.files: dict[bool, dict[int, JpegFile]] = {False: {}, True: {}}  # by whether they are refined, and number

    @staticmethod
    def count(step: int) -> int:
        """Return how many files there were before and at a step."""
        return KEPT + step // EVERY

    def at(self, step: int, refines: bool = False) -> list[JpegFile]:
        """Return the files of a step."""
        numbers, kept = range(self.count(step) - KEPT, self.count(step)), self.files[refines]
        self.files[refines] = {number: kept.get(number) or self.source.file(number, refines) for number in numbers}
        return list(self.files[refines].values())

    def draw(self, step: int, count: int, *, chroma: bool, refines: bool) -> list[Group]:
        """Return random groups of positions in luma, or in chroma."""
        rng, files = np.random.default_rng((self.source.seed, 2**34, step)), self._of(step, chroma, refines)
        return [files[rng.integers(len(files))].draw(chroma, GROUP, rng) for _ in range(count)]

    def of_condition(self, component: int, condition: int, count: int, *, refines: bool) -> list[Group]:
        """Return as many groups of positions of one condition, of the first files; of the most frequent one if no file
        has it."""
        rng = np.random.default_rng((self.source.seed, 2**35, component, condition))
        files = self._of(0, component > 0, refines)
        groups = [file.group(component, condition) for file in files]
        groups = [group for group in groups if len(group.blocks)] or [_most_frequent(files, component)]
        drawn = (groups[rng.integers(len(groups))] for _ in range(count))
        return [group._replace(blocks=rng.choice(group.blocks, GROUP)) for group in drawn]

    def _of(self, step: int, chroma: bool, refines: bool) -> list[JpegFile]:
        """The files of a step that have such positions. Raises TrainingError if none has."""
        files = self.at(step, refines)
        found = [file for file in files if file.has(chroma)]
        if not found and chroma and all(len(file.components) == 1 for file in files):
            raise TrainingError("all files are grey: train luma alone with roles=luma,refine-luma")
        if not found:
            raise TrainingError("no file has steps of 9 or less, as finer levels do: leave refine-... out of roles=...")
        return found


def _most_frequent(files: Sequence[JpegFile], component: int) -> Group:
    file = max(files, key=lambda file: int(file.components[component].counts.max()))
    return file.group(component, int(file.components[component].counts.argmax()))
