"""Work on many files: what is chosen for all of them, and the run from their names to an exit code."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from ddpmcodec.errors import DdpmError, DiskError, ImageError, OutputError
from ddpmcodec.formats.files import remove_source
from ddpmcodec.formats.folders import OnError, Pair, Source, by_extension, collisions, files_below

from ._common import STANDARD, counted, model_loader, say
from ._options import as_one, force_option, quiet_option, threads_option, verbose_option, with_options
from ._outputs import Outputs, version_of
from ._report import Bar, Report, Result, Shape, Task

if TYPE_CHECKING:
    from ddpmcodec.codec.passes import Key
    from ddpmcodec.errors import Failure
    from ddpmcodec.models.registry import Model

Read = Callable[[Task], bytes]
COARSEST_TIME = 2 * 10**9  # nanoseconds: what disks such as FAT round times to, which are whole seconds then
FINE_TIME = 10**3  # nanoseconds: to less than this all others do
SHOWN_SUFFIXES = 5  # of the files of a folder that are left out
ray_option = click.option(
    "--ray",
    metavar="ADDRESS",
    help="Work on all machines of a Ray cluster: HOST:PORT of its head, auto (the one of this machine), or local. Needs"
    " pip install 'ddpmcodec[ray]'.",
)


@dataclass(frozen=True)
class Choice:
    """What is chosen for all files of a run."""

    files: tuple[str, ...]
    output: str | None
    recursive: bool
    jobs: int | None
    threads: int | None
    ray: str | None
    skip_existing: bool
    dry_run: bool
    force: bool
    as_json: bool
    quiet: bool
    verbose: bool


_OPTIONS = (
    click.option(
        "-r",
        "--recursive",
        is_flag=True,
        help="Take all files below folders, too. OUT is then a folder that mirrors theirs.",
    ),
    click.option(
        "--skip-existing",
        is_flag=True,
        help="Leave out a file whose output is whole, has an image of the same size, and is not older (by two seconds"
        " on disks that keep whole seconds); pixels are not compared. Outputs of changed files are written again; one"
        " that is not whole is an error.",
    ),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing."),
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Work on at most N files at a time, each on one thread; with 1, on one after another, each on all threads."
        " Small files of one size are coded together. [default: the number of threads, if there are so many files]",
    ),
    threads_option,
    ray_option,
    force_option,
    click.option("--json", "as_json", is_flag=True, help="JSON on standard output: a line a file, then the summary."),
    quiet_option,
    verbose_option,
)


def many_options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds the options of `Choice`, beside FILES and --output, and hands all of them over as one argument."""
    return with_options(as_one(Choice, function), _OPTIONS)


class Work(Protocol):
    """What a command does with files. verb, noun: for messages. compared: what `fits` and times say of an output that
    exists. keep_suffix: outputs keep the suffix of their inputs before `suffix`, or what `suffix_of` says. removes:
    inputs are removed once their outputs are written, or `code` found them in outputs that exist. extensions: those of
    the files that are taken from folders; None: those of images."""

    verb: str
    noun: str
    compared: str
    suffix: str
    keep_suffix: bool
    removes: bool

    @property
    def extensions(self) -> Collection[str] | None: ...

    def suffix_of(self, name: str) -> str | None:
        """The suffix of an input's output, where it is not `suffix`."""

    def shape(self, name: str) -> Shape | None:
        """Looks at the start of a file. Raises DdpmError where it is of another kind."""

    def is_whole(self, path: Path) -> bool:
        """Whether a file that exists could be what this command wrote there. Raises OSError."""

    def fits(self, name: str, path: Path) -> bool:
        """Whether such a file can be of this input, as far as the sizes of their pictures say. Raises OSError."""

    def prepare(self) -> None:
        """Loads what all files need. Raises ModelError."""

    def read(self, task: Task, bar: Bar) -> bytes:
        """Raises ImageError, OSError."""

    def code(self, tasks: Sequence[Task], datas: Sequence[bytes], bar: Bar) -> list[Result]:
        """Makes files of others, with --ray on other machines; those of one shape come together. Raises DdpmError."""


