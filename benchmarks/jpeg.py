"""ddpmcodec bench jpeg: JPEG files that are stored without loss, beside JPEG XL and Lepton.

The images are written as JPEG files by Pillow. Every codec stores each file, and gives it back byte for byte. Times are
those of one kind of files; codecs take turns. Prefixes of our files are compared with prefixes of the same files in
libjpeg's progressive scans, at equal PSNR to the pixels of the JPEG file.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.comparison import psnr
from ddpmcodec.errors import ChecksumError, DdpmError
from ddpmcodec.parallel import thread_count, threads_of

from ._codecs import (
    BASELINE_COST,
    JPEG_EFFORTS,
    JPEG_LEVELS,
    JPEG_STORES,
    OUR_JPEG_STORES,
    JpegStore,
    our_store,
    sort_out,
)
from ._data import Dataset, Pixels
from ._results import Document, Measure, Row, Table, document, machine, of_images, versions
from ._timing import timed
from ._work import Columns, Task, Work

__all__ = ["TITLE", "Plan", "figures", "measures", "run", "tables"]

TITLE = "Stored JPEG files"
KIND = "jpeg"


class JpegFiles(NamedTuple):
    """How images are written as JPEG files. optimize: with Huffman tables for each image, in place of standard ones."""

    quality: int
    subsampling: str
    optimize: bool

    @property
    def name(self) -> str:
        tables = "optimised" if self.optimize else "standard"
        return f"quality {self.quality}, {self.subsampling}, {tables} tables"

    def write(self, image: Pixels, *, progressive: bool = False) -> bytes:
        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", progressive=progressive, **self._asdict())
        return file.getvalue()


FILES = tuple(
    JpegFiles(quality, subsampling, optimize)
    for quality, subsampling in ((75, "4:2:0"), (90, "4:2:0"), (95, "4:4:4"))
    for optimize in (False, True)
)
OPTIMISED = tuple(files for files in FILES if files.optimize)
TIMED = JpegFiles(90, "4:2:0", optimize=True)
REFERENCE = "JPEG XL"  # whose encoding of the same files is the unit of time
OPERATIONS = ("encode", "decode", "pixels")
NAMES = {"encode": "encode", "decode": "decode to the JPEG file", "pixels": "decode to pixels"}
PREFIXES = 24  # how many prefixes of a file are decoded
LEAST_SHARE = 0.02  # the shortest prefix, as a share of its file
LEVELS = np.arange(10, 60, 0.25)  # of PSNR at which bytes are compared, dB
RANGES = ((10, 20), (20, 25), (25, 30), (30, 35), (35, 60))  # dB, of the parts of a table
END = b"\xff\xd9"  # the marker EOI, which ends a JPEG file
OURS_COST = 20.0  # as `_codecs.cost`

Curve = list[tuple[int, float]]  # bytes, and PSNR in dB


class Plan(NamedTuple):
    """The settings of a measurement.

    Attributes:
        files: the JPEG files to store.
        prefixes: the JPEG files whose prefixes are compared.
        repeats: of every timing; 0: none.
    """

    files: Sequence[JpegFiles] = FILES
    prefixes: Sequence[JpegFiles] = OPTIMISED
    repeats: int = 3


def run(
    dataset: Dataset,
    out: Path,
    source: None,
    plan: Plan,
    *,
    command: str,
    baselines: bool = True,
    quiet: bool = False,
) -> Document:
    """Measure, write bench-jpeg.json into the folder `out`, and return the result.

    Parameters:
        source: None; the embedded model codes JPEG files.
        baselines: also other codecs.

    Raises:
        ChecksumError: if a file does not come back, or a progressive file has other pixels.
    """
    stores, skipped = sort_out((*OUR_JPEG_STORES, *(JPEG_STORES if baselines else ())))
    data = dataset.describe()
    work = Work(out, KIND, {"dataset": data["sha256"], "versions": versions(), "machine": machine()})
    tasks = {files: [_task(files, store) for store in (None, *stores)] for files in plan.files}
    units = [unit for group in tasks.values() for task in group for unit in task.units(dataset.images)]
    values = work.results(units, quiet=quiet, side_by_side=True)
    curves = {files.name: _curves(files) for files in plan.prefixes}
    units = [unit for task in curves.values() for unit in task.units(dataset.images)]
    values |= work.results(units, quiet=quiet, side_by_side=True)
    times = _timings(plan.repeats, stores)  # last, because these need an idle machine
    values |= work.results([unit for task in times.values() for unit in task.units(dataset.images)], quiet=quiet)
    results = {
        "files": [_sizes(files, group, stores, skipped, values) for files, group in tasks.items()],
        "times": [
            {"codec": name, "threads": threads, **task.collect(values)} for (name, threads, _), task in times.items()
        ],
        "prefixes": [{"jpeg": name, **task.collect(values)} for name, task in curves.items()],
    }
    result = document(KIND, command, results, model=None, dataset=data)
    work.finish(result)
    return result


def _sizes(
    files: JpegFiles, tasks: Sequence[Task], stores: Sequence[JpegStore], skipped: Sequence[Mapping[str, str]],
    values: Mapping[str, Columns],
) -> dict[str, Any]:  # fmt: skip
    plain, *sizes = (task.collect(values)["bytes"] for task in tasks)
    rows = [{"codec": store.name, "bytes": size} for store, size in zip(stores, sizes, strict=True)]
    return {"jpeg": files.name, "bytes": plain, "codecs": [*rows, *skipped]}


def _task(files: JpegFiles, store: JpegStore | None) -> Task:
    """The sizes of files, stored by a codec, or, without one, as they are."""
    name = f"{files.name}: {store.name if store else 'JPEG'}"
    return Task(name, BASELINE_COST, lambda images, _: measure_files(images, files, store))


def measure_files(images: Sequence[Pixels], files: JpegFiles, store: JpegStore | None) -> Columns:
    """Return {bytes} of a JPEG file for each image, as it is stored. Raises ChecksumError if one does not come back."""
    written = map(files.write, images)
    return {"bytes": [len(jpeg if store is None else _stored(jpeg, store)) for jpeg in written]}


def _stored(jpeg: bytes, store: JpegStore) -> bytes:
    stored = store.encode(jpeg)
    if store.decode(stored) != jpeg:
        raise ChecksumError(f"{store.name}: a JPEG file did not come back as it was: a defect")
    return stored


# --- times


def _timings(repeats: int, stores: Sequence[JpegStore]) -> dict[tuple[str, int, int], Task]:
    """Tasks by codec, threads and turn. In each turn, all codecs have theirs."""
    baselines = [store for store in stores if store.module]
    coders = [(our_store(effort, verify=False), threads) for effort in JPEG_EFFORTS for threads in _threads()]
    turns = [(each, turn) for turn in range(repeats) for each in (*coders, *((store, 1) for store in baselines))]
    return {
        (store.name, threads, turn): Task(
            f"times of {store.name}, threads: {threads}, turn {turn}",
            2 * (BASELINE_COST if store.module else OURS_COST / threads),
            partial(_measure_times, store, threads),
        )
        for (store, threads), turn in turns
    }


def _threads() -> list[int]:
    return sorted({1, thread_count()})


def _measure_times(store: JpegStore, threads: int, images: Sequence[Pixels], _: int) -> Columns:
    with threads_of(threads):
        return measure_times(images, store)


def measure_times(images: Sequence[Pixels], store: JpegStore) -> Columns:
    """Return the seconds of {encode, decode, pixels} for each image as a JPEG file of quality 90."""
    jpegs = [*map(TIMED.write, images)]
    store.decode_pixels(store.encode(jpegs[0]))  # to warm up
    columns: Columns = {operation: [] for operation in OPERATIONS}
    for jpeg in jpegs:
        data, encoding = timed(partial(store.encode, jpeg))
        _, decoding = timed(partial(store.decode, data))
        _, to_pixels = timed(partial(store.decode_pixels, data))
        for operation, seconds in zip(OPERATIONS, (encoding, decoding, to_pixels), strict=True):
            columns[operation].append(seconds)
    return columns


# --- prefixes


def _curves(files: JpegFiles) -> Task:
    name = f"prefixes of {files.name}"
    return Task(name, PREFIXES * OURS_COST, lambda images, _: measure_prefixes(images, files))


def measure_prefixes(images: Sequence[Pixels], files: JpegFiles) -> Columns:
    """Return {progressive, levels 1, levels 0} for each image: curves of prefixes of a progressive JPEG file, and of
    our files of it.

    Raises:
        ChecksumError: if the progressive file has other pixels than the sequential one.
    """
    columns: Columns = {"progressive": [], **{_of(levels): [] for levels in JPEG_LEVELS}}
    for image in images:
        jpeg = files.write(image, progressive=True)
        pixels = _decoded(jpeg)
        if not np.array_equal(pixels, _decoded(files.write(image))):
            raise ChecksumError("a progressive JPEG file has other pixels than the sequential one: a defect of Pillow")
        columns["progressive"].append(_curve(jpeg, pixels, 0, lambda data: _decoded(data + END)))
        for levels in JPEG_LEVELS:
            data = codec.encode(BytesIO(jpeg), levels=levels, verify=False)
            columns[_of(levels)].append(_curve(data, pixels, codec.info(data)["header_bytes"], _shown))
    return columns


def _of(levels: int) -> str:
    return f"levels {levels}"


def _shown(prefix: bytes) -> Pixels:
    return codec.decode(prefix, partial=True, as_array=True)


def _decoded(jpeg: bytes) -> Pixels:
    with Image.open(BytesIO(jpeg)) as image:
        return np.asarray(image)


def _curve(data: bytes, pixels: Pixels, least: int, decode: Callable[[bytes], Pixels]) -> Curve:
    """Points of prefixes that show something, from `least` bytes on. decode: to pixels, or OSError or DdpmError."""
    sizes = np.geomspace(max(least + 1, LEAST_SHARE * len(data)), len(data) - 1, PREFIXES).astype(int)
    curve: Curve = []
    for size in sizes.tolist():
        with suppress(OSError, DdpmError):
            shown = decode(data[:size])
            error = float(np.square(shown.astype(np.float64) - pixels).mean())
            if (decibels := psnr(error)) is not None:
                curve.append((size, round(decibels, 3)))
    return curve


def relative_bytes(curve: Curve, reference: Curve) -> list[float | None]:
    """Return, for each of `LEVELS`, the logarithm of the bytes of the curve over those of the reference at that PSNR.

    Between points, logarithms of bytes are linear in PSNR. None: outside of one of the curves.
    """
    logarithms, (low, high) = [], (-np.inf, np.inf)
    for each in (curve, reference):
        sizes, decibels = zip(*_rising(each), strict=True)
        low, high = max(low, decibels[0]), min(high, decibels[-1])
        logarithms.append(np.interp(LEVELS, decibels, np.log(sizes)))
    found = logarithms[0] - logarithms[1]
    return [float(value) if low <= level <= high else None for level, value in zip(LEVELS, found, strict=True)]


def _rising(curve: Curve) -> Iterator[tuple[int, float]]:
    """The points that are better than all before."""
    best = -math.inf
    for size, decibels in curve:
        if decibels > best:
            best = decibels
            yield size, decibels


# --- what a result says


def tables(document: Document) -> list[Table]:
    caption = (
        f"Bytes of stored JPEG files, {of_images(document)}, and the share saved; every file came back byte for byte"
    )
    results, images = document["results"], of_images(document)
    rows = {
        "sizes": [*map(_line, results["files"])],
        "times": [*_times(results.get("times", []))],
        "prefixes": [_prefix_line(row, levels) for row in results.get("prefixes", []) for levels in JPEG_LEVELS],
    }
    captions = {
        "sizes": caption,
        "times": f"Times with JPEG files of {TIMED.name}, {images}, as multiples of the time that {REFERENCE} takes to"
        " encode them on one thread; medians",
        "prefixes": "Bytes of our prefixes beside those of the same JPEG files in progressive scans, at equal PSNR,"
        f" {images}: means over the PSNR that both reach, and over parts of it",
    }
    return [Table(name, captions[name], lines) for name, lines in rows.items() if lines]


def _line(files: Mapping[str, Any]) -> Row:
    total = sum(files["bytes"])
    return {"": files["jpeg"], "JPEG": total, **{row["codec"]: _cell(row, total) for row in files["codecs"]}}


def _cell(row: Mapping[str, Any], total: int) -> str:
    if "skipped" in row:
        return str(row["skipped"])
    size = sum(row["bytes"])
    return f"{size:,} ({1 - size / total:.1%})"


def _times(rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """A row for each codec and number of threads, of whose turns the median counts."""
    turns: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in rows:
        seconds = turns.setdefault((row["codec"], row["threads"]), {operation: [] for operation in OPERATIONS})
        for operation in OPERATIONS:
            seconds[operation].append(sum(row[operation]))
    unit = statistics.median(turns[REFERENCE, 1]["encode"]) if (REFERENCE, 1) in turns else None
    for (name, threads), seconds in turns.items():
        cells = {operation: statistics.median(values) for operation, values in seconds.items()}
        yield {"": name, "threads": threads, **{NAMES[key]: _multiple(value, unit) for key, value in cells.items()}}


def _multiple(seconds: float, unit: float | None) -> str:
    return f"{seconds:.2f} s" if unit is None else f"{seconds / unit:.1f}"


def _prefix_line(row: Mapping[str, Any], levels: int) -> Row:
    pairs = zip(row[_of(levels)], row["progressive"], strict=True)
    logarithms = [relative_bytes(ours, scans) for ours, scans in pairs if ours and scans]
    parts = {f"{low} to {high} dB": _percent(logarithms, low, high) for low, high in RANGES}
    return {"": row["jpeg"], "levels": levels, "all": _percent(logarithms, LEVELS[0], np.inf), **parts}


def _percent(logarithms: Sequence[Sequence[float | None]], low: float, high: float) -> str | None:
    """The mean over images of the mean over levels from `low` to below `high`."""
    means = []
    for image in logarithms:
        inside = [
            value for level, value in zip(LEVELS, image, strict=True) if value is not None and low <= level < high
        ]
        means += [statistics.fmean(inside)] if inside else []
    return f"{math.expm1(statistics.fmean(means)):+.0%}" if means else None


def figures(document: Document) -> Mapping[str, str]:
    return {}


def measures(document: Document) -> Iterator[Measure]:
    """Bytes of every stored file, as shares of its JPEG file."""
    for files in document["results"]["files"]:
        for row in files["codecs"]:
            if "skipped" not in row:
                pairs = zip(document["dataset"]["ids"], row["bytes"], files["bytes"], strict=True)
                shares = {each: stored / size for each, stored, size in pairs}
                yield Measure(f"{row['codec']}, {files['jpeg']}, share of its bytes", shares)
