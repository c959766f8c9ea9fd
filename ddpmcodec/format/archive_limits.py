"""The limits of all heads of an archive together, whether its index lists them or a search finds them.

A few deflated bytes may describe many images, and repeat a long name in each.
"""

from __future__ import annotations

from dataclasses import dataclass

from ddpmcodec.errors import FormatError
from ddpmcodec.format.block import MAX_IMAGES, Block

MAX_INDEX = 1 << 27  # bytes of all heads, before compression
MAX_NAMES = 1 << 26  # letters of all names
MAX_NUMBERS = 1 << 22  # noise levels, and lengths of values, of all blocks


@dataclass
class Totals:
    """Sums over the heads of an archive, which grow head by head, so that one too many is refused before it is kept."""

    head_bytes: int = 0
    images: int = 0
    letters: int = 0
    numbers: int = 0

    def add_bytes(self, count: int) -> None:
        """Count the bytes of a head, before compression. Raises FormatError if there are more than MAX_INDEX."""
        self.head_bytes += count
        if self.head_bytes > MAX_INDEX:
            raise FormatError(f"the heads of the blocks have more than {MAX_INDEX} bytes: make several archives")

    def add(self, block: Block) -> None:
        """Count the contents of a head. Raises FormatError if there are more than an archive may have."""
        self.images += len(block.entries)
        self.letters += sum(len(entry.name) for entry in block.entries)
        if self.images > MAX_IMAGES or self.letters > MAX_NAMES:
            raise FormatError(
                f"the blocks have more than {MAX_IMAGES} images, or names of over {MAX_NAMES} letters: make several"
                " archives"
            )
        self.numbers += len(block.value_lengths) + (len(block.coding.latent_levels) if block.coding else 0)
        if self.numbers > MAX_NUMBERS:
            raise FormatError(
                f"the blocks have more than {MAX_NUMBERS} noise levels and lengths of metadata: make several archives"
            )
