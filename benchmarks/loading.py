"""ddpmcodec bench loading: images a second through PyTorch's DataLoader, in a random order, and the bytes they take.

An archive beside what data sets are kept in: a folder of PNG or lossless WebP files, a WebDataset (tar files of them),
an LMDB. Every store gives tensors uint8 [C, H, W]; an epoch is all images. Epochs after the first are timed apart: from
then on workers have an archive's blocks.
"""

from __future__ import annotations

import io
import statistics
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from PIL import Image

from ddpmcodec import archive
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.errors import ChecksumError
from ddpmcodec.models.context import ContextModel

from ._codecs import BASELINE_COST, cost, find_model, name_of
from ._data import Dataset, Pixels, pixel_count
from ._results import Document, Measure, Row, Table, dimensions, document, machine, of_images
from ._timing import timed
from ._work import Unit, Work, identity

__all__ = ["TITLE", "Plan", "figures", "measures", "run", "tables"]

TITLE = "Loading data sets"
KIND = "loading"
BATCH = 64
SAVED: dict[str, dict[str, Any]] = {
    "PNG": {"format": "PNG"},
    "WebP lossless": {"format": "WEBP", "lossless": True, "quality": 75, "exact": True},
}
LEAST_MAP = 1 << 24  # bytes that an LMDB may grow to
COUNT = "count.txt"  # the number of an LMDB's images


class Plan(NamedTuple):
    """What to measure. settings: of archives. workers: numbers of processes that load; 0: the one that trains."""

    settings: Sequence[Coding]
    workers: Sequence[int]
    repeats: int


class Store(NamedTuple):
    """Where a data set is kept. write: its images into a folder. loader: of that folder, with so many workers. needs:
    the package without which there is none."""

    name: str
    write: Callable[[Path, Sequence[Pixels]], None]
    loader: Callable[[Path, int], Any]
    cost: float = BASELINE_COST
    needs: str | None = None


def run(
    dataset: Dataset,
    out: Path,
    source: str | None,
    plan: Plan,
    *,
    command: str,
    baselines: bool = True,
    quiet: bool = False,
) -> Document:
    """Measure, write bench-loading.json into the folder `out`, and return the result.

    source: of the model. baselines: also other stores. Raises ChecksumError where an image does not come back.
    """
    model = find_model(source, dataset.images)
    stores = [_archive(model, coding) for coding in plan.settings] + (_baselines() if baselines else [])
    data = dataset.describe()
    work = Work(out, KIND, identity(data, model, machine=machine(), plan=plan))
    weight = pixel_count(dataset.images) * len(plan.workers) * (plan.repeats + 1)
    units = [Unit(s.name, weight * s.cost, partial(_measured, s, dataset.images, plan)) for s in stores]
    unit_values = work.results(units, quiet=quiet)
    result = document(KIND, command, {"stores": list(unit_values.values())}, model=model, dataset=data)
    work.finish(result)
    return result


def _measured(store: Store, images: Sequence[Pixels], plan: Plan) -> dict[str, Any]:
    """{store, bytes, epochs: [{workers, first_seconds, seconds}]}. first_seconds: until the first epoch is over."""
    if store.needs and find_spec(store.needs) is None:
        return {"store": store.name, "skipped": f"pip install {store.needs}"}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store.write(folder, images)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        epochs = [_epochs(store.loader(folder, workers), workers, plan.repeats) for workers in plan.workers]
        _require_same(store, folder, images)
    return {"store": store.name, "bytes": size, "images": len(images), "epochs": epochs}


def _epochs(loader: Any, workers: int, repeats: int) -> dict[str, Any]:
    def epoch() -> int:
        return sum(len(batch) for batch in loader)

    return {"workers": workers, "first_seconds": timed(epoch)[1], "seconds": [timed(epoch)[1] for _ in range(repeats)]}


def _require_same(store: Store, folder: Path, images: Sequence[Pixels]) -> None:
    """Raises ChecksumError unless an epoch has every image once."""
    loaded = (image.permute(1, 2, 0).contiguous().numpy() for batch in store.loader(folder, 0) for image in batch)
    if sorted(image.tobytes() for image in loaded) != sorted(image.tobytes() for image in images):
        raise ChecksumError(f"{store.name}: an epoch has other images than were written")


# --- stores


def _options(workers: int) -> dict[str, Any]:
    """Options of a DataLoader, as in training: workers live on."""
    return {"persistent_workers": workers > 0}


def _archive(model: ContextModel, coding: Coding) -> Store:
    def write(folder: Path, images: Sequence[Pixels]) -> None:
        named = ((f"{number:06}.png", image) for number, image in enumerate(images))
        (folder / "all.ddpma").write_bytes(archive.create(named, **coding.options, model=model, verify=False))

    def loader(folder: Path, workers: int) -> Any:
        dataset: archive.ArchiveDataset[Any] = archive.ArchiveDataset(
            folder / "all.ddpma", model=model, kept_blocks=1 << 20
        )
        return archive.loader(dataset, BATCH, workers=workers, collate=list, **_options(workers))

    return Store(name_of(coding, "archive"), write, loader, cost(model, coding))


