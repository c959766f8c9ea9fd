"""What the header of a .ddpm file states, by its words. The core reads and writes it (`_core/format/header.h`)."""

from __future__ import annotations

from ddpmcodec._native import DEFAULT_EFFORT, DEFAULT_LEVELS, KINDS

__all__ = ["CODINGS", "COEFFICIENTS", "DEFAULT_EFFORT", "DEFAULT_LEVELS", "KEPT_WHOLE", "PIXELS", "channels_of"]

PIXELS, COEFFICIENTS = KINDS  # of payloads
CODINGS = {PIXELS: "context model", COEFFICIENTS: "JPEG coefficients"}  # what information calls payloads, for people
KEPT_WHOLE = "kept whole"  # of files whose payload is a preview


def channels_of(mode: str) -> int:
    """Return the colour channels of a mode: 1 or 3."""
    return 3 if mode.startswith("RGB") else 1
