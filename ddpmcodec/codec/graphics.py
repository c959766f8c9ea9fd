"""Images that the context models are bad at, such as text, screenshots and icons, stored as lossless WebP.

Their long repetitions are what dictionary coders are made for. The payload is the CRC-32 of the planes, four bytes
little-endian, and a WebP file (Pillow writes and reads it).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from ddpmcodec._native import CHECK_BITS, CRC32_BYTES, DEFAULT_MAX_PIXELS, MAX_WEBP_SIDE, FileHeader
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import Tile, batches, encode_tiles
from ddpmcodec.errors import CorruptError
from ddpmcodec.format.sections import pack_alpha
from ddpmcodec.formats.images import Planes
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import interruptible, run_all

CANDIDATE = 0.33  # share of an image's raw bytes: where no WebP is as small, the image is left to the model at once
HEAD_BYTES = 16  # that a file with WebP inside takes for its header, and for itself in the header of a block
# Share of pixels that equal the one to the left: of photographs up to 0.41, of screenshots and plots 0.87 or more.
UNLIKELY_REPEATS, CERTAIN_REPEATS = 0.2, 0.5
# Share of pixels that another neighbour or a slope predicts: of photographs up to 0.38, of their parts up to 0.88.
UNLIKELY_SLOPES, MANY_SLOPES, CERTAIN_SLOPES = 0.3, 0.5, 0.9
BAND_PIXELS = 1 << 20  # of the rows that are compared at a time
LEAST_PIXELS = 100  # of an image that can repeat itself
TRIAL_SIDE = 96  # pixels of the middle of an image that are coded both ways
CLEARLY_FEWER = 0.95  # share of bytes: of photographs 0.998 or more, which would lose previews for nothing
WITHOUT_LEVELS = 0.8  # share of the bytes with a level: of photographs 0.89 or more, of smooth drawings 0.7 or less
QUICK = Coding(effort=1, levels=0)  # for the estimate
SAMPLE_SIDE, SAMPLES = 32, 8  # pixels of a side, and how many are coded for the estimate
SAMPLE_OVERHEAD = 1.1  # small patches see fewer neighbours, and take about so much more than their image would
PREVIEWS = 1 / 32  # of the bytes: what the previews of noise levels are worth, which a WebP has not
# Shares of sizes, from 407 files, most of them graphics, and 127 photographs (docs/experiments/files.md). A fair WebP
# takes a twentieth of the time of the best one, and finds the same repetitions.
FAIR_METHOD, FAIR_QUALITY = 3, 80  # from a quality of 76 on, libwebp looks for repetitions a million pixels back
CLEARLY_MORE = 2  # times a quick WebP: an estimate above it says that WebP is smaller
LEAST, LEAST_OF_A_PHOTOGRAPH = 0.8, 0.94  # of a fair WebP, which the best one takes
QUICK_LEAST = 0.87  # the same, in less time: files of which the best one takes less were far larger by the model
PHOTOGRAPH_BITS = 2  # a sample of a fair WebP, or more
NOISE = (
    0.99  # share of raw bytes that a fair WebP takes, or more: the highest effort takes as many, and 300 times as long
)
LEAST_BITS_OF_A_PHOTOGRAPH = 1  # a sample of the model's stream
PATCH_SIDE, PATCHES = 96, 8  # pixels of a side, and how many are stored as WebP to tell a photograph
TRIAL_PIXELS = 1 << 20  # of a trial: libwebp takes 34 bytes of memory for each
LONG = 16  # ratio of sides from which a fair WebP says nothing of the best one


class Shares(NamedTuple):
    """Shares of the pixels of an image.

    Attributes:
        left: pixels that equal the one to the left.
        slopes: pixels that equal the one above, or the one above and left or right of it, or that of both neighbours
            and their corner follows by a linear slope: the largest of these four.
    """

    left: float
    slopes: float


def shares_of(colour: NDArray[np.uint8]) -> Shares:
    """Return what neighbours predict of an image uint8 [H, W, C]."""
    height, width, _ = colour.shape
    rows = max(1, BAND_PIXELS // width)
    counts = np.zeros(5, np.int64)
    for top in range(0, height, rows):
        band = _packed(colour[top : top + rows + 1])
        here, west, north, corner = band[1:, 1:], band[1:, :-1], band[:-1, 1:], band[:-1, :-1]
        same_as_left = band[:rows, 1:] == band[:rows, :-1]
        slopes = here == north, here == corner, west == north, here + corner == west + north
        counts += [np.count_nonzero(is_predicted) for is_predicted in (same_as_left, *slopes)]
    left, slope = int(counts[0]), int(counts[1:].max())
    return Shares(left / max(1, height * (width - 1)), slope / max(1, (height - 1) * (width - 1)))


def _packed(colour: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return a number for each pixel, whose bytes are the channels. A slope of all channels is one of these numbers."""
    numbers = colour[..., 0].astype(np.uint32)
    for channel in range(1, colour.shape[2]):
        numbers <<= 8
        numbers |= colour[..., channel]
    return numbers


