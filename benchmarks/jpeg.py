"""ddpmcodec bench jpeg: JPEG files that are stored without loss, beside JPEG XL and Lepton.

The images are written as JPEG files by Pillow. Every codec stores each file, and gives it back byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from ddpmcodec.errors import ChecksumError

from ._codecs import BASELINE_COST, JPEG_STORES, OUR_JPEG_STORES, JpegStore, sort_out
from ._data import Dataset, Pixels
from ._results import Document, Measure, Row, Table, document, of_images, versions
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

    def write(self, image: Pixels) -> bytes:
        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", **self._asdict())
        return file.getvalue()


FILES = tuple(
    JpegFiles(quality, subsampling, optimize)
    for quality, subsampling in ((75, "4:2:0"), (90, "4:2:0"), (95, "4:4:4"))
    for optimize in (False, True)
)


class Plan(NamedTuple):
    """files: the JPEG files to store."""

    files: Sequence[JpegFiles] = FILES


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
        ChecksumError: if a file does not come back.
    """
    stores, skipped = sort_out((*OUR_JPEG_STORES, *(JPEG_STORES if baselines else ())))
    data = dataset.describe()
    work = Work(out, KIND, {"dataset": data["sha256"], "versions": versions()})
    tasks = {files: [_task(files, store) for store in (None, *stores)] for files in plan.files}
    units = [unit for group in tasks.values() for task in group for unit in task.units(dataset.images)]
    values = work.results(units, quiet=quiet, side_by_side=True)
    results = []
    for files, (plain, *others) in tasks.items():
        sizes = [each.collect(values)["bytes"] for each in others]
        rows = [{"codec": store.name, "bytes": size} for store, size in zip(stores, sizes, strict=True)]
        results.append({"jpeg": files.name, "bytes": plain.collect(values)["bytes"], "codecs": [*rows, *skipped]})
    result = document(KIND, command, {"files": results}, model=None, dataset=data)
    work.finish(result)
    return result


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


# --- what a result says


def tables(document: Document) -> list[Table]:
    caption = (
        f"Bytes of stored JPEG files, {of_images(document)}, and the share saved; every file came back byte for byte"
    )
    return [Table("sizes", caption, [*map(_line, document["results"]["files"])])]


def _line(files: Mapping[str, Any]) -> Row:
    total = sum(files["bytes"])
    return {"": files["jpeg"], "JPEG": total, **{row["codec"]: _cell(row, total) for row in files["codecs"]}}


def _cell(row: Mapping[str, Any], total: int) -> str:
    if "skipped" in row:
        return str(row["skipped"])
    size = sum(row["bytes"])
    return f"{size:,} ({1 - size / total:.1%})"


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
