"""Decodes pixels of .ddpm files without ddpmcodec: written from docs/format.md alone, to test that page."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colours import Colours
from image_reader import LANES, MODES, Cursor, Image, covered, read_image, require, streams
from mixtures import WEIGHTS, Mixture
from networks import Learner, Model, Network, learning_blocks, least_learned
from positions import Lane
from pyramid import Band, Cells, Plane, bands_of, estimate_of, synthesised, turned
from repeats import Repeats
from scales import Biases
from stages import BandStage, FastStage, LastStage, PixelStage, Shared, decode_stages

LEARNING_PIXELS = 2048
STEPS = {0: (), 1: ((0, 32),), 2: ((0, 32), (1, 8)), 5: ((2, 64), (3, 32), (4, 16), (5, 8), (6, 4))}


class Coding(NamedTuple):
    effort: int
    levels: int
    repeats: bool


class Tile:
    """Decodes the pixels of one tile; or of the images of a run, which have one lane."""

    def __init__(
        self, model: Model, coding: Coding, shape: tuple[int, ...], lanes: list[Lane], images: int = 1
    ) -> None:
        self.model, self.coding, self.lanes, self.images = model, coding, lanes, images
        self.height, self.width, self.channels = shape
        self.learns = images * self.height * self.width >= LEARNING_PIXELS
        self.learned = dict[str, tuple[Network, Learner | None]]()
        self.biases = dict[tuple[int, int], list[Biases]]()

    def shared(self, name: str, kind: int, step: int) -> list[Shared]:
        """What stages of each image share. name: of a network. kind: of the band, from 0; -1 for pixels."""
        role = "band" if name.startswith("band") else "direct" if name == "direct" else "last"
        if name not in self.learned:
            network = self.model.network(self.key(name))
            blocks = learning_blocks(role, kind, network, self.images) if self.learns else None
            self.learned[name] = network, None if blocks is None else Learner(network, blocks, role)
        network, learner = self.learned[name]
        biases = self.biases.setdefault((kind, step), [Biases() for _ in range(self.images)])
        least = least_learned(role, self.images, self.height, self.width)
        first = Shared(network, self.lanes, biases[0], learner, least)
        if role != "band":
            self.add_models(first)
        return [replace(first, biases=own, image=n) for n, own in enumerate(biases)]

    def key(self, name: str) -> str:
        effort, levels, _ = self.coding
        if effort == 0 and levels == 0 and "0.direct" in self.model.networks:
            return "0.direct"
        return f"{max(effort, 1)}.{name}"

    def add_models(self, shared: Shared) -> None:
        is_fast = self.coding.levels == 0 and shared.network.components == 1
        if self.learns and self.channels == 3 and not is_fast:
            shared.colours = Colours()
        if self.coding.repeats:
            shared.repeats = Repeats(self.images, self.height, self.width)

    def decode(self) -> NDArray[np.uint8]:
        """(images, height, width, channels)"""
        stages = self.last_stages() if self.coding.levels else self.direct_stages()
        decode_stages(list(stages))
        return np.array([stage.pixels() for stage in stages])

    def direct_stages(self) -> list[PixelStage]:
        shared = self.shared("direct", -1, -1)
        is_fast = shared[0].network.components == 1 and not self.coding.repeats
        kind = FastStage if is_fast else PixelStage
        return [kind(one, self.height, self.width, self.channels) for one in shared]

    # --- noise levels

    def last_stages(self) -> list[PixelStage]:
        steps, bands = STEPS[self.coding.levels], bands_of(self.height, self.width)
        estimates = roots = [self.decode_root() for _ in range(self.images)]
        cells = [[self.first_cells(band) for band in bands] for _ in range(self.images)]
        for step in steps:
            estimates = roots
            for band in reversed(bands):
                estimates = self.decode_band(band, step, estimates, [own[band.number - 1] for own in cells])
        shared, found = self.shared("single" if len(steps) == 1 else "last", -1, -1), list[PixelStage]()
        for one, estimate, own in zip(shared, estimates, cells, strict=True):
            finest: list[Cells | None] = [*own, None, None]
            bounding = (finest[0], finest[1]) if bands and not bands[0].turned else (None, None)
            found.append(LastStage(one, estimate, self.channels, steps[-1][1], bounding))
        return found

    def decode_root(self) -> Plane:
        root, lane = [0] * 3, self.lanes[0]
        for c in range(self.channels):
            lo = -255 if c else 0
            root[c] = lane.code(c, Mixture([WEIGHTS], lo, 255, [32 * (lo + 255)], [127]))
        return np.array([[root]])

    def first_cells(self, band: Band) -> Cells:
        hi = np.zeros((band.height, band.width, 3), np.int64)
        hi[:] = (255, 510, 510) if self.channels == 3 else (255, 0, 0)
        return Cells(-hi, hi)

    def decode_band(self, band: Band, step: tuple[int, int], coarse: list[Plane], cells: list[Cells]) -> list[Plane]:
        """Returns the finer images."""
        kind = min(band.number, 3)
        stored = [turned(plane) if band.turned else plane for plane in coarse]
        shared = self.shared(f"band{kind}", kind - 1, step[0])
        columns = zip(shared, stored, cells, strict=True)
        decode_stages([BandStage(one, band, step, plane, own) for one, plane, own in columns])
        finer = [synthesised(plane, estimate_of(*own)) for plane, own in zip(stored, cells, strict=True)]
        return [turned(plane) if band.turned else plane for plane in finer]


# --- files


def grid_of(image: Image, data: bytes) -> tuple[int, int]:
    """Width and height of tiles; the header is read once more, as `Image` does not have them."""
    if image.segments is None:
        return image.width, image.height
    cursor, flags = Cursor(data, 4), data[2]
    cursor.take((2 if data[3] & 8 else 0) + (1 if image.model_number else 5))
    cursor.column(1 if flags & 8 else 2)
    if flags & 32:
        cursor.take(1)
        while cursor.integer(1):
            cursor.varint()
    return cursor.varint(), cursor.varint()


def check_of(image: Image, data: bytes, samples: NDArray[np.uint8]) -> int:
    return zlib.crc32(samples.tobytes(), zlib.crc32(covered(image, data))) % (1 << 24)


def decode_pixels(data: bytes, model: Model) -> NDArray[np.uint8]:
    """The colour samples of a file of kind 0, (height, width, channels)."""
    image = read_image(data)
    require(not image.is_jpeg and image.mode in MODES, "there are no pixels to decode")
    coding = Coding(image.effort, image.levels, bool(data[3] >> 7))
    (width, height), channels = grid_of(image, data), 3 if image.mode.startswith("RGB") else 1
    every, found = streams(image), np.zeros((image.height, image.width, channels), np.uint8)
    count = 1 if image.segments is None else LANES
    corners = [(y, x) for y in range(0, image.height, height) for x in range(0, image.width, width)]
    for k, (y, x) in enumerate(corners):
        lanes = [Lane(*stream) for stream in every[count * k : count * (k + 1)]]
        part = found[y : y + height, x : x + width]
        part[:] = decoded = Tile(model, coding, part.shape, lanes).decode()[0]
        check = (1 << 24) + check_of(image, data, decoded)
        require(all(lane.state == check and not lane.words for lane in lanes), "the check of a stream does not match")
    return found
