"""Decodes pixels of .ddpm files without ddpmcodec: written from docs/format.md alone, to test that page."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from image_reader import LANES, MODES, PRECISION, Cursor, Image, covered, pop, read_image, require, streams
from logistics import SingleLogistic, Span, clamp, mass_gradients, normalised, unit_of
from networks import Learner, Model, Network, Seen, learning_blocks, least_learned
from scales import Biases, residual_class, scale_class

REACH = 3
LEARNING_PIXELS, LEAST_PARTED = 2048, 16
LARGEST_MEAN = 32767
INDICES = 11.541560327111707
NOT_SEEN = 89  # the size of residuals outside of the image
CAUSAL = [(dy, dx) for dy in range(-3, 1) for dx in range(-3, 4) if dy < 0 or dx < 0]


def input_of(difference: NDArray[np.int64]) -> NDArray[np.int64]:
    size = np.abs(difference)
    size = np.minimum(np.where(size < 64, size, 64 + (size - 64) // 4), 127)
    return 128 + np.sign(difference) * size


class Position(NamedTuple):
    lane: int
    y: int
    x: int


def wave_positions(wave: int, height: int, width: int, lanes: int) -> Iterator[Position]:
    """The pixels of a wave, lane after lane."""
    rows = [y for y in range(height) if 0 <= wave - 4 * y < width]
    for lane in range(lanes):
        if len(rows) < LEAST_PARTED:
            own = [y for y in rows if y % lanes == lane]
        else:
            own = rows[len(rows) * lane // lanes : len(rows) * (lane + 1) // lanes]
        yield from (Position(lane, y, wave - 4 * y) for y in own)


def to_seen(grb: NDArray[np.int64]) -> NDArray[np.int64]:
    return 2 * np.array([grb[0], grb[1] - grb[0], grb[2] - grb[0]])


class Lane:
    """A stream, as far as it is decoded."""

    def __init__(self, state: int, words: list[int]) -> None:
        self.state, self.words = state, words

    @property
    def slot(self) -> int:
        return self.state % (1 << PRECISION)

    def take(self, start: int, end: int) -> None:
        self.state = pop(self.state, self.words, lambda _: (start, end - start))


class DirectTile:
    """Pixels straight to exact, by one logistic a channel."""

    role = "direct"

    def __init__(self, network: Network, height: int, width: int, channels: int, lanes: list[Lane]) -> None:
        self.network, self.lanes, self.channels, self.shape = network, lanes, channels, (height, width)
        self.grb = np.zeros((height + 3, width + 6, 3), np.int64)
        self.seen = self.grb.copy()
        self.shown = np.zeros((height + 1, width + 2, network.depth, network.shown), np.uint8)
        self.sizes = np.full((height + 1, width + 2, 3), NOT_SEEN)
        self.biases = Biases()
        self.learner: Learner | None = None
        blocks = learning_blocks(self.role, 0, network, 1)
        if blocks is not None and height * width >= LEARNING_PIXELS:
            self.learner = Learner(network, blocks, self.role)
        self.least = least_learned(self.role, 1, height, width)

    def decode(self) -> NDArray[np.uint8]:
        height, width = self.shape
        kept = list[tuple[NDArray[np.float32], Seen]]()
        for wave in range(width + 4 * (height - 1)):
            positions = list(wave_positions(wave, height, width, len(self.lanes)))
            if not positions:
                continue
            kept.append(self.decode_wave(positions))
            self.biases.learn()
            if self.learner and sum(len(gradients) for gradients, _ in kept) >= self.least:
                self.learn(self.learner, kept)
                kept = []
        return self.pixels()

    def learn(self, learner: Learner, kept: list[tuple[NDArray[np.float32], Seen]]) -> None:
        first = self.network.depth - len(learner.layers) + 1
        blocks = [np.concatenate([seen.blocks[k] for _, seen in kept]) for k in range(first, self.network.depth)]
        seen = Seen(blocks, np.concatenate([seen.head for _, seen in kept]))
        learner.step(np.concatenate([gradients for gradients, _ in kept]), seen, 0)

    def pixels(self) -> NDArray[np.uint8]:
        height, width = self.shape
        order = [1, 0, 2] if self.channels == 3 else [0]
        return self.grb[3:, 3 : 3 + width, order].astype(np.uint8).reshape(height, width, len(order))

    # --- a wave

    def decode_wave(self, positions: list[Position]) -> tuple[NDArray[np.float32], Seen]:
        bases = [self.pivot(at) for at in positions]
        rows = np.array([self.inputs(at, base) for at, base in zip(positions, bases, strict=True)])
        y, x = np.array([at[1:] for at in positions]).T
        beside = np.stack([self.shown[y + 1, x], self.shown[y, x + 1], self.shown[y, x + 2]], 1)
        outputs, seen = self.network.run(rows, 0, beside)
        for k, block in enumerate(seen.blocks):
            self.shown[y + 1, x + 1, k] = block[:, : self.network.shown]
        decoded = zip(positions, outputs.tolist(), bases, strict=True)
        gradients = [self.decode_pixel(at, output, base.tolist()) for at, output, base in decoded]
        return np.array(gradients, np.float32) * self.network.tensors["head.factor"], seen

    def pivot(self, at: Position) -> NDArray[np.int64]:
        if at.x:
            return self.grb[at.y + 3, at.x + 2]
        return self.grb[at.y + 2, 3] if at.y else np.full(3, 128)

    def inputs(self, at: Position, base: NDArray[np.int64]) -> NDArray[np.uint8]:
        width, (_, y, x) = self.shape[1], at
        row = np.full(96, 128)
        differences = input_of(self.seen[y : y + 4, x : x + 7] - to_seen(base))
        for k, (dy, dx) in enumerate(CAUSAL):
            if y + dy >= 0 and 0 <= x + dx < width:
                row[3 * k : 3 * k + 3] = differences[3 + dy, 3 + dx]
        green, red, blue = base
        row[72:75] = green, 128 + clamp((red - green) >> 1, -128, 127), 128 + clamp((blue - green) >> 1, -128, 127)
        for m in (1, 2, 3):
            row[74 + m], row[77 + m], row[80 + m] = (128 + 16 * so for so in (y >= m, x >= m, x + m < width))
        return row.astype(np.uint8)

    # --- a pixel

    def decode_pixel(self, at: Position, output: list[int], base: list[int]) -> list[float]:
        lane, (_, y, x) = self.lanes[at.lane], at
        values, residuals, by_mean, by_scale = [0] * 3, [0] * 3, [0.0] * 3, [0.0] * 3
        for c in range(self.channels):
            predicted = clamp(output[4 + c], 0, 127)
            near = self.sizes[y + 1, x, c] + self.sizes[y, x, c] + self.sizes[y, x + 1, c] + self.sizes[y, x + 2, c]
            classes = scale_class(predicted), residual_class(int(near) >> 2)
            scale = clamp(predicted + self.biases.of(c, classes), 0, 127)
            cross = (0, output[7] * residuals[0], output[8] * residuals[0] + output[9] * residuals[1])[c]
            mean = clamp(64 * base[c] + output[1 + c] + (cross >> 6), -LARGEST_MEAN, LARGEST_MEAN)
            logistic = SingleLogistic(mean, scale)
            value = values[c] = logistic.find(lane.slot)
            lane.take(logistic.start(value), logistic.start(value + 1))
            residuals[c] = 64 * value - mean
            self.sizes[y + 1, x + 1, c] = abs(normalised(residuals[c], scale))
            low, high = logistic.centred_at(value), logistic.centred_at(value + 1)
            mass = mass_gradients(Span(64 * value - 32 - mean, 64 * value + 32 - mean, low, high), scale)
            self.biases.add(c, classes, -mass[1], scale)
            by_mean[c], by_scale[c] = -mass[0] * unit_of(scale), -mass[1]
        self.settle(at, np.array(values if self.channels == 3 else values[:1] * 3))
        return gradients_of(output, residuals, by_mean, by_scale)

    def settle(self, at: Position, grb: NDArray[np.int64]) -> None:
        self.grb[at.y + 3, at.x + 3], self.seen[at.y + 3, at.x + 3] = grb, to_seen(grb)


def gradients_of(output: list[int], residuals: list[int], by_mean: list[float], by_scale: list[float]) -> list[float]:
    third = by_mean[2]
    second = by_mean[1] - third * output[9] / 64.0
    first = by_mean[0] - (second * output[7] + third * output[8]) / 64.0
    scales = [clamp(gradient, -8.0, 8.0) / INDICES for gradient in by_scale]
    crosses = second * residuals[0] / 64.0, third * residuals[0] / 64.0, third * residuals[1] / 64.0
    return [0.0, first, second, third, *scales, *crosses]


# --- files


class Grid(NamedTuple):
    """The sides of tiles."""

    width: int
    height: int


def grid_of(image: Image, data: bytes) -> Grid:
    """Tiles of a file; its header is read once more, as `Image` does not have them."""
    if image.segments is None:
        return Grid(image.width, image.height)
    cursor = Cursor(data, 4)
    flags = data[2]
    cursor.take((2 if data[3] & 8 else 0) + (1 if image.model_number else 5))
    cursor.column(1 if flags & 8 else 2)
    if flags & 32:
        cursor.take(1)
        while cursor.integer(1):
            cursor.varint()
    return Grid(*cursor.column(2))


def check_of(image: Image, data: bytes, samples: NDArray[np.uint8]) -> int:
    return zlib.crc32(samples.tobytes(), zlib.crc32(covered(image, data))) % (1 << 24)


def decode_pixels(data: bytes, model: Model) -> NDArray[np.uint8]:
    """The colour samples of a file of kind 0, (height, width, channels)."""
    image = read_image(data)
    require(not image.stored and image.mode in MODES, "there are no pixels to decode")
    require(image.levels == 0 and image.effort == 0 and not data[3] >> 7, "this reader does not decode such files yet")
    grid, channels = grid_of(image, data), 3 if image.mode.startswith("RGB") else 1
    every, found = streams(image), np.zeros((image.height, image.width, channels), np.uint8)
    count = 1 if image.segments is None else LANES
    corners = [(y, x) for y in range(0, image.height, grid.height) for x in range(0, image.width, grid.width)]
    for k, (y, x) in enumerate(corners):
        lanes = [Lane(*stream) for stream in every[count * k : count * (k + 1)]]
        part = found[y : y + grid.height, x : x + grid.width]
        part[:] = decoded = DirectTile(model.network("0.direct"), *part.shape, lanes).decode()
        check = (1 << 24) + check_of(image, data, decoded)
        require(all(lane.state == check and not lane.words for lane in lanes), "the check of a stream does not match")
    return found
