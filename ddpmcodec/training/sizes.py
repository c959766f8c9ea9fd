"""How large networks are, by size and role, and how often a run trains each of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from ddpmcodec.errors import TrainingError
from ddpmcodec.models.architectures import RESIDUAL
from ddpmcodec.models.context import BAND_ROLES, ROLES
from ddpmcodec.training.trainable import Shape


class Size(NamedTuple):
    """Width and depth of a network, the components of its mixtures, and the activations that positions show."""

    width: int
    depth: int
    components: int
    shown: int = 32


class Sizes(NamedTuple):
    """Sizes of the networks of exact pixels, straight and after noise levels, and of those of bands: the finest, the
    second, all coarser ones."""

    direct: Size
    last: Size
    bands: tuple[Size, Size, Size]

    def of(self, role: str) -> Size:
        if role in BAND_ROLES:
            return self.bands[BAND_ROLES.index(role)]
        return self.last if role == "last" else self.direct


# An effort has the size of its number, unless a run says otherwise: thumbnails have few pixels, and larger networks.
# Coding time goes with the weights, and with how many positions there are: coarse bands have few, and half of the bits
# of all bands, and previews depend on them. Where there are noise levels, the last network is smaller but at effort 3.
SIZES = {
    1: Sizes(Size(64, 2, 3, 0), Size(64, 2, 1, 0), (Size(32, 2, 1, 0), Size(32, 2, 1, 0), Size(64, 3, 1, 0))),
    2: Sizes(Size(192, 3, 3), Size(192, 2, 3), (Size(32, 2, 1, 0), Size(64, 3, 1, 0), Size(128, 3, 1))),
    3: Sizes(Size(320, 4, 3), Size(320, 4, 3), (Size(64, 3, 1), Size(96, 3, 1), Size(192, 3, 1))),
    4: Sizes(Size(448, 4, 3), Size(448, 4, 3), (Size(128, 3, 3), Size(192, 3, 3), Size(256, 3, 3))),
}
# Steps of each role out of twelve: most of the bits are in exact pixels.
SHARES = {"direct": 4, "last": 4, "band1": 1, "band2": 1, "band3": 2}


def shape_of(size: int, role: str, architecture: str = RESIDUAL) -> Shape:
    """The shape of the network of a role (`models.context.ROLES`). Raises TrainingError for an unknown size."""
    if size not in SIZES:  # of a run that another version began
        raise TrainingError(f"there are no networks of size {size}, but of {', '.join(map(str, SIZES))}")
    width, depth, components, shown = SIZES[size].of(role)
    kind = "band" if role in BAND_ROLES else role
    return Shape(kind, width, depth, components, architecture, shown if architecture == RESIDUAL else 0)


def round_robin(roles: Collection[str], shares: Mapping[str, int] = SHARES) -> list[str]:
    """One role for each step of a round, evenly spaced.

    >>> round_robin(["last", "band1"], {"last": 2, "band1": 1})
    ['last', 'band1', 'last']
    """
    turns = [((k + 0.5) / shares[role], role) for role in roles for k in range(shares[role])]
    return [role for _, role in sorted(turns, key=lambda turn: turn[0])]


def roles_of(text: str) -> tuple[str, ...]:
    """The roles in a text such as 'direct,last', in the order of `ROLES`. Raises TrainingError for an unknown one."""
    named = {name.strip() for name in text.split(",")}
    if unknown := named - set(ROLES):
        raise TrainingError(f"roles={text}: no network is called {min(unknown)!r}; there are {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in named)
