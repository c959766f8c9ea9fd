"""Decodes coefficients of JPEG files without ddpmcodec: written from docs/format.md alone, to test that page."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jpeg_reader
import numpy as np
from jpeg_scans import Frame
from numpy.typing import NDArray

from image_reader import Bad, Cursor, Image, open_stream, read_image, require
from logistics import EIGHT_SCALES, ONE, SIXTEENTHS, centred, clamp, search
from mixtures import WEIGHTS, Mixture, weights_of
from networks import Learner, Model, Network, Rates, Seen
from positions import INDICES, SIXTEENTH, Lane

STARTS = (0, 1, 3, 6, 10, 15, 21, 28, 36, 64)
FLAG_SEGMENTS = (2, 4, 6, 8)
STEP_RANKS = (0, 1, 5, 14, 27, 40)
WINDOW, GOES_ON, INSIDE, STEPS, GRID, OTHERS = 28, 19, 0, 9, 16, 53
LARGEST, LEAST_MAGNITUDE, LEAST_LEARNED = 1024, np.float32(0.02), 8
RATES = Rates(*map(np.float32, (0.14, 0.0, 0.0, 0.05)))
SKIP_RATE = np.float32(0.3)
WIDEST, SEEN = 27, 9
Values = NDArray[np.int64]


def zigzag() -> list[tuple[int, int]]:
    """Row and column of each rank."""
    places = [(u, v) for u in range(8) for v in range(8)]
    return sorted(places, key=lambda place: (sum(place), place[0] if sum(place) % 2 else place[1]))


ZIGZAG = zigzag()
RANKS = {place: rank for rank, place in enumerate(ZIGZAG)}


# --- inputs


def middle(bucket: int) -> float:
    """Of the numbers that share the exponent and 7 bits of the fraction, from 2^-6 on."""
    return math.ldexp(1 + (bucket % 128 + 0.5) / 128, bucket // 128 - 6)


ASINH = [min(round(24 * math.asinh(middle(k))), 127) for k in range(1664)]
LOGARITHM = [min(round(16 * math.log(middle(k))), 127) for k in range(2304)]


def bucket_of(x: np.float32) -> int:
    return (int(np.abs(x).view(np.uint32)) >> 16) - (121 << 7)


def asinh_input(x: np.float32) -> int:
    bucket = bucket_of(x)
    size = 0 if bucket < 0 else ASINH[bucket] if bucket < len(ASINH) else 127
    return 128 - size if x < 0 else 128 + size


def log_input(x: np.float32) -> int:
    bucket = bucket_of(x)
    return 128 + (LOGARITHM[bucket] if bucket < len(LOGARITHM) else 127)


def step_input(step: int) -> int:
    return 128 + min(round(24 * (math.log(step) - 2.5)), 127)


class Plane:
    """Dequantised coefficients of a component as far as they are known, with a margin of one block."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.values = np.zeros((rows + 2, columns + 2, 64), np.int64)
        self.goes_on = np.zeros((rows + 2, columns + 2), bool)
        self.goes_on[1:-1, 1:-1] = True

    def same_blocks(self, other: Plane) -> bool:
        return (self.rows, self.columns) == (other.rows, other.columns)


def halves() -> Values:
    """From 16 coefficients of two blocks, side by side, to 8 of one of half the resolution, in 2^-14."""
    k, n = np.mgrid[:8, :8]
    dct = np.cos((2 * n + 1) * k * np.pi / 16) / 2 * np.where(k == 0, math.sqrt(0.5), 1)
    pairs = np.kron(np.eye(8), np.array([[0.5, 0.5]]))
    return np.rint(2**14 * dct @ pairs @ np.kron(np.eye(2), dct.T)).astype(np.int64)


HALVES = halves()


