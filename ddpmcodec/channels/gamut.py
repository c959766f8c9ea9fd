"""What a coarse pixel that is known exactly says of the two finer ones: their colours are colours.

A difference of two values decides on both, so that red, green and blue of 0 to 255 leave it a range, which may be short
where an image is nearly white, black or saturated. It is intersected with what is known before anything is coded.

Values of level k are means of 2^k pixels, each halving rounding down by 1/2 at most. So luma stays in 0..255 and chroma
in -255..255, but red, green and blue of rounded means may leave 0..255 by k + 1: Y loses k/2 at most, the halves of Co
and Cg k/4 each, and the lifting steps round by 1.
"""

from __future__ import annotations

from ddpmcodec.networks.context.window import kernel

WHITE = 255


def slack_of(band: int) -> int:
    """How far red, green and blue of a band's finer pixels may lie outside of 0..255."""
    return 0 if band == 1 else band


@kernel
def pair(coarse, difference):  # type: ignore[no-untyped-def]
    """The two finer values of a difference, as `pyramid.synthesise_band` makes them."""
    first = coarse + ((difference + 1) >> 1)
    return first, first - difference


@kernel
def _limits(pixel, channel, slack):  # type: ignore[no-untyped-def]
    """Of a channel, given those before it."""
    if channel == 0:
        return 0, WHITE
    luma, orange = pixel[0], pixel[1]
    if channel == 1:  # |R - B| <= R + B <= 4 Y, and the same from white, up to rounding
        most = min(WHITE, 4 * min(luma, WHITE - luma) + 4 * (slack + 1))
        return -most, most
    blue = luma - (orange >> 1)  # and red, without half of Cg
    red = blue + orange
    largest = min(min(2 * (red + slack) + 1, 2 * (blue + slack) + 1), 2 * (WHITE + slack - luma))
    least = max(max(2 * (red - WHITE - slack), 2 * (blue - WHITE - slack)), -2 * (luma + slack) - 1)
    return max(least, -WHITE), min(largest, WHITE)


@kernel
def narrowed(known, channel, coarse, pixels, slack):  # type: ignore[no-untyped-def]
    """The range (lo, hi) of a difference inside of what is known of it; `known` where nothing is left, as in damage.

    coarse: of this channel; pixels: the two finer pixels, channels before this one [2, 3].
    """
    one = _limits(pixels[0], channel, slack)
    other = _limits(pixels[1], channel, slack)
    lo = max(known[0], max(2 * (one[0] - coarse) - 1, 2 * (coarse - other[1])))
    hi = min(known[1], min(2 * (one[1] - coarse), 2 * (coarse - other[0]) + 1))
    return (lo, hi) if lo <= hi else known
