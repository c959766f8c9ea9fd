"""The timings of ddpmcodec bench speed, each a function that returns one entry of the result, and exponents of growth.

Thumbnails are coded in batches of 256, photographs one by one, as a user opens them.
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from ddpmcodec import codec
from ddpmcodec.codec.many import threads_of
from ddpmcodec.codec.tiles import SegmentCost
from ddpmcodec.errors import ChecksumError
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.model_file import default_model
from ddpmcodec.parallel import run_all

from ._codecs import OURS, Baseline, CodeLength, is_webp, name_of, products
from ._data import Pixels, synthetic_photo
from ._process import ddpmcodec
from ._work import groups

A = TypeVar("A")
B = TypeVar("B")

Entry = dict[str, Any]

OPERATIONS = ("encode", "decode")
BATCH_PIXELS = 1 << 18  # 256 of 32x32
SHARE_IMAGES = 64  # of a batch, for a thread of a baseline
PREVIEW_SHARE = 0.02  # of a file
LEAST_PREVIEW = 32  # bytes beyond the header, to have something to show
ASPECT = 2 / 3  # height to width of a synthetic photograph
TINY = 32


def timed(work: Callable[[], A]) -> tuple[A, float]:
    """What it returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Of each of the repeats, after one run to warm up."""
    work()
    return timeit.repeat(work, number=1, repeat=repeats)


# --- codecs as pairs of functions from images to files and back


class Coder(NamedTuple):
    """effort, products: of ours; multiply-accumulates a pixel. encode: a batch to files, one each. decode: back."""

    name: str
    effort: int | None
    products: Callable[[Sequence[Pixels]], float] | None
    encode: Callable[[Sequence[Pixels]], list[bytes]]
    decode: Callable[[Sequence[bytes]], list[Pixels]]


def of_effort(model: ContextModel, effort: int) -> Coder:
    """Without verification, which is one more decoding."""

    def encode(images: Sequence[Pixels]) -> list[bytes]:
        return codec.encode_many(images, effort=effort, model=model, verify=False)

    def decode(files: Sequence[bytes]) -> list[Pixels]:
        return [np.asarray(image) for image in codec.decode_many(files, model=model)]

    return Coder(name_of(effort), effort, lambda images: products(effort, images, model.shape), encode, decode)


def of_baseline(baseline: Baseline) -> Coder:
    """Images of a batch are shared out over the threads; a single image has all of them, where its format can."""

    def encode(images: Sequence[Pixels]) -> list[bytes]:
        return _shared_out(_alone(baseline, images).encode, images)

    def decode(files: Sequence[bytes]) -> list[Pixels]:
        return _shared_out(_alone(baseline, files).decode, files)

    return Coder(baseline.name, None, None, encode, decode)


def _alone(baseline: Baseline, batch: Sequence[object]) -> Baseline:
    return baseline._replace(threads=torch.get_num_threads() if len(batch) == 1 else 1)


def _shared_out(work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    parts = [items[first : first + SHARE_IMAGES] for first in range(0, len(items), SHARE_IMAGES)]
    return list(chain.from_iterable(run_all(lambda part: list(map(work, part)), parts)))


def batches_of(images: Sequence[Pixels]) -> list[slice]:
    """Which images are coded together."""
    sizes = [image[..., 0].size for image in images]
    return [slice(first, last) for first, last in groups(sizes, len(images), BATCH_PIXELS)]


# --- timings


def warm_up(coder: Coder) -> None:
    """Load everything: the first call of a kernel may compile it."""
    coder.decode(coder.encode([np.asarray(synthetic_photo(TINY, TINY))]))


def throughput(coder: Coder, images: Sequence[Pixels], threads: int, repeats: int) -> Entry:
    """Seconds of encoding and decoding all images; raw bytes are a byte a dimension."""
    with threads_of(threads):
        warm_up(coder)
        runs = [_round_trip(coder, images) for _ in range(repeats)]
    return {
        "codec": coder.name,
        "products": coder.products and coder.products(images),
        "threads": threads,
        "images": len(images),
        "raw_bytes": sum(image.size for image in images),
        "bytes": runs[0][0],
        "encode_seconds": [encode for _, encode, _ in runs],
        "decode_seconds": [decode for _, _, decode in runs],
    }


def _round_trip(coder: Coder, images: Sequence[Pixels]) -> tuple[int, float, float]:
    """(bytes, seconds to encode, seconds to decode)"""
    batches = [images[batch] for batch in batches_of(images)]
    files, encode = timed(lambda: list(map(coder.encode, batches)))
    found, decode = timed(lambda: list(map(coder.decode, files)))
    if not all(map(np.array_equal, chain.from_iterable(batches), chain.from_iterable(found))):
        raise ChecksumError(f"{coder.name}: an image did not come back as it was: a defect")
    return sum(map(len, chain.from_iterable(files))), encode, decode


def steps(model: ContextModel, effort: int, images: Sequence[Pixels]) -> Entry:
    """Bits and seconds of every step of the schedule, by the codec's own report, on one thread."""
    encoding, decoding = CodeLength(), CodeLength()
    with threads_of(1):
        warm_up(of_effort(model, effort))
        for image in images:
            data = codec.encode(image, effort=effort, model=model, verify=False, report=encoding)
            codec.decode_details(data, model=model, report=decoding)
    pixels = sum(image[..., 0].size for image in images)
    bits, encode = _by_level(encoding.costs)
    _, decode = _by_level(decoding.costs)
    return {
        "codec": name_of(effort),
        "images": len(images),
        "steps": [
            {
                "level": level,
                "bits_per_pixel": bits[level] / pixels,
                "encode_seconds": encode[level],
                "decode_seconds": decode.get(level, 0.0),
            }
            for level in bits
        ],
    }