def has_repeats(colour: NDArray[np.uint8], model: ContextModel) -> bool:
    """Return whether an image, uint8 [H, W, C], is to be coded by repeats: of graphics, neighbours predict many pixels
    exactly. A trial decides for what might be either."""
    if colour[..., 0].size < LEAST_PIXELS:
        return False
    left, slopes = shares_of(colour)
    if left >= CERTAIN_REPEATS or slopes >= CERTAIN_SLOPES:
        return True
    if left <= UNLIKELY_REPEATS and slopes < UNLIKELY_SLOPES:
        return False
    without, by_repeats = (_tried(colour, model, QUICK._replace(repeats=repeats)) for repeats in (False, True))
    return by_repeats < CLEARLY_FEWER * without


def are_levels_costly(colour: NDArray[np.uint8], model: ContextModel) -> bool:
    """Return whether noise levels cost an image, uint8 [H, W, C], more than any photograph, by a trial of images that
    have many slopes."""
    if colour[..., 0].size < LEAST_PIXELS or shares_of(colour).slopes < MANY_SLOPES:
        return False
    return _tried(colour, model, QUICK) < WITHOUT_LEVELS * _tried(colour, model, QUICK._replace(levels=1))


def _tried(colour: NDArray[np.uint8], model: ContextModel, coding: Coding) -> int:
    """Return how many bytes the middle of an image takes."""
    top, left = (max(0, side - TRIAL_SIDE) // 2 for side in colour.shape[:2])
    middle = colour[None, top : top + TRIAL_SIDE, left : left + TRIAL_SIDE]
    return words_of(encode_tiles(middle, model, coding, lanes=False)[0])


def fits_webp(planes: Planes) -> bool:
    """Whether WebP holds an image of this size, and Pillow reads it."""
    height, width, _ = planes.colour.shape
    return bool(max(height, width) <= MAX_WEBP_SIDE and height * width <= DEFAULT_MAX_PIXELS)


def is_clearly_graphics(planes: Planes, model: ContextModel) -> bool:
    """Whether WebP is smaller, by a quick WebP and an estimate of what the model takes. Always False for small images,
    which are coded as quickly as estimated."""
    height, width, _ = planes.colour.shape
    if not fits_webp(planes) or height * width <= SAMPLES * SAMPLE_SIDE**2:
        return False
    return estimate(planes, model) > CLEARLY_MORE * _webp_size(planes, method=1, quality=20)


def most_bytes(coded: int, levels: int) -> float:
    """Return how many bytes a WebP must take less than, if the model takes `coded` bytes for the pixels."""
    return coded * (1 - PREVIEWS) if levels else coded


def is_clearly_larger(planes: Planes, most: float, *, quick: bool = False) -> bool:
    """Whether no WebP is smaller than `most` bytes. quick: try the best WebP less often, which takes twenty times as
    long as a fair one."""
    if not fits_webp(planes):
        return True
    height, width, _ = planes.colour.shape
    if max(height, width) > LONG * min(height, width):
        return False
    fair = _webp_size(planes, method=FAIR_METHOD, quality=FAIR_QUALITY)
    least = QUICK_LEAST if quick else LEAST
    if 8 * fair >= PHOTOGRAPH_BITS * _samples(planes):
        least = LEAST_OF_A_PHOTOGRAPH
    return most < least * fair


def is_photograph(planes: Planes, coded: float) -> bool:
    """Return whether no WebP is smaller than `coded` bytes, by many bits a sample and fair WebP files of patches. It is
    always False for images that hardly have more pixels than patches."""
    height, width, _ = planes.colour.shape
    is_small = min(height, width) < PATCH_SIDE or height * width < 2 * PATCHES * PATCH_SIDE**2
    if is_small or 8 * coded < LEAST_BITS_OF_A_PHOTOGRAPH * _samples(planes):
        return False
    fair = sum(_webp_size(patch, method=FAIR_METHOD, quality=FAIR_QUALITY) for patch in _patches(planes))
    return bool(coded < LEAST_OF_A_PHOTOGRAPH * fair * height * width / (PATCHES * PATCH_SIDE**2))


def _patches(planes: Planes) -> Iterator[Planes]:
    """Yield PATCHES parts of an image, along its diagonals."""
    height, width, _ = planes.colour.shape
    for number in range(PATCHES):
        top, left = ((side - PATCH_SIDE) * number // (PATCHES - 1) for side in (height, width))
        left = left if number % 2 else width - PATCH_SIDE - left
        box = slice(top, top + PATCH_SIDE), slice(left, left + PATCH_SIDE)
        yield Planes(planes.mode, planes.colour[box], None if planes.alpha is None else planes.alpha[box])


def estimate(planes: Planes, model: ContextModel) -> float:
    """About how many bytes the context model takes for the colours, from a few patches."""
    height, width = planes.colour.shape[:2]
    rng = np.random.default_rng(0)
    side_y, side_x = min(SAMPLE_SIDE, height), min(SAMPLE_SIDE, width)
    tops, lefts = rng.integers(height - side_y + 1, size=SAMPLES), rng.integers(width - side_x + 1, size=SAMPLES)
    patches = [planes.colour[y : y + side_y, x : x + side_x] for y, x in zip(tops, lefts, strict=True)]
    size = sum(map(words_of, encode_tiles(np.stack(patches), model, QUICK, lanes=False)))
    return float(size / (SAMPLES * side_y * side_x) * height * width / SAMPLE_OVERHEAD)


def words_of(tile: Tile) -> int:
    """How many bytes the words of a tile's streams take."""
    return sum(len(part) for words in tile.words for part in words)


def pack(planes: Planes) -> bytes:
    """The payload: check and WebP file."""
    webp = _webp(planes, method=FAIR_METHOD, quality=FAIR_QUALITY)
    if len(webp) < NOISE * _samples(planes):
        webp = _webp(planes, method=6, quality=100)
    return _checksum(planes.colour, planes.alpha).to_bytes(CRC32_BYTES, "little") + webp


def unpack(webp: bytes, header: FileHeader) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Colour (H, W, C) and alpha (H, W) of a whole WebP file, which the core checks. Raises CorruptError."""
    try:
        if int.from_bytes(webp[4:8], "little") + 8 != len(webp):
            raise ValueError("it has another length than it says")
        # Not by Image.open, which warns of large images: the size in the header has been accepted.
        image = WebPImageFile(BytesIO(webp))
        if image.size != (header.width, header.height):
            raise ValueError(f"{image.size[0]} x {image.size[1]} pixels")
        pixels = np.asarray(interruptible(image.convert, "RGBA" if header.has_alpha else "RGB"))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's reader raises OSError, ValueError, SyntaxError, ...
        raise CorruptError(f"the WebP inside the file does not decode ({error}); get the file again") from error
    colour = np.ascontiguousarray(pixels[..., : header.channels])
    alpha = np.ascontiguousarray(pixels[..., 3]) if header.has_alpha else None
    return colour, alpha


def mean_colour(planes: Planes) -> bytes:
    """The mean of all pixels, a byte a channel, which a preview of a cut file shows."""
    height, width, _ = planes.colour.shape
    totals = planes.colour.sum(0, dtype=np.uint32).sum(0, dtype=np.uint64)  # first of columns, which is quick
    return bytes(np.rint(totals / (height * width)).astype(np.uint8).tolist())


def _samples(planes: Planes) -> int:
    return int(planes.colour.size + (0 if planes.alpha is None else planes.alpha.size))


def _webp_size(planes: Planes, *, method: int, quality: int) -> int:
    """About how many bytes a WebP takes; that of a large image is made in parts of some rows."""
    height, width, _ = planes.colour.shape
    rows = max(1, TRIAL_PIXELS // width)
    parts = (slice(top, top + rows) for top in range(0, height, rows))
    return sum(len(_webp(planes, part, method=method, quality=quality)) for part in parts)


def _webp(planes: Planes, rows: slice = slice(None), *, method: int, quality: int) -> bytes:
    colour = planes.colour[rows]
    if colour.shape[2] == 1:
        colour = np.repeat(colour, 3, 2)
    pixels = colour if planes.alpha is None else np.dstack([colour, planes.alpha[rows]])
    image, stream = Image.fromarray(pixels), BytesIO()
    interruptible(image.save, stream, "WEBP", lossless=True, exact=True, method=method, quality=quality)
    return stream.getvalue()


def _checksum(colour: NDArray[np.uint8], alpha: NDArray[np.uint8] | None) -> int:
    check = zlib.crc32(np.ascontiguousarray(colour).tobytes())
    return check if alpha is None else zlib.crc32(np.ascontiguousarray(alpha).tobytes(), check)


# --- in an archive


def find_graphics(pictures: Sequence[Planes], model: ContextModel, coding: Coding) -> list[bool]:
    """Whether WebP is smaller than its share of a run, for each picture of an archive. What can only be a photograph
    takes little time; the rest is coded both ways."""
    is_candidate = run_all(_is_candidate, pictures)
    candidates = [planes for planes, candidate in zip(pictures, is_candidate, strict=True) if candidate]
    smaller = iter(_are_smaller(candidates, model, coding))
    return [candidate and next(smaller) for candidate in is_candidate]


def _is_candidate(planes: Planes) -> bool:
    return not is_clearly_larger(planes, int(CANDIDATE * _samples(planes)))


def _are_smaller(pictures: Sequence[Planes], model: ContextModel, coding: Coding) -> list[bool]:
    smaller = [False] * len(pictures)

    def compare(batch: list[int]) -> None:
        pixels = np.stack([pictures[i].colour for i in batch])
        for i, tile in zip(batch, encode_tiles(pixels, model, coding, lanes=False), strict=True):
            smaller[i] = _is_smaller(pictures[i], most_bytes(_share(tile), coding.levels))

    shapes = [planes.colour.shape for planes in pictures]
    run_all(compare, batches([(shape[0] * shape[1], shape) for shape in shapes]))
    return smaller


def _share(tile: Tile) -> int:
    """About how many bytes an image adds to the stream of a run."""
    (state,) = tile.states
    return words_of(tile) + (state.bit_length() - CHECK_BITS) // 8


def _is_smaller(planes: Planes, most: float) -> bool:
    """Whether WebP takes less than so many bytes, and alpha beside them."""
    size = most + (0 if planes.alpha is None else len(pack_alpha(planes.alpha)))
    return not is_clearly_larger(planes, size) and len(pack(planes)) + HEAD_BYTES < size
