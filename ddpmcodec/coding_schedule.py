"""The coding schedule: in which order, and how exactly, a file describes the bands of its pyramid.

A step takes all bands from the coarsest to `finest` to a level (`transform.cells`), coarse to fine. Finer bands are all
but certainly in their dead zones at that level, and wait for a later step.
"""

from __future__ import annotations

from typing import NamedTuple

from ddpmcodec.transform.cells import EXACT
from ddpmcodec.transform.pyramid import Band, bands

COARSEST_GROUP = 5  # bands from this one on are one segment of a file


class CodingStep(NamedTuple):
    """number: index into `STEPS`. level: orthonormal cell width that the step's bands are known to after it, a power of
    two; 0: exact. finest: number of the finest band."""

    number: int
    level: int
    finest: int


_EXACT_AFTER_8 = CodingStep(3, EXACT, 1)  # what is known before it is the same in two schedules
SCHEDULES = {
    "exact": (CodingStep(0, EXACT, 1),),
    "short": (CodingStep(1, 32, 1), CodingStep(2, 8, 1), _EXACT_AFTER_8),
    "long": (
        CodingStep(4, 128, 4), CodingStep(5, 64, 2), CodingStep(6, 32, 1), CodingStep(7, 16, 1), CodingStep(8, 8, 1),
        _EXACT_AFTER_8,
    ),
}  # fmt: skip
STEPS = tuple(sorted({step for schedule in SCHEDULES.values() for step in schedule}))
assert [step.number for step in STEPS] == list(range(len(STEPS)))


def bands_of(step: CodingStep, height: int, width: int) -> list[Band]:
    """The bands of an image that a step codes, in coding order: coarse to fine."""
    return [band for band in reversed(bands(height, width)) if band.number >= step.finest]
