"""How large networks are, and whose turn it is to be trained."""

from __future__ import annotations

from collections import Counter

import pytest

from ddpmcodec.errors import TrainingError
from ddpmcodec.models.context import ROLES
from ddpmcodec.training.sizes import SHARES, SIZES, roles_of, round_robin, shape_of


def test_a_size_that_is_not_there_is_named() -> None:
    with pytest.raises(TrainingError, match="size 5"):
        shape_of(5, "direct")


@pytest.mark.parametrize("role", ROLES)
def test_networks_of_higher_sizes_take_more(role: str) -> None:
    """Two sizes share the finest band's network, and two that of the coarse bands."""
    macs = [shape_of(size, role).macs for size in SIZES]
    assert macs == sorted(macs)
    assert len(set(macs)) == len(SIZES) - (role == "band1")


def test_a_round_has_every_role_as_often_as_its_share() -> None:
    found = round_robin(ROLES)
    assert Counter(found) == SHARES
    assert set(found[:4]) >= {"direct", "last"}
    assert round_robin(["band1"]) == ["band1"]


def test_roles_are_named_on_the_command_line() -> None:
    assert roles_of("last, direct") == ("direct", "last")
    with pytest.raises(TrainingError, match="'first'"):
        roles_of("last,first")