class LumaGrid:
    """Luma on the grid of chroma."""

    def __init__(self, luma: Plane, across: int, down: int) -> None:
        self.luma, self.across, self.down = luma, across, down
        self.plane = Plane(luma.rows // down, luma.columns // across)
        along = {1: [np.eye(8, dtype=np.int64) << 14], 2: [HALVES[:, :8], HALVES[:, 8:]]}
        u, v = np.array(ZIGZAG).T
        self.weights = {
            (y, x): (rows[np.ix_(u, u)] * columns[np.ix_(v, v)] + (1 << 14)) >> 15
            for y, rows in enumerate(along[down])
            for x, columns in enumerate(along[across])
        }

    def renew(self) -> None:
        inside, total = self.luma.values[1:-1, 1:-1], np.zeros_like(self.plane.values[1:-1, 1:-1])
        for (y, x), weights in self.weights.items():
            total += inside[y :: self.down, x :: self.across] @ weights.T
        self.plane.values[1:-1, 1:-1] = np.clip((total + (1 << 12)) >> 13, -32767, 32767)


# --- networks


class Sums:
    """Weighted sums of a condition: weights by entry, and factors."""

    def __init__(self, tensors: dict[str, NDArray[Any]], condition: int) -> None:
        self.linear, self.linear_factors = spread(tensors, "linear", condition, lambda weight: int(weight))
        self.sizes, self.size_factors = spread(tensors, "magnitude", condition, size_weight)


def size_weight(code: int) -> int:
    return 0 if code == 255 else ((SIXTEENTHS[code % 16] >> code // 16) + (1 << 15)) >> 16


def spread(
    tensors: dict[str, NDArray[Any]], kind: str, condition: int, weight_of: Callable[[int], int]
) -> tuple[Values, NDArray[np.float32]]:
    gaps, weights = (tensors[f"{kind}.{name}"][condition].tolist() for name in ("gap", "weight"))
    found = np.zeros((len(gaps), 11 * 64), np.int64)
    for number, row in enumerate(found):
        entry = -1
        for gap, weight in zip(gaps[number], weights[number], strict=True):
            entry += 1 + gap
            if found_weight := weight_of(weight):
                row[entry] = found_weight
    return found, tensors[f"{kind}.factor"][condition]


class CoefficientNetwork(Network):
    """A network whose stem has gains, and whose blocks have biases."""

    def __init__(self, tensors: dict[str, NDArray[Any]]) -> None:
        super().__init__(tensors, 3)
        for name, unit in {"stem.gain": 1 / 4096, "stem.bias": 1 / 32}.items():
            self.tensors[name] = tensors[name].astype(np.float32) * np.float32(unit)
        for k in range(self.depth):
            self.tensors[f"block{k}.bias"] = tensors[f"block{k}.bias"].astype(np.float32) * np.float32(1 / 32)

    def run(self, rows: NDArray[np.uint8], condition: int, beside: Any = None) -> tuple[Values, Seen]:
        inputs, own = rows.astype(np.int16) - 128, self.tensors
        sums = inputs.astype(np.float64) @ own["stem.weight"].astype(np.float64).T
        trunk = (
            sums.astype(np.float32) * (own["stem.factor"] * own["stem.gain"][condition]) + own["stem.bias"][condition]
        )
        for k in range(self.depth):
            seen = activation(trunk + own[f"block{k}.bias"][condition])
            trunk = trunk + self.product(f"block{k}", seen)
        head = activation(trunk)
        real = self.product("head", head) + own["head.bias"][condition] + self.product("skip", inputs)
        return np.rint(np.clip(real, -32767, 32767)).astype(np.int64), Seen([], head)


def activation(trunk: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.clip(trunk, 0, 255)).astype(np.uint8)


class CoefficientLearner(Learner):
    """Changes the head and the skip layer."""

    def __init__(self, network: CoefficientNetwork) -> None:
        super().__init__(network, 0, "direct")
        self.rates = RATES
        self.add_skip()
        self.gradients, self.heads, self.inputs = list[Any](), list[Any](), list[Any]()

    def wave(
        self, gradients: NDArray[np.float32], head: NDArray[np.uint8], rows: NDArray[np.uint8], condition: int
    ) -> None:
        self.gradients.append(gradients * self.network.tensors["head.factor"])
        self.heads.append(head)
        self.inputs.append(rows.astype(np.int16) - 128)
        if sum(map(len, self.heads)) >= LEAST_LEARNED:
            by_sums = np.concatenate(self.gradients)
            self.step(by_sums, Seen([], np.concatenate(self.heads)), condition)
            self.move_by("skip", by_sums, np.concatenate(self.inputs), SKIP_RATE)
            self.forget()

    def forget(self) -> None:
        for kept in (self.gradients, self.heads, self.inputs):
            kept.clear()


# --- distributions


@dataclass
class Opinion:
    """What a network says of a position."""

    output: list[int]
    predicted: int
    sign: int
    gradients: list[float] = field(default_factory=list)
    mixture: Mixture | None = None


def averaged(numbers: Sequence[int]) -> int:
    return numbers[0] if len(numbers) == 1 else (5 * numbers[0] + 3 * numbers[1]) >> 3


def decode_flag(opinions: list[Opinion], lane: Lane) -> bool:
    shares = [centred(one.output[0], 48) + (1 << 37) for one in opinions]
    end = clamp(averaged(shares) >> 14, 1, ONE - 1)
    is_on = lane.slot < end
    lane.take(*((0, end) if is_on else (end, ONE)))
    for one, share in zip(opinions, shares, strict=True):
        one.gradients = [(share / 2**38 - is_on) / 64, *[0.0] * 9]
    return is_on


class Averaged:
    lo, hi = -LARGEST, LARGEST

    def __init__(self, opinions: list[Opinion]) -> None:
        self.mixtures = [mixture_of(one) for one in opinions]

    def start(self, x: int) -> int:
        mass = averaged([mixture.mass_before(x) for mixture in self.mixtures])
        return ONE if x > LARGEST else (mass * (ONE - 2049) >> 38) + x + LARGEST

    def find(self, slot: int) -> int:
        if self.start(0) <= slot < self.start(1):
            return 0
        return search(self.lo, self.hi, lambda x: self.start(x) <= slot)


def mixture_of(one: Opinion) -> Mixture:
    scales = [clamp(scale, 0, 127) for scale in one.output[7:10]]
    means = [
        one.predicted + ((mean * EIGHT_SCALES[scale] + 1024) >> 11)
        for mean, scale in zip(one.output[4:7], scales, strict=True)
    ]
    return Mixture(weights_of(one.output[1:4]), -LARGEST, LARGEST, means, scales)


def decode_coefficient(opinions: list[Opinion], lane: Lane) -> int:
    distribution = Averaged(opinions)
    value = lane.code(0, distribution)
    for one, mixture in zip(opinions, distribution.mixtures, strict=True):
        one.gradients = gradients_of(one, mixture, value)
    if abs(value) < LARGEST:
        return value
    excess = lane.slot >> 9
    lane.take(excess << 9, excess + 1 << 9)
    return value + excess if value > 0 else value - excess


def gradients_of(one: Opinion, mixture: Mixture, value: int) -> list[float]:
    posterior, logits, means, scales = mixture.posterior(value, value), list[float](), list[float](), list[float]()
    for k in range(3):
        prior, share = mixture.weights[k] / WEIGHTS, posterior[k] / WEIGHTS
        by_mean, by_scale = mixture.gradients(k, value, value)
        by_scale = share * (by_scale + by_mean * one.output[4 + k] / 256.0)
        logits.append((prior - share) * SIXTEENTH)
        means.append(share * by_mean / 256.0)
        scales.append(clamp(by_scale, -8.0, 8.0) / INDICES)
    return [0.0, *logits, *means, *scales]


def decode_part(opinions: list[Opinion], lane: Lane) -> int:
    """Which third of its cell a coefficient is in: -1, 0 or 1."""
    (one,) = opinions
    weights = weights_of(one.output)
    below, above = weights[1 - one.sign] << 10, ONE - (weights[1 + one.sign] << 10)
    part = -1 if lane.slot < below else int(lane.slot >= above)
    lane.take(*((0, below), (below, above), (above, ONE))[1 + part])
    one.gradients = [(weights[k] / WEIGHTS - (k == 1 + part * one.sign)) * SIXTEENTH for k in range(3)]
    return part


# --- a tile


@dataclass
class Step:
    """The coefficients of a rank, or the flags before it, of a component. condition: of the component's network."""

    component: int
    rank: int
    condition: int
    is_flag: bool


def cell_level(step: int, levels: int) -> int:
    return max(k for k in range(levels + 1) if k == 0 or 3**k * step <= WIDEST)


class Tile:
    """Decodes the coefficients of a tile. blocks: rows and columns of each component. steps: of quantisation."""

    def __init__(
        self, model: Model, effort: int, levels: int, blocks: list[tuple[int, int]], steps: list[list[int]], lane: Lane
    ) -> None:
        self.model, self.levels, self.steps, self.lane = model, levels, steps, lane
        self.names = [f"{stored}." for stored in range(min(effort, 2), 0, -1)]
        self.planes = [Plane(*each) for each in blocks]
        self.values = [np.zeros((*each, 64), np.int64) for each in blocks]
        self.grid, self.luma_grid = 2, None  # type: int | None, LumaGrid | None
        self.learners = dict[str, CoefficientLearner]()
        self.sums = dict[tuple[str, int], Sums]()
        if len(blocks) > 1:
            ratios = [self.ratio(luma, chroma) for luma, chroma in zip(*blocks[:2], strict=True)]
            self.grid = None if 0 in ratios else ratios[0] * ratios[1] // 2
            if self.grid:
                self.luma_grid = LumaGrid(self.planes[0], ratios[1], ratios[0])

    @staticmethod
    def ratio(luma: int, chroma: int) -> int:
        return 1 if luma == chroma else 2 if luma == 2 * chroma else 0

    def decode(self) -> list[Values]:
        for segment in range(9 + self.levels):
            self.decode_segment(segment)
        return self.values

    def decode_segment(self, segment: int) -> None:
        refines, finest = segment >= 9, self.levels - max(segment - 8, 0)
        if refines:
            for plane in self.planes:
                plane.goes_on[1:-1, 1:-1] = True
        for component in range(len(self.planes)):
            steps = list(self.list_steps(component, segment, finest))
            for step in steps:
                self.decode_step(step, refines, finest)
            if component == 0 and self.luma_grid and steps:
                self.luma_grid.renew()

    def list_steps(self, component: int, segment: int, finest: int) -> list[Step]:
        if segment >= 9:
            refined = [r for r in range(64) if cell_level(self.steps[component][r], self.levels) > finest]
            return [Step(component, rank, rank, False) for rank in reversed(refined)]
        ranks = range(STARTS[segment], STARTS[segment + 1])
        flags = [Step(component, ranks[0], 64 + k, True) for k, each in enumerate(FLAG_SEGMENTS) if each == segment]
        return flags + [Step(component, rank, rank, False) for rank in ranks]

    def decode_step(self, step: Step, refines: bool, finest: int) -> None:
        plane, is_chroma = self.planes[step.component], step.component in (1, 2)
        levels = [min(cell_level(q, self.levels), finest) for q in self.steps[step.component]]
        widths = [q * 3**level for q, level in zip(self.steps[step.component], levels, strict=True)]
        role = "chroma" if is_chroma else "luma"
        role = f"refine.{role}" if refines else role
        learners = [self.learner(effort + role) for effort in self.names]
        if (role, step.condition) not in self.sums:
            self.sums[role, step.condition] = Sums(self.tensors(f"predictors.{role}"), step.condition)
        sums = self.sums[role, step.condition]
        for learner in learners:
            learner.forget()
        for wave in range(plane.columns + 2 * (plane.rows - 1)):
            rows = [y for y in range(plane.rows) if 0 <= wave - 2 * y < plane.columns]
            blocks = [(y, wave - 2 * y) for y in rows if plane.goes_on[y + 1, wave - 2 * y + 1]]
            if blocks:
                self.decode_wave(step, blocks, learners, sums, widths, levels[step.rank], refines)

    def tensors(self, key: str) -> dict[str, NDArray[Any]]:
        return {name.removeprefix(f"{key}."): t for name, t in self.model.tensors.items() if name.startswith(f"{key}.")}

    def learner(self, key: str) -> CoefficientLearner:
        if key not in self.learners:
            self.learners[key] = CoefficientLearner(CoefficientNetwork(self.tensors(key)))
        return self.learners[key]

    def decode_wave(
        self, step: Step, blocks: list[tuple[int, int]], learners: list[CoefficientLearner], sums: Sums,
        widths: list[int], level: int, refines: bool,
    ) -> None:  # fmt: skip
        condition = step.condition + (step.component == 2) * (64 if refines else 68)
        read = [self.reading(sums, step, y, x, widths, refines) for y, x in blocks]
        rows = np.array([row for row, _ in read])
        ran = [learner.network.run(rows, condition, None) for learner in learners]
        all_outputs = [outputs.tolist() for outputs, _ in ran]
        opinions = [[Opinion(outputs[k], *reading) for outputs in all_outputs] for k, (_, reading) in enumerate(read)]
        for (y, x), of_block in zip(blocks, opinions, strict=True):
            self.decode_block(step, y, x, of_block, level, refines)
        for n, learner in enumerate(learners):
            gradients = np.array([of_block[n].gradients for of_block in opinions], np.float32)
            learner.wave(gradients, ran[n][1].head, rows, condition)

    def decode_block(self, step: Step, y: int, x: int, opinions: list[Opinion], level: int, refines: bool) -> None:
        plane, values = self.planes[step.component], self.values[step.component]
        if step.is_flag:
            plane.goes_on[y + 1, x + 1] = decode_flag(opinions, self.lane)
            return
        if refines:
            cell = 3 * (int(values[y, x, step.rank]) // 3 ** (level + 1)) + decode_part(opinions, self.lane)
        else:
            cell = decode_coefficient(opinions, self.lane)
        value = values[y, x, step.rank] = clamp(cell * 3**level, -32768, 32767)
        dequantised = int(value) * self.steps[step.component][step.rank]
        plane.values[y + 1, x + 1, step.rank] = clamp(dequantised, -32767, 32767)

    # --- inputs

    def others(self, component: int) -> tuple[Plane | None, Plane | None]:
        """Luma and Cb as chroma sees them."""
        if component not in (1, 2):
            return None, None
        own = self.planes[component]
        luma = self.luma_grid.plane if self.luma_grid else self.planes[0] if self.grid == 0 else None
        cb = self.planes[1] if component == 2 and self.planes[1].same_blocks(own) else None
        return (luma if luma and luma.same_blocks(own) else None), cb

    def inputs(self, step: Step, y: int, x: int, widths: list[int]) -> NDArray[np.int64]:
        """All but sums."""
        own, is_chroma = self.planes[step.component], step.component in (1, 2)
        row, unit = np.full(144 if is_chroma else 80, 128), np.float32(1) / np.float32(widths[step.rank])
        for j in range(9):
            v, u = y + j // 3, x + j % 3
            row[INSIDE + j] += 16 * (1 <= v <= own.rows and 1 <= u <= own.columns)
            row[GOES_ON + j] += 16 * (j != 4 and bool(own.goes_on[v, u]))
        row[STEPS : STEPS + 7] = [step_input(widths[rank]) for rank in (step.rank, *STEP_RANKS)]
        if self.grid is not None:
            row[GRID + self.grid] += 16
        self.window(row, WINDOW, own, (y, x), step.rank, unit)
        for n, plane in enumerate(self.others(step.component)):
            if plane:
                first = OTHERS + 34 * n
                self.window(row, first, plane, (y, x), step.rank, unit)
                around = plane.values[y : y + 3, x : x + 3, step.rank].ravel()
                row[first + 25 : first + 34] = [asinh_input(np.float32(value) * unit) for value in around]
        return row

    def window(
        self, row: NDArray[np.int64], first: int, plane: Plane, at: tuple[int, int], rank: int, unit: np.float32
    ) -> None:
        (u, v), block = ZIGZAG[rank], plane.values[at[0] + 1, at[1] + 1]
        for k in range(25):
            near = RANKS.get((u + k // 5 - 2, v + k % 5 - 2))
            if near is not None and block[near]:
                row[first + k] = asinh_input(np.float32(block[near]) * unit)

    def reading(
        self, sums: Sums, step: Step, y: int, x: int, widths: list[int], refines: bool
    ) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """The inputs of networks, and how sums predict the coefficient: in 1/64 of a cell, and a sign."""
        row, own = self.inputs(step, y, x, widths), self.planes[step.component].values
        is_chroma, unit = step.component in (1, 2), np.float32(1) / np.float32(widths[step.rank])
        entries = np.zeros(11 * 64, np.int64)
        entries[: 9 * 64] = own[y : y + 3, x : x + 3].ravel()
        for n, plane in enumerate(self.others(step.component)):
            if plane:
                entries[(9 + n) * 64 : (10 + n) * 64] = plane.values[y + 1, x + 1]
        linear, sizes = sums.linear @ entries, sums.sizes @ np.abs(entries)
        first = 121 if is_chroma else OTHERS
        for k, total in enumerate(linear):
            row[first + k] = asinh_input(np.float32(total) * (sums.linear_factors[k] * unit))
        for k, total in enumerate(sizes):
            row[first + 5 + k] = log_input(np.float32(total) * (sums.size_factors[k] * unit) + LEAST_MAGNITUDE)
        predicted = np.float32(linear[0]) * (sums.linear_factors[0] * unit) * np.float32(64)
        known = int(own[y + 1, x + 1, step.rank])
        sign = 1 if known > 0 else -1 if known < 0 else -1 if linear[0] < 0 else 1
        if refines and sign < 0:
            row[WINDOW : first + 5] = 256 - row[WINDOW : first + 5]
        return row.astype(np.uint8), (int(np.rint(np.clip(predicted, -(2**21), 2**21))), sign)


# --- files


def decode_jpeg(data: bytes, model: Model) -> bytes:
    """The JPEG file that a file of kind 3 holds."""
    image = read_image(data)
    require(image.is_jpeg and image.tiles == 1, "this reader decodes JPEG coefficients of one tile")
    frame = jpeg_reader.read_frame(image.frame[2:], image.width, image.height)
    values = decode_coefficients(image, frame, model)
    return jpeg_reader.rebuilt(frame, image.recipe, values)


def decode_coefficients(image: Image, frame: Frame, model: Model) -> list[Values]:
    first, *others = image.chunks
    size = Cursor(first).integer(1)
    lane = Lane(*open_stream(first[1:] + b"".join(others), size))
    columns = [frame.blocks(k, False) for k in range(len(frame.factors))]
    blocks = [(rows, across) for across, rows in columns]
    values = Tile(model, image.effort, image.levels, blocks, frame.steps, lane).decode()
    check = zlib.crc32(b"".join(each.astype("<i2").tobytes() for each in values)) % (1 << 24)
    if lane.state != (1 << 24) + check or lane.words:
        raise Bad("the check of the coefficients does not match")
    return values
