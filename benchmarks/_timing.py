"""The timings of ddpmcodec bench speed, each a function that returns one entry of the result, and exponents of growth.

Thumbnails are coded in batches of 256, photographs one by one, as a user opens them.
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import distribution
from importlib.resources import files as files_of
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ddpmcodec import codec
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import SegmentCost
from ddpmcodec.errors import ChecksumError
from ddpmcodec.models import registry
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import run_all, thread_count, threads_of

from ._codecs import BASELINE_COST, OURS, Baseline, CodeLength, cost, name_of
from ._data import Pixels, pixel_count, synthetic_photo
from ._process import ddpmcodec
from ._work import groups

A = TypeVar("A")
B = TypeVar("B")

Entry = dict[str, Any]

OPERATIONS = ("encode", "decode")
PEAKS = ("encode", "encode with verification", "decode")  # whose memory is measured
BATCH_PIXELS = 1 << 18  # 256 of 32x32
SHARE_IMAGES = 64  # of a batch, for a thread of a baseline
PREVIEW_SHARE = 0.02  # of a file
NEEDED = (OURS, "numpy", "pillow", "click", "safetensors", "tqdm")  # packages, to decode
OWN = (OURS, f"{OURS}.cli", f"{OURS}.benchmarks")
LEAST_PREVIEW = 32  # bytes beyond the header, to have something to show
ASPECT = 2 / 3  # height to width of a synthetic photograph
TINY = 32
THUMBNAILS = 256  # of a batch


def timed(work: Callable[[], A]) -> tuple[A, float]:
    """What the work returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each of the repeats, after one run to warm up."""
    work()
    return timeit.repeat(work, number=1, repeat=repeats)


# --- codecs as pairs of functions from images to files and back


class Coder(NamedTuple):
    """products: of ours, multiply-accumulates a pixel. cost: time a pixel, as `_codecs.cost`. encode: a batch to files,
    one each. decode: back."""

    name: str
    products: float | None
    cost: float
    encode: Callable[[Sequence[Pixels]], list[bytes]]
    decode: Callable[[Sequence[bytes]], list[Pixels]]


def of_coding(model: ContextModel, coding: Coding) -> Coder:
    """Our codec, without verification, which is one more decoding."""

    def encode(images: Sequence[Pixels]) -> list[bytes]:
        return codec.encode_many(images, **coding.options, model=model, verify=False)

    def decode(files: Sequence[bytes]) -> list[Pixels]:
        return codec.decode_many(files, model=model, as_array=True)

    return Coder(
        name_of(coding), model.macs_per_pixel(coding.effort, coding.levels), cost(model, coding), encode, decode
    )


def of_baseline(baseline: Baseline) -> Coder:
    """Another codec. Threads share out the images of a batch; a single image has all of them, where its format can."""

    def encode(images: Sequence[Pixels]) -> list[bytes]:
        return _shared_out(_alone(baseline, images).encode, images)

    def decode(files: Sequence[bytes]) -> list[Pixels]:
        return _shared_out(_alone(baseline, files).decode, files)

    return Coder(baseline.name, None, BASELINE_COST, encode, decode)


def _alone(baseline: Baseline, batch: Sequence[object]) -> Baseline:
    return baseline._replace(threads=thread_count() if len(batch) == 1 else 1)


def _shared_out(work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    parts = [items[first : first + SHARE_IMAGES] for first in range(0, len(items), SHARE_IMAGES)]
    return list(chain.from_iterable(run_all(lambda part: list(map(work, part)), parts)))


def batches_of(images: Sequence[Pixels]) -> list[slice]:
    """Which images are coded together."""
    sizes = [image[..., 0].size for image in images]
    return [slice(first, last) for first, last in groups(sizes, len(images), BATCH_PIXELS)]


# --- timings


def warm_up(coder: Coder) -> None:
    """Load everything: a model is read, and its networks made, at the first call."""
    coder.decode(coder.encode([np.asarray(synthetic_photo(TINY, TINY))]))


def throughput(coder: Coder, images: Sequence[Pixels], threads: int, repeats: int) -> Entry:
    """Seconds of encoding and decoding all images; raw bytes are a byte a dimension."""
    with threads_of(threads):
        warm_up(coder)
        runs = [_round_trip(coder, images) for _ in range(repeats)]
    return {
        "codec": coder.name,
        "products": coder.products,
        "threads": threads,
        "images": len(images),
        "raw_bytes": sum(image.size for image in images),
        "bytes": runs[0].bytes,
        "encode_seconds": [run.encode_seconds for run in runs],
        "decode_seconds": [run.decode_seconds for run in runs],
    }


class _Run(NamedTuple):
    bytes: int
    encode_seconds: float
    decode_seconds: float


def _round_trip(coder: Coder, images: Sequence[Pixels]) -> _Run:
    batches = [images[batch] for batch in batches_of(images)]
    files, encode = timed(lambda: list(map(coder.encode, batches)))
    decoded, decode = timed(lambda: list(map(coder.decode, files)))
    if not all(map(np.array_equal, chain.from_iterable(batches), chain.from_iterable(decoded))):
        raise ChecksumError(f"{coder.name}: an image did not come back as it was: a defect")
    return _Run(sum(map(len, chain.from_iterable(files))), encode, decode)


def steps(model: ContextModel, coding: Coding, images: Sequence[Pixels]) -> Entry:
    """Bits and seconds of every step of the schedule, by the codec's own report, on one thread."""
    encoding, decoding = CodeLength(), CodeLength()
    with threads_of(1):
        warm_up(of_coding(model, coding))
        for image in images:
            data = codec.encode(image, **coding.options, model=model, verify=False, report=encoding)
            codec.decode_details(data, model=model, report=decoding)
    pixels = pixel_count(images)
    bits, encode = _by_level(encoding.costs)
    _, decode = _by_level(decoding.costs)
    return {
        "codec": name_of(coding),
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
    for each in costs:
        bits[each.level] += each.bits
        times[each.level] += each.seconds
    return bits, times


def preview(model: ContextModel, coding: Coding, image: Pixels, threads: int, repeats: int) -> Entry:
    """Seconds of a preview from the first bytes of a file, and of decoding all of it; none for files too small."""
    with threads_of(threads):
        data = codec.encode(image, **coding.options, model=model, verify=False)
        size = round(PREVIEW_SHARE * len(data))
        entry: Entry = {"codec": name_of(coding), "threads": threads, "bytes": len(data), "preview_bytes": size}
        if size < codec.info(data)["header_bytes"] + LEAST_PREVIEW:
            return entry | {"skipped": "the file is too small"}
        return entry | {
            "preview_seconds": seconds(lambda: codec.decode(data, max_bytes=size, model=model), repeats),
            "decode_seconds": seconds(lambda: codec.decode(data, model=model), repeats),
        }


def growth(
    model: ContextModel | None, options: Sequence[str], coding: Coding, megapixels: float, *, repeats: int, folder: Path
) -> Entry:
    """Seconds of a synthetic photograph in this process on all threads, and peak memory of processes of their own.

    model: None: the embedded one for images of this size.
    """
    photo, coded = folder / "photo.png", folder / "photo.ddpm"
    height = round((1e6 * megapixels * ASPECT) ** 0.5)
    picture = synthetic_photo(round(1e6 * megapixels / height), height)
    picture.save(photo, compress_level=1)
    coder = of_coding(model or registry.default(picture.width * picture.height), coding)
    timings = throughput(coder, [np.asarray(picture)], thread_count(), repeats)
    chosen = [f"--{name}={value}" for name, value in coding.options.items()]
    verified: list[str | Path] = ["encode", photo, "-o", coded, *chosen]
    commands: list[list[str | Path]] = [
        [*verified, "--no-verify"],
        verified,
        ["decode", coded, "-o", folder / "back.png"],
    ]
    ended = [ddpmcodec(*command, "-f", "-q", *options) for command in commands]
    peaks = {peak_key(name): each.peak_bytes for name, each in zip(PEAKS, ended, strict=True)}
    return {"megapixels": picture.width * picture.height / 1e6} | timings | peaks


def peak_key(name: str) -> str:
    """The key of one of `PEAKS` in a result."""
    return f"{name.replace(' ', '_')}_peak_bytes"


def thumbnails(images: Sequence[Pixels]) -> list[Pixels]:
    """A batch of 32x32: the first pieces of the images, again and again where there are too few."""
    corners = ((image, y, x) for image in images for y, x in np.ndindex(len(image) // TINY, image.shape[1] // TINY))
    pieces = [image[TINY * y :, TINY * x :][:TINY, :TINY] for image, y, x in islice(corners, THUMBNAILS)]
    return list(islice(cycle(pieces or [np.asarray(synthetic_photo(TINY, TINY))]), THUMBNAILS))


def start_up(options: Sequence[str], repeats: int, folder: Path) -> list[Entry]:
    """Seconds of the help, and of one tiny image there and back, each a process of its own."""
    tiny, coded = folder / "tiny.png", folder / "tiny.ddpm"
    synthetic_photo(TINY, TINY).save(tiny)
    commands: dict[str, list[str | Path]] = {
        "--help": ["--help"],
        f"encode one {TINY}x{TINY} image": ["encode", tiny, "-o", coded, "-f", "-q", *options],
        "decode it": ["decode", coded, "-o", folder / "tiny-back.png", "-f", "-q", *options],
    }
    return [_repeated(name, words, repeats) for name, words in commands.items()]


def _repeated(name: str, words: Sequence[str | Path], repeats: int) -> Entry:
    runs = [ddpmcodec(*words) for _ in range(repeats)]
    seconds, processor = ([getattr(each, key) for each in runs] for key in ("seconds", "processor_seconds"))
    return {"command": name, "seconds": seconds, "processor_seconds": processor}


# --- what a decoder takes on a disk


def installed() -> list[Entry]:
    """Bytes of the files of every package that a decoder needs, without byte code."""
    return [{"package": name, "bytes": sum(_sizes(name))} for name in NEEDED]


def _sizes(package: str) -> Iterator[int]:
    """ddpmcodec's own folders, where it is installed from a checkout."""
    files = [Path(str(file.locate())) for file in distribution(package).files or ()]
    if package == OURS and not any(file.match(f"{OURS}/__init__.py") for file in files):
        files = [file for folder in OWN for file in Path(str(files_of(folder))).rglob("*")]
    return (file.stat().st_size for file in files if file.is_file() and "__pycache__" not in file.parts)


# --- growth with the size of an image


def fits(rows: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """seconds ~ megapixels^exponent of each codec and operation, where two sizes or more were measured."""
    entries = []
    for name in dict.fromkeys(row["codec"] for row in rows):
        mine = [row for row in rows if row["codec"] == name]
        sizes = [row["megapixels"] for row in mine]
        for operation in OPERATIONS if len(set(sizes)) > 1 else ():
            medians = [statistics.median(row[f"{operation}_seconds"]) for row in mine]
            slope = exponent(sizes, medians)
            entries.append({"of": growth_name(name, operation), "exponent": slope, "points": len(sizes)})
    return entries


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