def _by_level(costs: Sequence[SegmentCost]) -> tuple[dict[int, float], dict[int, float]]:
    """Bits and seconds of all segments of a step."""
    bits, times = defaultdict[int, float](float), defaultdict[int, float](float)
    for cost in costs:
        bits[cost.level] += cost.bits
        times[cost.level] += cost.seconds
    return bits, times


def preview(
    model: ContextModel, effort: int, image: Pixels, threads: int, repeats: int, share: float = PREVIEW_SHARE
) -> Entry:
    """Seconds of a preview from the first bytes of a file, and of decoding all of it; none for files too small."""
    with threads_of(threads):
        data = codec.encode(image, effort=effort, model=model, verify=False)
        size = round(share * len(data))
        entry: Entry = {"codec": name_of(effort), "threads": threads, "bytes": len(data), "preview_bytes": size}
        if is_webp(data) or size < codec.info(data)["header_bytes"] + LEAST_PREVIEW:
            return entry | {"skipped": "the file is too small, or a lossless WebP"}
        return entry | {
            "preview_seconds": seconds(lambda: codec.decode(data, max_bytes=size, model=model), repeats),
            "decode_seconds": seconds(lambda: codec.decode(data, model=model), repeats),
        }


def growth(
    model: ContextModel | None, options: Sequence[str], effort: int, megapixels: float, repeats: int, folder: Path
) -> Entry:
    """Of a synthetic photograph: seconds in this process on all threads, and peak memory of processes of their own.

    model: None for the embedded one for images of this size.
    """
    photo, coded = folder / "photo.png", folder / "photo.ddpm"
    height = round((1e6 * megapixels * ASPECT) ** 0.5)
    picture = synthetic_photo(round(1e6 * megapixels / height), height)
    picture.save(photo, compress_level=1)
    coder = of_effort(model or default_model(picture.width * picture.height), effort)
    timings = throughput(coder, [np.asarray(picture)], torch.get_num_threads(), repeats)
    encode = ddpmcodec("encode", photo, "-o", coded, "-f", "-q", "--no-verify", f"--effort={effort}", *options)
    decode = ddpmcodec("decode", coded, "-o", folder / "back.png", "-f", "-q", *options)
    peaks = {"encode_peak_bytes": encode.peak_bytes, "decode_peak_bytes": decode.peak_bytes}
    return {"megapixels": picture.width * picture.height / 1e6} | timings | peaks


def start_up(options: Sequence[str], repeats: int, folder: Path) -> list[Entry]:
    """Seconds of the help, and of one tiny image there and back, each a process of its own."""
    tiny, coded = folder / "tiny.png", folder / "tiny.ddpm"
    synthetic_photo(TINY, TINY).save(tiny)
    commands: dict[str, list[str | Path]] = {
        "--help": ["--help"],
        f"encode one {TINY}x{TINY} image": ["encode", tiny, "-o", coded, "-f", "-q", *options],
        "decode it": ["decode", coded, "-o", folder / "tiny-back.png", "-f", "-q", *options],
    }
    return [
        {"command": name, "seconds": [ddpmcodec(*words).seconds for _ in range(repeats)]}
        for name, words in commands.items()
    ]


# --- growth with the size of an image


def fits(rows: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """seconds ~ megapixels^exponent of each codec and operation, where two sizes or more were measured."""
    found = []
    for name in dict.fromkeys(row["codec"] for row in rows):
        mine = [row for row in rows if row["codec"] == name]
        sizes = [row["megapixels"] for row in mine]
        for operation in OPERATIONS if len(set(sizes)) > 1 else ():
            medians = [statistics.median(row[f"{operation}_seconds"]) for row in mine]
            slope = exponent(sizes, medians)
            found.append({"of": growth_name(name, operation), "exponent": slope, "points": len(sizes)})
    return found


def growth_name(codec: str, operation: str) -> str:
    """What a fit is of, in a result."""
    return f"a photograph, {codec.removeprefix(OURS).strip()}, {operation}"


def exponent(x: Sequence[float], y: Sequence[float]) -> dict[str, float | None]:
    """{mean, standard_error} of the slope of log y over log x, by least squares; no error for two points."""
    across, up = np.log(x), np.log(y)
    across = across - across.mean()
    slope = float(across @ up / (across @ across))
    rest = up - up.mean() - slope * across
    freedom = len(across) - 2
    error = float(np.sqrt(rest @ rest / freedom / (across @ across))) if freedom else None
    return {"mean": slope, "standard_error": error}
