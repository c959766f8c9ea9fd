"""What a command reports of a file that it decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpmcodec._native import FileHeader
    from ddpmcodec.codec.decoding import Decoded


def seen(header: FileHeader, decoded: Decoded) -> str:
    """Describe how much of the file was there, and how well every pixel is known from it."""
    from ddpmcodec.codec.efforts import noise_level

    rate = 8 * decoded.bytes_used / (header.width * header.height)
    level = noise_level(header, decoded.steps_done)
    known = f", noise level {level:.2f}" if level else ""
    done, steps = decoded.steps_done, decoded.steps
    return f"{done} of {steps} steps, {decoded.bytes_used} bytes, {rate:.3f} bpp{known}"


def account(decoded: Decoded) -> str:
    """Describe whether the pixels are those that were encoded."""
    if decoded.exact:
        return "complete and exact"
    if decoded.lossy and not decoded.damaged:
        return "a lossy file, cut on purpose"
    if decoded.left_out:
        return f"damaged: all pixels are exact but {' and '.join(decoded.left_out)}, left out: get the file again"
    return "damaged: not the image that was encoded, get the file again" if decoded.damaged else "a preview"


def facts_of(header: FileHeader, decoded: Decoded) -> dict[str, Any]:
    """Return how much of a file was there, for --json."""
    from ddpmcodec.codec.efforts import noise_level

    done = {"exact": decoded.exact, "lossy": decoded.lossy, "damaged": decoded.damaged}
    steps = {
        "left_out": decoded.left_out,
        "steps_done": decoded.steps_done,
        "steps": decoded.steps,
        "bytes_used": decoded.bytes_used,
        "following_bytes": decoded.following,
    }
    return done | steps | {"noise_level": noise_level(header, decoded.steps_done)}


def facts_of_whole(data: bytes) -> dict[str, Any]:
    """Return the same of a file that was decoded whole."""
    from ddpmcodec._native import Container
    from ddpmcodec.codec.efforts import noise_level

    header = Container(data).header
    steps = header.steps
    done = {"exact": True, "lossy": False, "damaged": False, "left_out": [], "steps_done": steps, "steps": steps}
    return done | {"bytes_used": len(data), "following_bytes": 0, "noise_level": noise_level(header, steps)}
