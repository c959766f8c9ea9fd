"""Which networks an effort has, and how often a run trains each of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from ddpmcodec.errors import TrainingError
from ddpmcodec.models.context import BAND_ROLES, ROLES
from ddpmcodec.training.trainable import Shape


class Size(NamedTuple):
    """Of a network, and of its mixtures."""

    width: int
    depth: int
    components: int


class Sizes(NamedTuple):
    """Of the networks of exact pixels, and of those of bands: the finest, the second, all coarser ones."""

    pixels: Size
    bands: tuple[Size, Size, Size]

    def of(self, role: str) -> Size:
        return self.bands[BAND_ROLES.index(role)] if role in BAND_ROLES else self.pixels


# By effort. Coding time goes with the weights, and with how many positions there are: coarse bands have few, and half
# of the bits of all bands.
SIZES = {
    1: Sizes(Size(64, 2, 3), (Size(32, 2, 1), Size(64, 3, 1), Size(64, 3, 1))),
    2: Sizes(Size(192, 3, 3), (Size(64, 3, 1), Size(96, 3, 1), Size(128, 3, 1))),
    3: Sizes(Size(320, 4, 3), (Size(96, 3, 1), Size(128, 3, 1), Size(192, 3, 1))),
}
# Steps of each role out of twelve: most of the bits are in exact pixels.
SHARES = {"direct": 4, "last": 4, "band1": 1, "band2": 1, "band3": 2}


def shape_of(effort: int, role: str) -> Shape:
    """Of the network of a role (`models.context.ROLES`). Raises TrainingError for an effort that there is not."""
    if effort not in SIZES:  # of a run that another version began
        raise TrainingError(f"there are no networks of effort {effort}, but of {', '.join(map(str, SIZES))}")
    return Shape("band" if role in BAND_ROLES else role, *SIZES[effort].of(role))


def round_robin(roles: Collection[str], shares: Mapping[str, int] = SHARES) -> list[str]:
    """One role for each step of a round, evenly spaced.

    >>> round_robin(["last", "band1"], {"last": 2, "band1": 1})
    ['last', 'band1', 'last']
    """
    places = [((k + 0.5) / shares[role], role) for role in roles for k in range(shares[role])]
    return [role for _, role in sorted(places, key=lambda place: place[0])]


def roles_of(text: str) -> tuple[str, ...]:
    """Of 'direct,last', in the order of `ROLES`. Raises TrainingError where one is unknown, or none is named."""
    named = {name.strip() for name in text.split(",")}
    if unknown := named - set(ROLES):
        raise TrainingError(f"--roles {text}: no network is called {min(unknown)!r}; there are {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in named)
