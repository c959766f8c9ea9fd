"""Published sets of photographs that are recognised in a user's folder, so that literature may stand beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class KnownSet(NamedTuple):
    """A set of photographs.

    Attributes:
        name: as results call it.
        folders: names that its folder usually has.
        images: how many it has.
        stems: names of its images; None: a folder of one of these names with as many images is the set.
        source: the place to get it from.
    """

    name: str
    folders: tuple[str, ...]
    images: int
    stems: tuple[str, ...] | None
    source: str

    def is_in(self, folder: Path, stems: Sequence[str]) -> bool:
        """Return whether a folder with images of these names holds the set."""
        if self.stems is None:
            return folder.name in self.folders and len(stems) == self.images
        return tuple(stems) == self.stems


KODAK_NAME, DIV2K_NAME, CLIC_P_NAME = "Kodak", "DIV2K", "CLIC.p"
KNOWN_SETS = {  # by their names on the command line
    "kodak": KnownSet(
        KODAK_NAME, ("kodak", "Kodak"), 24, tuple(f"kodim{number:02}" for number in range(1, 25)),
        "kodim01.png to kodim24.png of https://r0k.us/graphics/kodak/",
    ),
    "div2k": KnownSet(
        DIV2K_NAME, ("DIV2K_valid_HR",), 100, tuple(f"{number:04}" for number in range(801, 901)),
        "DIV2K_valid_HR.zip of https://data.vision.ee.ethz.ch/cvl/DIV2K/",
    ),
    "clic-p": KnownSet(
        CLIC_P_NAME, ("professional_valid", "professional_valid_2020"), 41, None,
        "the professional validation set of CLIC 2020, 41 images, of https://compression.cc",
    ),
}  # fmt: skip


def recognised(folder: Path, stems: Sequence[str]) -> KnownSet | None:
    """Return the set that a folder with images of these names holds; None if it is not a known one."""
    return next((known for known in KNOWN_SETS.values() if known.is_in(folder, stems)), None)
