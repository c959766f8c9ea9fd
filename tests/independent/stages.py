"""What positions see, and what is done with them, without ddpmcodec: written from docs/format.md alone.

A stage is one band of one step, or the exact step. Its positions are decoded in waves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from colours import Colours
from logistics import SingleLogistic, Span, clamp, mass_gradients, normalised, unit_of
from networks import Learner, Network, Seen
from positions import INDICES, LARGEST_MEAN, Guess, Lane, Learned, Position, Values
from pyramid import Band, Bounds, Cells, Plane, Range, bounds_of, cell_width, estimate_of, remaining, to_grb, to_ycocg
from repeats import MASS_BITS, SURE, Repeats, Visit, Wrong
from scales import Biases, residual_class, scale_class

LEAST_PARTED = 16
NOT_SEEN = 89  # the size of residuals outside of the image
CAUSAL = [(dy, dx) for dy in range(-3, 1) for dx in range(-3, 4) if dy < 0 or dx < 0]
NEAREST = ((0, -1), (-1, 0), (-1, 1), (-1, -1))
MID_GREY = np.full(3, 128)


@dataclass
class At:
    """A position, and its lane."""

    lane: int
    y: int
    x: int


@dataclass
class Shared:
    """What the stages of a tile share. Images of a run have biases of their own, and share all else.

    least: positions of a step of learning.
    """

    network: Network
    lanes: list[Lane]
    biases: Biases
    learner: Learner | None
    least: int
    colours: Colours | None = None
    repeats: Repeats | None = None
    kept: list[tuple[NDArray[np.float32], Seen]] = field(default_factory=list)
    observed: dict[tuple[int, int, int], int] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    image: int = 0  # of a run


def input_of(difference: Plane) -> Plane:
    size = np.abs(difference)
    size = np.minimum(np.where(size < 64, size, 64 + (size - 64 >> 2)), 127)
    return 128 + np.sign(difference) * size


def to_seen(grb: Plane) -> Plane:
    green, red, blue = np.moveaxis(grb, -1, 0)
    return 2 * np.stack([green, red - green, blue - green], -1)


def middle_inputs(grb: Plane) -> list[int]:
    green, red, blue = (int(value) for value in grb)
    return [clamp(green, 0, 255), *(128 + clamp(value - green >> 1, -128, 127) for value in (red, blue))]


class Stage(ABC):
    """Decodes the positions of a band or of the exact step of one image."""

    condition = 0
    in_turn = False  # lanes have rows in turn, however many a wave has

    def __init__(self, shared: Shared, height: int, width: int) -> None:
        self.shared, self.height, self.width = shared, height, width
        network = shared.network
        self.shown = np.zeros((height + 1, width + 2, network.depth, network.shown), np.uint8)
        shared.kept.clear()

    @abstractmethod
    def inputs(self, at: At) -> NDArray[np.uint8]: ...

    @abstractmethod
    def decode_position(self, at: At, output: list[int]) -> list[float]:
        """Returns gradients of the code length by the outputs."""

    def wants(self, at: At) -> bool:
        return True

    def positions(self, wave: int) -> list[At]:
        """Of a wave, lane after lane."""
        rows, lanes = [y for y in range(self.height) if 0 <= wave - 4 * y < self.width], len(self.shared.lanes)
        found = list[At]()
        for lane in range(lanes):
            own = rows[len(rows) * lane // lanes : len(rows) * (lane + 1) // lanes]
            if len(rows) < LEAST_PARTED or self.in_turn:
                own = [y for y in rows if y % lanes == lane]
            found += (At(lane, y, wave - 4 * y) for y in own)
        return found

    def decode_wave(self, every: list[At]) -> None:
        network, positions = self.shared.network, [at for at in every if self.wants(at)]
        idle, gradients = len(every) - len(positions), np.zeros((0, network.outputs), np.float32)
        seen = Seen([np.zeros((0, network.width + 3 * network.shown), np.uint8)] * network.depth, gradients[:, :0])
        if positions:
            rows = np.array([self.inputs(at) for at in positions])
            y, x = np.array([(at.y, at.x) for at in positions]).T
            beside = np.stack([self.shown[y + 1, x], self.shown[y, x + 1], self.shown[y, x + 2]], 1)
            outputs, seen = network.run(rows, self.condition, beside)
            for k, block in enumerate(seen.blocks):
                self.shown[y + 1, x + 1, k] = block[:, : network.shown]
            decoded = zip(positions, outputs.tolist(), strict=True)
            gradients = np.array([self.decode_position(at, output) for at, output in decoded], np.float32)
        if self.shared.learner:
            by_sums = gradients * network.tensors["head.factor"]
            nothing = np.zeros((idle, network.outputs), np.float32)
            blocks = [np.concatenate([block, np.zeros((idle, block.shape[1]), np.uint8)]) for block in seen.blocks]
            head = seen.head if positions else np.zeros((0, network.width), np.uint8)
            head = np.concatenate([head, np.zeros((idle, network.width), np.uint8)])
            self.shared.kept.append((np.concatenate([by_sums, nothing]), Seen(blocks, head)))

    def learn(self, learner: Learner) -> None:
        kept, depth = self.shared.kept, self.shared.network.depth
        first = depth - len(learner.layers) + 1
        blocks = [np.concatenate([seen.blocks[k] for _, seen in kept]) for k in range(first, depth)]
        seen = Seen(blocks, np.concatenate([seen.head for _, seen in kept]))
        learner.step(np.concatenate([gradients for gradients, _ in kept]), seen, self.condition)
        kept.clear()


def decode_stages(stages: list[Stage]) -> None:
    """Decodes the same stage of all images of a run, wave by wave."""
    first, shared = stages[0], stages[0].shared
    for wave in range(first.width + 4 * (first.height - 1)):
        for stage in stages:
            stage.decode_wave(stage.positions(wave))
        for stage in stages:
            stage.shared.biases.learn()
        if shared.colours:
            shared.colours.learn(shared.observed)
        if shared.repeats:
            for visit in shared.visits:
                shared.repeats.learn(visit)
            shared.visits.clear()
        if shared.learner and sum(len(gradients) for gradients, _ in shared.kept) >= shared.least:
            first.learn(shared.learner)


class Residuals:
    """Normalised residuals of the positions of a stage; None: not coded."""

    def __init__(self, height: int, width: int) -> None:
        self.rows = [[[None] * 3 for _ in range(width)] for _ in range(height)]  # type: list[list[list[int | None]]]

    def near(self, y: int, x: int) -> list[list[int | None]]:
        places = [(y + dy, x + dx) for dy, dx in NEAREST]
        inside = [self.rows[v][u] for v, u in places if v >= 0 and 0 <= u < len(self.rows[0])]
        return [[one[c] for one in inside] for c in range(3)]


class BandStage(Stage):
    """A band in one step. coarse: as the band is stored. cells: what is known, which becomes what is known then."""

    def __init__(self, shared: Shared, band: Band, step: tuple[int, int], coarse: Plane, cells: Cells) -> None:
        super().__init__(shared, band.height, band.width)
        number, level = step
        self.condition, self.in_turn = 12 * number + min(band.number, 12) - 1, band.number > 2
        self.coarse, self.cells = np.pad(coarse, ((3, 3), (3, 3), (0, 0)), "edge"), cells
        estimate = input_of(estimate_of(cells.lo, cells.hi))
        self.estimate = np.pad(estimate, ((3, 3), (3, 3), (0, 0)), constant_values=128)
        self.residuals = Residuals(band.height, band.width)
        self.widths = [cell_width(band.number, c, level) for c in range(3)]

    def wants(self, at: At) -> bool:
        return bool((self.cells.lo[at.y, at.x] != self.cells.hi[at.y, at.x]).any())

    def inputs(self, at: At) -> NDArray[np.uint8]:
        row, centre = np.full(304, 128), self.coarse[at.y + 3, at.x + 3]
        row[:147] = input_of(self.coarse[at.y : at.y + 7, at.x : at.x + 7] - centre).ravel()
        luma, co, cg = (int(value) for value in centre)
        row[72:75] = clamp(luma, 0, 255), 128 + (clamp(co, -255, 255) >> 1), 128 + (clamp(cg, -255, 255) >> 1)
        row[147:294] = self.estimate[at.y : at.y + 7, at.x : at.x + 7].ravel()
        return row.astype(np.uint8)

    def decode_position(self, at: At, output: list[int]) -> list[float]:
        y, x, shared = at.y, at.x, self.shared
        known = [self.cells.at(y, x, c) for c in range(3)]
        values = Values(known, [0] * 3, self.residuals.near(y, x), self.widths)
        position = Position(output, shared.network.components)
        position.decode(values, 3, shared.lanes[at.lane], Learned(shared.biases))
        self.residuals.rows[y][x] = values.residual
        self.cells.lo[y, x], self.cells.hi[y, x] = np.array(values.known).T
        self.estimate[y + 3, x + 3] = input_of(estimate_of(self.cells.lo[y, x], self.cells.hi[y, x]))
        return position.gradients() if shared.learner else [0.0] * len(output)


class PixelStage(Stage):
    """The exact step without noise levels."""

    def __init__(self, shared: Shared, height: int, width: int, channels: int) -> None:
        super().__init__(shared, height, width)
        self.channels = channels
        self.grb = np.zeros((height + 3, width + 6, 3), np.int64)
        self.seen = self.grb.copy()
        self.residuals = Residuals(height, width)

    def pixels(self) -> NDArray[np.uint8]:
        order = [1, 0, 2] if self.channels == 3 else [0]
        return self.grb[3:, 3 : 3 + self.width][..., order].astype(np.uint8)

    # --- inputs

    def pivot(self, at: At) -> Plane:
        if at.x:
            return self.grb[at.y + 3, at.x + 2]
        return self.grb[at.y + 2, 3] if at.y else MID_GREY

    def causal(self, at: At, values: Plane, centre: Plane) -> NDArray[np.int64]:
        """The pixels before one. values: with a margin of three."""
        differences, row = input_of(values[at.y : at.y + 4, at.x : at.x + 7] - centre), np.full((24, 3), 128)
        for k, (dy, dx) in enumerate(CAUSAL):
            if at.y + dy >= 0 and 0 <= at.x + dx < self.width:
                row[k] = differences[3 + dy, 3 + dx]
        return row.ravel()

    def edges(self, at: At) -> list[int]:
        reaches = (1, 2, 3)
        inside = [at.y >= m for m in reaches] + [at.x >= m for m in reaches] + [at.x + m < self.width for m in reaches]
        return [128 + 16 * so for so in inside]

    def inputs(self, at: At) -> NDArray[np.uint8]:
        base, row = self.pivot(at), np.full(96, 128)
        row[:72] = self.causal(at, self.seen, to_seen(base))
        row[72:75], row[75:84] = middle_inputs(base), self.edges(at)
        return row.astype(np.uint8)

    # --- a pixel

    def base(self, at: At) -> list[int]:
        found: list[int] = self.pivot(at).tolist()
        return found

    def bounds(self, at: At) -> Bounds | None:
        return None

    def values(self, at: At) -> Values:
        values = Values([Range(0, 255)] * 3, self.base(at), self.residuals.near(at.y, at.x))
        values.bounds = self.bounds(at) or values.bounds
        return values

    def learned(self, wrong: list[Wrong], is_trial: bool = False) -> Learned:
        return Learned(self.shared.biases, self.shared.colours, self.shared.observed, wrong, self.channels, is_trial)

    def decode_position(self, at: At, output: list[int]) -> list[float]:
        shared, values = self.shared, self.values(at)
        if shared.repeats:
            return self.decode_repeats(at, output, shared.repeats)
        position = Position(output, shared.network.components)
        position.decode(values, self.channels, shared.lanes[at.lane], self.learned([]))
        self.settle(at, values)
        return position.gradients() if shared.learner else [0.0] * len(output)

    def decode_repeats(self, at: At, output: list[int], repeats: Repeats) -> list[float]:
        shared, values, visit = self.shared, self.values(at), repeats.look(self.shared.image, at.y, at.x)
        lane, wrong, rest = shared.lanes[at.lane], list[Wrong](), 1 << MASS_BITS
        position, right, is_sure = Position(output, shared.network.components), list[int](), False
        for number, colour in enumerate(visit.candidates):
            guess = Guess([colour >> 8 * c & 255 for c in reversed(range(self.channels))])
            if not is_allowed(values, guess.values):
                continue
            tried = self.values(at)
            Position(output, shared.network.components).decode(tried, self.channels, guess, self.learned([], True))
            wrong.append(Wrong(guess.values, guess.freqs[: self.channels]))
            probability = repeats.probability(visit, number, wrong[-1].mass(), rest)
            visit.trials[-1].right = lane.slot < probability << 8
            rest -= wrong[-1].mass()
            lane.take(*((0, probability << 8) if visit.trials[-1].right else (probability << 8, 1 << 24)))
            if visit.trials[-1].right:
                right, is_sure = guess.values, probability > SURE
                values = tried if is_sure else values
                break
        if not is_sure:
            coder = Guess(right) if right else lane
            position.decode(values, self.channels, coder, self.learned([] if right else wrong))
        self.settle(at, values)
        colour = 0
        for known in values.known[: self.channels]:
            colour = colour << 8 | known.lo
        repeats.settle(shared.image, at.y, at.x, colour, visit)
        if len(shared.lanes) == 1:
            repeats.learn(visit)
        else:
            shared.visits.append(visit)
        return position.gradients() if shared.learner and not is_sure else [0.0] * len(output)

    def settle(self, at: At, values: Values) -> None:
        known = [values.known[c if self.channels == 3 else 0].lo for c in range(3)]
        self.residuals.rows[at.y][at.x] = values.residual
        if self.shared.colours:
            self.shared.colours.pixels.append((known[0], known[1], known[2]))
        self.store(at, np.array(known))

    def store(self, at: At, grb: Plane) -> None:
        self.grb[at.y + 3, at.x + 3], self.seen[at.y + 3, at.x + 3] = grb, to_seen(grb)


class LastStage(PixelStage):
    """The exact step after noise levels. estimate: Y, Co, Cg. level: the last one. cells: of the two finest bands."""

    def __init__(
        self, shared: Shared, estimate: Plane, channels: int, level: int, cells: tuple[Cells | None, Cells | None]
    ) -> None:
        super().__init__(shared, *estimate.shape[:2], channels)
        self.level, self.cells = level, cells
        self.estimate = np.pad(to_grb(estimate), ((3, 3), (3, 3), (0, 0)), "edge")
        self.estimate_seen = to_seen(self.estimate)
        self.off = np.full((self.height + 3, self.width + 6, 3), 128)  # how far the estimate was off, as inputs
        self.limits: dict[int, Bounds] = {}

    def base(self, at: At) -> list[int]:
        found: list[int] = self.estimate[at.y + 3, at.x + 3].tolist()
        return found

    def exact(self, y: int, x: int) -> tuple[int, ...]:
        return to_ycocg(*self.grb[y + 3, x + 3].tolist())

    def bounds(self, at: At) -> Bounds:
        return bounds_of(*self.cells, at.y, at.x, self.exact)

    def inputs(self, at: At) -> NDArray[np.uint8]:
        y, x, row = at.y, at.x, np.full(336, 128)
        around = self.estimate_seen[y : y + 7, x : x + 7]
        row[:72] = [value for dy, dx in CAUSAL for value in self.off[y + 3 + dy, x + 3 + dx]]
        row[72:219] = input_of(around - around[3, 3]).ravel()
        row[144:147] = middle_inputs(self.estimate[y + 3, x + 3])
        row[219 + y % 4 * 4 + x % 4] = 144
        row[235:244] = self.edges(at)
        estimate = to_ycocg(*self.base(at))
        for c, one in enumerate(self.bounds(at)):
            row[244 + 2 * c : 246 + 2 * c] = input_of(2 * (np.array(one) - estimate[c]))
        row[250:252] = 144 if self.level < 8 else 128, 144 if self.level > 8 else 128
        pivot = to_seen(self.pivot(at))
        row[252:324] = self.causal(at, self.seen, pivot)
        row[324:327] = input_of(pivot - around[3, 3])
        return row.astype(np.uint8)

    def store(self, at: At, grb: Plane) -> None:
        super().store(at, grb)
        place = at.y + 3, at.x + 3
        self.off[place] = input_of(to_seen(grb - self.estimate[place]))


class FastStage(PixelStage):
    """The exact step without noise levels, by one logistic a channel."""

    def __init__(self, shared: Shared, height: int, width: int, channels: int) -> None:
        super().__init__(shared, height, width, channels)
        self.sizes = np.full((height + 1, width + 2, 3), NOT_SEEN)

    def decode_position(self, at: At, output: list[int]) -> list[float]:
        lane, y, x, base = self.shared.lanes[at.lane], at.y, at.x, self.base(at)
        values, residuals, by_mean, by_scale = [0] * 3, [0] * 3, [0.0] * 3, [0.0] * 3
        for c in range(self.channels):
            predicted = clamp(output[4 + c], 0, 127)
            near = self.sizes[y + 1, x, c] + self.sizes[y, x, c] + self.sizes[y, x + 1, c] + self.sizes[y, x + 2, c]
            classes = scale_class(predicted), residual_class(int(near) >> 2)
            scale = clamp(predicted + self.shared.biases.of(c, classes), 0, 127)
            cross = (0, output[7] * residuals[0], output[8] * residuals[0] + output[9] * residuals[1])[c]
            mean = clamp(64 * base[c] + output[1 + c] + (cross >> 6), -LARGEST_MEAN, LARGEST_MEAN)
            logistic = SingleLogistic(mean, scale)
            value = values[c] = logistic.find(lane.slot)
            lane.take(logistic.start(value), logistic.start(value + 1))
            residuals[c] = 64 * value - mean
            self.sizes[y + 1, x + 1, c] = abs(normalised(residuals[c], scale))
            low, high = logistic.centred_at(value), logistic.centred_at(value + 1)
            mass = mass_gradients(Span(64 * value - 32 - mean, 64 * value + 32 - mean, low, high), scale)
            self.shared.biases.add(c, classes, -mass[1], scale)
            by_mean[c], by_scale[c] = -mass[0] * unit_of(scale), -mass[1]
        self.store(at, np.array(values if self.channels == 3 else values[:1] * 3))
        return gradients_of(output, residuals, by_mean, by_scale)


def is_allowed(values: Values, colour: list[int]) -> bool:
    green, red = colour[0], colour[1] if len(colour) > 1 else 0
    ranges = [remaining(values.bounds, c, green, red, values.known[c]) for c in range(len(colour))]
    return all(known.lo <= value <= known.hi for known, value in zip(ranges, colour, strict=True))


def gradients_of(output: list[int], residuals: list[int], by_mean: list[float], by_scale: list[float]) -> list[float]:
    third = by_mean[2]
    second = by_mean[1] - third * output[9] / 64.0
    first = by_mean[0] - (second * output[7] + third * output[8]) / 64.0
    scales = [clamp(gradient, -8.0, 8.0) / INDICES for gradient in by_scale]
    crosses = second * residuals[0] / 64.0, third * residuals[0] / 64.0, third * residuals[1] / 64.0
    return [0.0, first, second, third, *scales, *crosses]