def run(choice: Choice, work: Work) -> int:
    """Works on all files, and returns the exit code."""
    if choice.force and choice.skip_existing:
        raise click.UsageError("-f overwrites what exists, --skip-existing leaves it: give one of them")
    if choice.ray is not None and (choice.jobs or choice.threads):
        raise click.UsageError("with --ray all processors of the cluster work: leave out --jobs and --threads")
    outputs = Outputs(
        choice.files, choice.output, work.suffix,
        force=choice.force, mirror=choice.recursive, keep_suffix=work.keep_suffix,
    )  # fmt: skip
    report = Report(as_json=choice.as_json, quiet=choice.quiet, compresses=work.verb == "encode")
    tasks = list(_planned(_named(choice, work, report), outputs, choice, work, report))
    if choice.dry_run:
        report.planned(tasks)
    elif tasks:
        work.prepare()
        failed_before = len(report.codes)
        try:
            _work_through(tasks, outputs, choice, work, report)
        except DiskError as error:  # each of the others would be worked on in vain
            failed = len(report.codes) - failed_before
            report.ended(error, len(tasks) - report.done - failed)
    return report.finish()


def _named(choice: Choice, work: Work, report: Report) -> dict[str, Source]:
    """The files by their names, each once."""
    sources: dict[str, Source] = {}
    seen: set[str | Path] = set()
    for name in choice.files:
        if (path := name if name == STANDARD else Path(name)) in seen:  # a.png and ./a.png
            continue
        seen.add(path)
        try:
            if choice.recursive and name != STANDARD and Path(name).is_dir():
                sources |= _below(Path(name), choice, work, report)
            else:
                sources[name] = source_of(name, work.verb)
        except (ImageError, OSError) as error:
            report.failed(name, error)
    return sources


def _below(folder: Path, choice: Choice, work: Work, report: Report) -> dict[str, Source]:
    """Raises ImageError where a folder has nothing to work on."""

    def unreadable(error: OSError) -> None:
        report.failed(str(error.filename), error)

    quiet = choice.quiet
    sources = folder_sources(folder, work.extensions, work.noun, quiet, unreadable)
    if not sources:
        raise ImageError(f"{folder}: there is no {work.noun} in it")
    return {str(source.path): source for source in sources}


def _planned(
    sources: dict[str, Source], outputs: Outputs, choice: Choice, work: Work, report: Report
) -> Iterator[Task]:
    """The tasks, without outputs that must not be written, or are there already."""
    targets = {name: outputs.name(name, source.below, work.suffix_of(name)) for name, source in sources.items()}
    if choice.as_json and STANDARD in targets.values():
        raise click.UsageError("--json and an image cannot both be on standard output: name a file with -o")
    if work.removes and STANDARD in {*targets, *targets.values()}:
        raise click.UsageError("--rm needs inputs and outputs that are files: name them, the output with -o")
    alike = collisions(Pair(Path(name), Path(target)) for name, target in targets.items() if target != STANDARD)
    said: set[str] = set()
    for name, target in targets.items():
        if problem := alike.get(Path(name)):
            kept = ", give --keep-suffix" if work.verb == "encode" and not work.keep_suffix else ""
            error = OutputError(f"{problem}: rename one{kept}, or give them different folders with -o")
            report.failed(name, error, was_said=problem in said)
            said.add(problem)
            continue
        try:
            if work.removes and os.path.exists(target) and not os.path.isfile(target):
                raise OutputError(f"{target}: is no file, and --rm would remove the image: name a file with -o")
            outdated = choice.skip_existing and target != STANDARD and os.path.lexists(target)
            if outdated:
                if not work.is_whole(Path(target)):
                    raise OutputError(f"{target}: exists, but is not a whole file: remove it to write it again")
                if not work.removes and (name == STANDARD or _is_done(Path(name), Path(target), work)):
                    report.skipped(name, target, work.compared, alone=len(targets) == 1)
                    continue
            if choice.dry_run and name != STANDARD:
                os.stat(name)  # which reading it would say otherwise
            shape = work.shape(name)  # first, as what is no image is best called so
            compares = outdated and work.removes  # it alone with what is there
            yield Task(name, outputs.check(name, target, replaces=outdated), None if compares else shape, outdated)
        except (DdpmError, OSError) as error:
            report.failed(name, error)


def _is_done(source: Path, output: Path, work: Work) -> bool:
    """Whether a whole output fits a file that was not changed after it was worked on: outputs have the times of their
    inputs. Raises OSError."""
    if not work.fits(str(source), output):
        return False
    time = output.stat().st_mtime_ns
    return not source.stat().st_mtime_ns >= time + (FINE_TIME if time % 10**9 else COARSEST_TIME)