def _baselines() -> list[Store]:
    stores = []
    for file_format, options in SAVED.items():
        stores += [
            Store(f"folder of {file_format}", partial(_write_files, options), _files),
            Store(f"WebDataset of {file_format}", partial(_write_tar, options), _tar, needs="webdataset"),
            Store(f"LMDB of {file_format}", partial(_write_lmdb, options), _lmdb, needs="lmdb"),
        ]
    return stores


def _encoded(image: Pixels, options: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, **options)
    return file.getvalue()


def _tensor(file: bytes) -> Any:
    from ddpmcodec.archive.dataset import to_tensor

    with Image.open(io.BytesIO(file)) as image:
        return to_tensor(image)


def _shuffled(dataset: Any, workers: int) -> Any:
    from torch.utils.data import DataLoader

    return DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, collate_fn=list, **_options(workers))


def _write_files(options: Mapping[str, Any], folder: Path, images: Sequence[Pixels]) -> None:
    for number, image in enumerate(images):
        (folder / f"{number:06}.{options['format'].lower()}").write_bytes(_encoded(image, options))


class Files:
    """A folder of image files as a data set."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return _tensor(self.paths[index].read_bytes())


def _files(folder: Path, workers: int) -> Any:
    return _shuffled(Files(folder), workers)


SHARDS = 8  # of a WebDataset: workers share them out


def _write_tar(options: Mapping[str, Any], folder: Path, images: Sequence[Pixels]) -> None:
    for shard in range(SHARDS):
        with tarfile.open(folder / f"{shard:06}.tar", "w") as tar:
            for number in range(shard, len(images), SHARDS):
                file = _encoded(images[number], options)
                entry = tarfile.TarInfo(f"{number:06}.{options['format'].lower()}")
                entry.size = len(file)
                tar.addfile(entry, io.BytesIO(file))


def _of_sample(sample: Mapping[str, Any]) -> Any:
    return _tensor(next(value for name, value in sample.items() if not name.startswith("__")))


def _tar(folder: Path, workers: int) -> Any:
    import webdataset
    from torch.utils.data import DataLoader

    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    samples = webdataset.WebDataset(shards, shardshuffle=SHARDS, empty_check=False).shuffle(1000).map(_of_sample)
    batches = samples.batched(BATCH, collation_fn=list)
    return DataLoader(batches, batch_size=None, num_workers=workers, **_options(workers))


def _write_lmdb(options: Mapping[str, Any], folder: Path, images: Sequence[Pixels]) -> None:
    import lmdb

    files = [_encoded(image, options) for image in images]
    (folder / COUNT).write_text(str(len(files)))
    with (
        lmdb.open(str(folder / "lmdb"), map_size=LEAST_MAP + 4 * sum(map(len, files))) as kept,
        kept.begin(write=True) as entries,
    ):
        for number, file in enumerate(files):
            entries.put(str(number).encode(), file)


class Lmdb:
    """An LMDB of image files as a data set. It is opened late: a process may open it once, and not take over the one of
    its parent."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, int((folder / COUNT).read_text())
        self.entries: Any = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if self.entries is None:
            import lmdb

            self.entries = lmdb.open(str(self.folder / "lmdb"), readonly=True, lock=False).begin()
        return _tensor(self.entries.get(str(index).encode()))


def _lmdb(folder: Path, workers: int) -> Any:
    return _shuffled(Lmdb(folder), workers)


# --- what a result says


def tables(document: Document) -> list[Table]:
    workers = sorted({epoch["workers"] for row in document["results"]["stores"] for epoch in row.get("epochs", ())})
    title = (
        f"Images a second in a random order, by workers, in the first epoch and in later ones; {of_images(document)}"
    )
    raw = sum(dimensions(document))
    return [Table("loading", title, [_row(row, workers, raw) for row in document["results"]["stores"]])]


def _row(row: Mapping[str, Any], workers: Sequence[int], raw: int) -> Row:
    if "skipped" in row:
        return {"": row["store"], "bytes an image": row["skipped"]}
    line: dict[str, Any] = {"": row["store"]}
    line |= {"bytes an image": row["bytes"] / row["images"], "of raw": row["bytes"] / raw}
    by_workers = {epoch["workers"]: epoch for epoch in row["epochs"]}
    for count in workers:
        line[f"{count} workers, first epoch"] = row["images"] / by_workers[count]["first_seconds"]
    for count in workers:
        line[f"{count} workers, later"] = row["images"] / statistics.median(by_workers[count]["seconds"])
    return line


def figures(document: Document) -> Mapping[str, str]:
    """There are none."""
    return {}


def measures(document: Document) -> Iterator[Measure]:
    for row in document["results"]["stores"]:
        for epoch in row.get("epochs", ()):
            name = f"{row['store']}, workers: {epoch['workers']}, seconds an image"
            values = {str(k): seconds / row["images"] for k, seconds in enumerate(epoch["seconds"])}
            yield Measure(name, values, timing=True)
