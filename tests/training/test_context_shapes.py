"""Which networks a run trains, and how often."""

from __future__ import annotations

from collections import Counter

import pytest

from ddpmcodec.errors import TrainingError
from ddpmcodec.models.context import EFFORTS, ROLES
from ddpmcodec.training.context_shapes import SHARES, SIZES, roles_of, round_robin, shape_of


def test_every_effort_has_shapes_and_every_role_a_share() -> None:
    assert tuple(SIZES) == EFFORTS
    assert tuple(SHARES) == ROLES
    assert shape_of(2, "direct") == ("direct", 192, 3, 3)
    assert shape_of(3, "band2") == ("band", 128, 3, 1)


def test_an_effort_that_is_not_there_is_named() -> None:
    with pytest.raises(TrainingError, match="there are no networks of effort 4, but of 1, 2, 3"):
        shape_of(4, "direct")


@pytest.mark.parametrize("role", ROLES)
def test_higher_efforts_take_more(role: str) -> None:
    macs = [shape_of(effort, role).macs for effort in EFFORTS]
    assert macs == sorted(set(macs))


def test_a_round_has_every_role_as_often_as_its_share() -> None:
    found = round_robin(ROLES)
    assert Counter(found) == SHARES
    assert set(found[:4]) >= {"direct", "last"}
    assert round_robin(["band1"]) == ["band1"]


def test_roles_are_named_on_the_command_line() -> None:
    assert roles_of("last, direct") == ("direct", "last")
    with pytest.raises(TrainingError, match="--roles last,first: no network is called 'first'; there are direct, last"):
        roles_of("last,first")
