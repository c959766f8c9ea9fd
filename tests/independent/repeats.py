"""Pixels that are sought among what followed the same neighbourhoods, without ddpmcodec: from docs/format.md alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from colours import binary_logarithm
from logistics import ONE, clamp, search

NEIGHBOURS = (1, 2, 4, 6, 11, 23)
OFFSETS = (
    (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2), (-2, -1), (-2, 1), (-1, -2), (0, -3), (-3, 0),
    (-2, 2), (-2, -2), (0, -4), (-1, 3), (-1, -3), (-3, 1), (-3, -1), (-2, 3), (-2, -3), (-3, 2), (-3, -2),
)  # fmt: skip
ORDERS, TRIALS = 6, 6
OUTSIDE, LARGEST_ODDS, UNIT = 1 << 24, 2815, 256
FIRST_WEIGHT, PACE, MEMORY, SURE = 16000, 6, 1023, 20000
MASS_BITS = 39


def probabilities() -> list[int]:
    """2^16 / (1 + e^-odds), from the least odds to the largest."""
    found, power = [0] * (2 * LARGEST_ODDS + 1), 1.0
    for k in range(LARGEST_ODDS + 1):
        found[LARGEST_ODDS + k] = int(65536.0 * (power / (1.0 + power)))
        found[LARGEST_ODDS - k] = int(65536.0 / (1.0 + power))
        power *= 1.00391388933834757
    return found


SQUASHED = probabilities()


def squash(odds: int) -> int:
    return SQUASHED[clamp(odds, -LARGEST_ODDS, LARGEST_ODDS) + LARGEST_ODDS]


def odds_of(yes: int, no: int) -> int:
    octaves = binary_logarithm(max(yes, 1)) - binary_logarithm(max(no, 1))
    return clamp(octaves * 45426 >> 24, -LARGEST_ODDS, LARGEST_ODDS)


class Rate:
    """How often something came true, in 2^-22."""

    def __init__(self, share: int = 1 << 21) -> None:
        self.share, self.cases = share, 0

    def odds(self) -> int:
        return odds_of(self.share + 16, (1 << 22) - self.share + 16)

    def learn(self, so: bool) -> None:
        moved, cases = ((1 << 22) - 1 if so else 0) - self.share, 2 * self.cases + 3
        self.share += 2 * moved // cases if moved >= 0 else -(-2 * moved // cases)
        self.cases = min(self.cases + 1, MEMORY)


@dataclass
class Slot:
    """What followed a neighbourhood: the last colour, the one before it, and how often."""

    first: int
    tag: int
    first_count: int = 1
    second: int = 0
    second_count: int = 0

    def learn(self, colour: int) -> None:
        if self.first == colour:
            self.first_count = min(self.first_count + 1, 255)
            return
        count = self.second_count if self.second == colour else 0
        self.second, self.second_count = self.first, (self.first_count + 1) // 2
        self.first, self.first_count = colour, min(count + 1, 255)


@dataclass
class Trial:
    """A flag that was decoded."""

    inputs: list[int]
    rates: list[Rate]
    sets: tuple[int, int]
    odds: tuple[int, int]
    right: bool = False


def slope_colour(left: int, above: int, corner: int) -> int:
    """The colour that continues the slope of three neighbours in each channel."""
    channels = ((c >> shift & 255 for c in (left, above, corner)) for shift in (16, 8, 0))
    green, red, blue = (clamp(w + n - nw, 0, 255) for w, n, nw in channels)
    return green << 16 | red << 8 | blue


@dataclass
class Visit:
    """A pixel: its neighbourhoods, its candidates, and the flags that were decoded."""

    places: list[tuple[int, int]]
    near: list[int]
    runs: list[int]
    candidates: list[int] = field(default_factory=list)
    longest: int = 0
    trials: list[Trial] = field(default_factory=list)
    colour: int = 0


class Repeats:
    """All images of a run share them."""

    def __init__(self, images: int, height: int, width: int) -> None:
        self.bits = min(max(8, (images * height * width - 1).bit_length()), 17)
        self.colours = [[[OUTSIDE] * (width + 8) for _ in range(height + 4)] for _ in range(images)]
        self.runs = [[[0] * ORDERS for _ in range(height)] for _ in range(images)]
        self.tables = [dict[int, Slot]() for _ in range(ORDERS)]
        self.seen = dict[int, int]()
        self.rates = [[Rate(1 << 21 if s < 84 else 1 << 18) for s in range(168)] for _ in range(ORDERS)]
        self.near_rates, self.count_rates = [Rate() for _ in range(384)], [Rate() for _ in range(96)]
        self.weights = [[[FIRST_WEIGHT] * 10 for _ in range(64)] for _ in range(2)]

    def slot(self, visit: Visit, order: int) -> Slot | None:
        place, tag = visit.places[order]
        slot = self.tables[order].get(place)
        return slot if slot and slot.tag == tag else None

    def place_of_colour(self, colour: int) -> int:
        return (colour * 0x9E3779B1 % (1 << 32)) >> (32 - self.bits)

    def look(self, n: int, y: int, x: int) -> Visit:
        colours = [self.colours[n][y + 4 + dy][x + 4 + dx] for dy, dx in OFFSETS]
        value, places = 0, list[tuple[int, int]]()
        for k, colour in enumerate(colours):
            value = (value ^ (colour + 1)) * 0x9E3779B1 % (1 << 32)
            value ^= value >> 15
            if k + 1 in NEIGHBOURS:
                places.append(((value * 0x85EBCA6B % (1 << 32)) >> (32 - self.bits), value % (1 << 16)))
        visit = Visit(places, colours[:6], list(self.runs[n][y]))
        slots = [self.slot(visit, order) for order in range(ORDERS)]
        visit.longest = max((order + 1 for order, slot in enumerate(slots) if slot), default=0)
        found = [slot.first for slot in reversed(slots) if slot]
        found += [slot.second for slot in reversed(slots) if slot and slot.second_count]
        if max(colours[:3]) < OUTSIDE:
            found.append(slope_colour(*colours[:3]))
        found += [colour for colour in colours[:4] if colour < OUTSIDE]
        visit.candidates = list(dict.fromkeys(found))[:TRIALS]
        return visit

    def state(self, visit: Visit, order: int, number: int) -> Rate | None:
        """How often an order was right in what it says of a candidate."""
        slot = self.slot(visit, order)
        if slot is None:
            return None
        colour = visit.candidates[number]
        is_second = slot.second_count > 0 and slot.second == colour
        count = slot.first_count
        if slot.first != colour and slot.second == colour:
            count = slot.second_count
        says = 0 if slot.first == colour else 1 if is_second else 2 if slot.first in visit.candidates[:number] else 3
        confidence = sum(count >= least for least in (2, 3, 4, 8, 32))
        run = visit.runs[order]
        length = sum(run >= least for least in (1, 2, 3, 5, 9, 17))
        return self.rates[order][(says * 6 + confidence) * 7 + length]

    def probability(self, visit: Visit, number: int, by_network: int, rest: int) -> int:
        colour, near = visit.candidates[number], number
        for other in visit.near:
            near = 2 * near + (other == colour)
        states = [self.state(visit, order, number) for order in range(ORDERS)]
        count = min(self.seen.get(self.place_of_colour(colour), 0), 15)
        others = [self.near_rates[near], self.count_rates[count * TRIALS + number]]
        inputs = [0 if state is None else state.odds() for state in states] + [rate.odds() for rate in others]
        inputs += [odds_of(by_network, rest - by_network), UNIT]
        sets = number * (ORDERS + 1) + visit.longest, near % 64
        sums = [
            sum(one * weight for one, weight in zip(inputs, self.weights[m][sets[m]], strict=True)) >> 16
            for m in (0, 1)
        ]
        first, second = (clamp(total, -LARGEST_ODDS, LARGEST_ODDS) for total in sums)
        rates = [state for state in states if state is not None] + others
        visit.trials.append(Trial(inputs, rates, sets, (first, second)))
        return clamp(squash(first + second >> 1), 1, 65535)

    def settle(self, n: int, y: int, x: int, colour: int, visit: Visit) -> None:
        self.colours[n][y + 4][x + 4] = visit.colour = colour
        runs = self.runs[n][y]
        for order in range(ORDERS):
            slot, run = self.slot(visit, order), runs[order]
            runs[order] = 0 if slot is None else min(max(run, 1) + 1, 33) if slot.first == colour else 1

    def learn(self, visit: Visit) -> None:
        for trial in visit.trials:
            for rate in trial.rates:
                rate.learn(trial.right)
            for m in (0, 1):
                error, weights = (trial.right << 16) - squash(trial.odds[m]), self.weights[m][trial.sets[m]]
                for i, one in enumerate(trial.inputs):
                    weights[i] += (one * error * PACE + (1 << 19)) >> 20
        for order, (place, tag) in enumerate(visit.places):
            slot = self.tables[order].get(place)
            if slot and slot.tag == tag:
                slot.learn(visit.colour)
            else:
                self.tables[order][place] = Slot(visit.colour, tag)
        place = self.place_of_colour(visit.colour)
        self.seen[place] = min(self.seen.get(place, 0) + 1, 255)


# --- what is left of a distribution


@dataclass
class Wrong:
    """A colour that a pixel does not have, and how long the intervals of its values are."""

    values: list[int]
    freqs: list[int]

    def mass(self) -> int:
        mass = 1 << MASS_BITS
        for freq in self.freqs:
            mass = mass * freq >> 24
        return mass


class Distribution(Protocol):
    lo: int
    hi: int

    def start(self, x: int) -> int: ...


class Without:
    """A distribution of a channel without wrong colours."""

    def __init__(self, base: Distribution, wrong: list[Wrong], known: list[int], channels: int) -> None:
        self.base, self.lo, self.hi = base, base.lo, base.hi
        self.lost, c = dict[int, int](), len(known)
        for one in wrong:
            if one.values[:c] != known:
                continue
            mass = one.freqs[c]
            for freq in one.freqs[c + 1 : channels]:
                mass = mass * freq >> 24
            before = self.lost.get(one.values[c], 0)
            self.lost[one.values[c]] = before + min(mass, one.freqs[c] - (c + 1 < channels) - before)
        self.whole = ONE - sum(self.lost.values())

    def start(self, x: int) -> int:
        if x > self.hi:
            return ONE
        return (self.base.start(x) - sum(mass for value, mass in self.lost.items() if value < x) << 24) // self.whole

    def find(self, slot: int) -> int:
        return search(self.lo, self.hi, lambda x: self.start(x) <= slot)
