"""How many images of an archive are done, while it is made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ._common import say

REPORT_SECONDS = 10.0  # between lines, where no bar is shown


class ArchiveProgress:
    """Counts the images that are done, by their coded pixels, and shows the count.

    Reading an image costs little, and coding it much, above all by bits back: so images that were read do not count
    before they are coded.

    Parameters:
        total: images to be done.
        passes: how often each pixel is coded or decoded; 2 with verification.
        advance: moves a bar by a number of images; None prints lines instead, unless `quiet`.
        quiet: print no lines.
    """

    def __init__(self, total: int, passes: int, advance: Callable[[float], object] | None, *, quiet: bool) -> None:
        self._total, self._passes, self._advance, self._quiet = total, passes, advance, quiet
        self._images, self._pixels, self._left_out = 0, 0, 0
        self._coded, self._shown, self._last = 0.0, 0.0, time.monotonic()
        self._lock = threading.Lock()

    def read(self, pixels: int) -> None:
        """Count an image that will be coded."""
        self._images += 1
        self._pixels += pixels

    def leave_out(self, images: int = 1) -> None:
        """Count images that will not be coded."""
        self._left_out += images
        self._show()

    def code(self, pixels: float) -> None:
        """Count pixels that were coded, or decoded to verify them; called from several threads."""
        with self._lock:
            self._coded += pixels
            self._show()

    def _show(self) -> None:
        share = min(self._coded / max(self._passes * self._pixels, 1), 1.0)
        done = max(self._left_out + share * self._images, self._shown)
        if self._advance is not None:
            self._advance(done - self._shown)
        elif not self._quiet and time.monotonic() - self._last >= REPORT_SECONDS:
            self._last = time.monotonic()
            say(f"{int(done)} of {self._total} images")
        self._shown = done
