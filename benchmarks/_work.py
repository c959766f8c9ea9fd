"""Long runs in units of a few images: the next run skips the finished ones, and the machines of a Ray cluster share
them."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tqdm import tqdm

from ddpmcodec.errors import DdpmError, OutputError
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import run_all
from ddpmcodec.plugins import cluster

from ._data import Pixels, pixel_count
from ._results import Document, versions, write

GROUP_PIXELS = 1 << 18  # of the images of a unit: 256 of 32x32

Columns = dict[str, list[Any]]  # a value for each image, or for each file


class Unit(NamedTuple):
    """A piece of work. weight: its share of the progress bar. work: returns plain values, for JSON."""

    key: str
    weight: float
    work: Callable[[], Any]


def say(message: str) -> None:
    """One line for the user, beside the progress bar."""
    tqdm.write(f"ddpmcodec: {message}", file=sys.stderr)


def identity(data: Mapping[str, Any], model: ContextModel, **more: Any) -> dict[str, Any]:
    """All that the values of a benchmark depend on, for `Work`. data: `Dataset.describe()`."""
    return {"dataset": data["sha256"], "model": model.id.hex(), "versions": versions(), **more}


class Work:
    """The units of one run, kept in `bench-<kind>.partial.jsonl` in the folder until the result is written.

    identity: all that the values depend on. Raises DdpmError when the folder has unfinished work of another identity,
    or cannot be made.
    """

    def __init__(self, folder: Path, kind: str, identity: Mapping[str, Any]) -> None:
        self.folder, self.kind, self.head = folder, kind, json.dumps(identity, sort_keys=True, allow_nan=False)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: no folder can be made there ({error.strerror}): name another one") from error
        self.partial_file = folder / f"bench-{kind}.partial.jsonl"
        self.known = self._read()

    def results(
        self, units: Sequence[Unit], *, quiet: bool = False, side_by_side: bool = False, ray: str | None = None
    ) -> dict[str, Any]:
        """{key: value} of all units in their order.

        side_by_side: a unit on every core, on one thread each; not for units that measure time. ray: the address of a
        cluster, whose cores take part (`ddpmcodec.plugins.cluster.connect`); this machine keeps what they find. Raises
        ClusterError.
        """
        left = [unit for unit in units if unit.key not in self.known]
        total = sum(unit.weight for unit in units)
        try:
            self._work(left, total, quiet, side_by_side, ray)
        except KeyboardInterrupt:
            say(f"interrupted: what is finished is kept in {self.partial_file}; the same command goes on from there")
            raise
        return {unit.key: self.known[unit.key] for unit in units}

    def finish(self, document: Document) -> None:
        """Write the result, and forget the units."""
        write(self.folder, document)
        self.partial_file.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        """The units that are kept."""
        head, *lines = self._kept().splitlines() or [self.head]
        if head != self.head:
            raise DdpmError(
                f"{self.partial_file}: unfinished work of another command, data set or model: finish it with the same"
                " command, delete the file, or give another --out"
            )
        try:
            return dict(json.loads(line) for line in lines)
        except ValueError as error:
            raise DdpmError(f"{self.partial_file}: is damaged ({error}): delete it, and begin again") from error

    def _work(self, left: Sequence[Unit], total: float, quiet: bool, side_by_side: bool, ray: str | None) -> None:
        with self._open() as file, self._bar(left, total, quiet) as bar:
            lock = threading.Lock()

            def do(unit: Unit) -> None:
                keep(unit, unit.work())

            def keep(unit: Unit, value: Any) -> None:
                with lock:
                    self.known[unit.key] = value
                    self._append(file, json.dumps([unit.key, value], allow_nan=False) + "\n")
                    bar.n = min(bar.n + unit.weight, total)  # weights are rounded, and tqdm warns of more than all
                    bar.update(0)

            if ray is not None:
                _on_cluster(ray, left, keep)
            elif side_by_side:
                run_all(do, left)
            else:
                for unit in left:
                    do(unit)

    def _bar(self, left: Sequence[Unit], total: float, quiet: bool) -> tqdm[Any]:
        """A progress bar, drawn twice a second on a terminal and once a minute in a log."""
        return tqdm(
            desc=f"bench {self.kind}",
            total=total,
            initial=max(0.0, total - sum(unit.weight for unit in left)),
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left",
            mininterval=0.5 if sys.stderr.isatty() else 60,
            disable=quiet,
            file=sys.stderr,
        )

    def _open(self) -> TextIO:
        """The file to append to, behind its head and its last whole line."""
        kept = self._kept()
        file = self.partial_file.open("a")
        file.truncate(len(kept))  # JSON is ASCII
        if not kept:
            file.write(self.head + "\n")
        return file

    def _append(self, file: TextIO, line: str) -> None:
        """Raises OutputError."""
        try:
            file.write(line)
            file.flush()
        except OSError as error:
            raise OutputError(
                f"{self.partial_file}: cannot be written ({error.strerror}): it keeps what was finished before; make"
                " room, and give the same command again"
            ) from error

    def _kept(self) -> str:
        """What the file holds, without a last line that was cut off."""
        text = self.partial_file.read_text() if self.partial_file.exists() else ""
        return text[: text.rfind("\n") + 1]


def _on_cluster(address: str, units: Sequence[Unit], keep: Callable[[Unit, Any], None]) -> None:
    """Images and models travel inside the units."""
    with cluster.connect(address) as machines:
        for number, value in machines.map_unordered(_value, [unit.work for unit in units]):
            if isinstance(value, BaseException):
                raise value
            keep(units[number], value)


def _value(work: Callable[[], Any]) -> Any:
    return work()


# --- what is measured image by image


class Task(NamedTuple):
    """Something measured on all images, group by group of consecutive ones.

    cost: time a pixel, relative to other tasks. measure: called with a group and the number of its first image.
    """

    name: str
    cost: float
    measure: Callable[[Sequence[Pixels], int], Columns]
    most_images: int = sys.maxsize
    most_pixels: int = GROUP_PIXELS

    def units(self, images: Sequence[Pixels]) -> Iterator[Unit]:
        for first, last in groups([image[..., 0].size for image in images], self.most_images, self.most_pixels):
            yield self._unit(images[first:last], first)

    def _unit(self, group: Sequence[Pixels], first: int) -> Unit:
        weight = self.cost * pixel_count(group)
        return Unit(f"{self.name}: {first}-{first + len(group)}", weight, lambda: self.measure(group, first))

    def collect(self, unit_values: Mapping[str, Columns]) -> Columns:
        """The values of all units of this task, in their order."""
        columns = [values for key, values in unit_values.items() if key.startswith(f"{self.name}: ")]
        return {name: [value for values in columns for value in values[name]] for name in columns[0]}


def groups(pixels: Sequence[int], most_images: int, most_pixels: int) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of consecutive images of these sizes: so many of them and of their pixels, but one at least."""
    first, total = 0, 0
    for number, size in enumerate(pixels):
        if number > first and (number - first == most_images or total + size > most_pixels):
            yield first, number
            first, total = number, 0
        total += size
    yield first, len(pixels)
