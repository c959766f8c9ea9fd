"""Bytes changed without knowing what they mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Random = np.random.Generator
Mutation = Callable[[Random, bytes, bytes], bytes]  # of some bytes; the third argument: bytes of the same kind

EDGES = (0, 1, 2, 127, 128, 129, 254, 255)
LONGEST = 40  # bytes of a range that is moved, repeated or lost


def _place(rng: Random, data: bytes) -> int:
    """Half of all places lie in the first 64 bytes, where headers are."""
    end = min(len(data), 64) if rng.random() < 0.5 else len(data)
    return int(rng.integers(max(end, 1)))


def _range(rng: Random, data: bytes) -> tuple[int, int]:
    first = _place(rng, data)
    return first, min(first + int(rng.integers(1, LONGEST)), len(data))


def flip(rng: Random, data: bytes, other: bytes) -> bytes:
    """One bit."""
    changed, place = bytearray(data), _place(rng, data)
    changed[place : place + 1] = bytes(b ^ 1 << int(rng.integers(8)) for b in changed[place : place + 1])
    return bytes(changed)


def overwrite(rng: Random, data: bytes, other: bytes) -> bytes:
    first, last = _range(rng, data)
    return data[:first] + rng.bytes(last - first) + data[last:]


def edge(rng: Random, data: bytes, other: bytes) -> bytes:
    """A byte at the edge of what numbers are, once or several times: long varints are of such."""
    place, count = _place(rng, data), int(rng.integers(1, 6))
    value = bytes([EDGES[rng.integers(len(EDGES))]]) * count
    return data[:place] + value + data[place + count :]


def insert(rng: Random, data: bytes, other: bytes) -> bytes:
    place = _place(rng, data)
    return data[:place] + rng.bytes(int(rng.integers(1, LONGEST))) + data[place:]


def delete(rng: Random, data: bytes, other: bytes) -> bytes:
    first, last = _range(rng, data)
    return data[:first] + data[last:]


def repeat(rng: Random, data: bytes, other: bytes) -> bytes:
    first, last = _range(rng, data)
    return data[:last] + data[first:last] * int(rng.integers(1, 4)) + data[last:]


def move(rng: Random, data: bytes, other: bytes) -> bytes:
    first, last = _range(rng, data)
    rest = data[:first] + data[last:]
    place = _place(rng, rest)
    return rest[:place] + data[first:last] + rest[place:]


def zeros(rng: Random, data: bytes, other: bytes) -> bytes:
    first, last = _range(rng, data)
    return data[:first] + bytes(last - first) + data[last:]


def cut(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: _place(rng, data)]


def junk(rng: Random, data: bytes, other: bytes) -> bytes:
    return data + rng.bytes(int(rng.integers(1, LONGEST)))


def splice(rng: Random, data: bytes, other: bytes) -> bytes:
    """The start of one and the end of another."""
    return data[: _place(rng, data)] + other[_place(rng, other) :]


def transplant(rng: Random, data: bytes, other: bytes) -> bytes:
    """A part of another in place of one of its own."""
    (first, last), (start, end) = _range(rng, data), _range(rng, other)
    return data[:first] + other[start:end] + data[last:]


MUTATIONS: dict[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (
        flip, overwrite, edge, insert, delete, repeat, move, zeros, cut, junk, splice, transplant,
    )
}  # fmt: skip


def mutate(rng: Random, data: bytes, other: bytes) -> tuple[str, bytes]:
    """One mutation, or several of them; and the name of the first."""
    name = list(MUTATIONS)[rng.integers(len(MUTATIONS))]
    changed = MUTATIONS[name](rng, data, other)
    while rng.random() < 0.3:
        again = list(MUTATIONS.values())[rng.integers(len(MUTATIONS))]
        changed = again(rng, changed, other)
    return name, changed