def _work_through(tasks: Sequence[Task], outputs: Outputs, choice: Choice, work: Work, report: Report) -> None:
    from ddpmcodec.codec.passes import ALONE, work_through
    from ddpmcodec.parallel import threads_of

    read_versions: dict[str, tuple[int, ...]] = {}

    def read(task: Task) -> bytes:
        read_versions[task.name] = version_of(task.name)
        return work.read(task, report.bar)

    def done(task: Task, outcome: Result | Failure) -> None:
        def is_unchanged() -> bool:
            return version_of(task.name) == read_versions[task.name]

        def require_unchanged() -> None:
            if not is_unchanged():
                raise OutputError(f"{task.name}: was changed after it had been read: run the command again")

        if isinstance(outcome, Result):
            try:
                outputs.write(task.output, outcome.content, task.name, replaces=task.replaces, still=require_unchanged)
                if work.removes and len(outcome.content) > outcome.read:
                    outcome.warnings.append(f"{task.name}: is kept, as {task.output} is larger")
                elif work.removes and not is_unchanged():
                    outcome.warnings.append(f"{task.name}: is kept, as it was changed after it had been encoded")
                elif work.removes:
                    remove_source(Path(task.name), Path(task.output))
            except DdpmError as error:
                outcome = error
        report.add(task, outcome)
        if isinstance(outcome, DiskError):
            raise outcome

    keys = [(task.shape.pixels, task.shape.alike) if task.shape else (ALONE, task) for task in tasks]
    several = len(tasks) > 1
    name = f"{len(tasks)} files" if several else tasks[0].name
    with threads_of(choice.threads), Bar(name, tasks, shown=not choice.quiet) as report.bar:
        if choice.ray is not None:
            _on_cluster(choice.ray, tasks, keys, read, done, work, report.bar)
        else:
            code = functools.partial(_code_here, work, read, report.bar)
            work_through(tasks, keys, code, done, choice.jobs)


def _code_here(work: Work, read: Read, bar: Bar, tasks: Sequence[Task]) -> list[Result]:
    return work.code(tasks, [read(task) for task in tasks], bar)


def _on_cluster(
    address: str,
    tasks: Sequence[Task],
    keys: Sequence[Key],
    read: Read,
    done: Callable[[Task, Result | Failure], None],
    work: Work,
    bar: Bar,
) -> None:
    """Files are read and written here alone; the bar moves as they are done."""
    from ddpmcodec.plugins import cluster

    def done_here(task: Task, outcome: Result | Failure) -> None:
        done(task, outcome)
        if task.shape and (advance := bar.progress([task], task.shape, 1)):
            advance(task.shape.pixels)

    with cluster.connect(address) as machines:
        code = functools.partial(_code_there, work)
        cluster.work_through(machines, tasks, keys, lambda task: (task, read(task)), code, done_here)


def _code_there(work: Work, sent: Sequence[tuple[Task, bytes]]) -> list[Result]:
    return work.code([task for task, _ in sent], [data for _, data in sent], Bar("", (), shown=False))


# --- files and folders that a command is given


def folder_sources(
    folder: Path, extensions: Collection[str] | None, noun: str, quiet: bool, on_error: OnError
) -> list[Source]:
    """Files of a folder and of those in it, by their extensions (default: images); says what it leaves out."""
    files = files_below(folder, on_error)
    sources = by_extension(folder, files, extensions)
    if len(sources) < len(files) and not quiet:
        others = sorted({file.suffix or file.name for file in files} - {source.path.suffix for source in sources})
        which = ", ".join(others[:SHOWN_SUFFIXES]) + (", ..." if len(others) > SHOWN_SUFFIXES else "")
        count = f"{len(files) - len(sources)} of {counted(len(files), 'file')}"
        say(f"{folder}: left out {count} that are no {noun} by name: {which}")
    return sources


def source_of(name: str, command: str) -> Source:
    """A file that is named itself, or standard input. Raises ImageError for a folder."""
    path = Path(name)
    if name != STANDARD and path.is_dir():
        raise ImageError(f"{name}: is a folder: use -r to {command} all files below it")
    return Source(path, Path("stdin") if name == STANDARD else Path(path.name))


# --- a model for all of them


@dataclass(frozen=True)
class SentModel:
    """A model as the bytes of its file, which other machines cannot read. source: what errors call it."""

    data: bytes
    source: str

    def __call__(self) -> Model:
        return _parsed(self.data, self.source)


@cache
def _parsed(data: bytes, source: str) -> Model:
    """Parses a model once in a worker."""
    from ddpmcodec.models.registry import parse

    return parse(data, source)


def loader(source: str | None, *, ray: str | None) -> Callable[[], Model | None]:
    """`model_loader`; with --ray, one that can be sent. Raises ModelError."""
    if ray is None or source is None:
        return model_loader(source) if ray is None else _no_model
    from ddpmcodec.models.registry import read

    return SentModel(read(source), source)


def _no_model() -> None:
    """The codec finds an embedded one."""
