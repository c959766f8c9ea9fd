"""What the commands of `ddpmcodec bench` share: options, and the command line that a result file keeps."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ddpmcodec.errors import OutputError

from ._common import INTERRUPTED

if TYPE_CHECKING:
    from ddpmcodec.benchmarks._results import Document

data_option = click.option(
    "--data",
    required=True,
    metavar="DATA",
    help="Folder of images, .npy array [N, H, W, 3], CIFAR-10 root of torchvision, or a name: cifar10, looked for in"
    " $DDPMCODEC_DATA, ./cifar10 and ./data; graphics, icons and screenshots that are drawn.",
)
split_option = click.option(
    "--split", type=click.Choice(["test", "train"]), default="test", show_default=True, help="Of CIFAR-10."
)
out_option = click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the result file and the figures; made where it is missing.",
)
baselines_option = click.option("--no-baselines", is_flag=True, help="Without the other codecs.")
limit_option = click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N images only.")


def efforts_option(default: str, what: str) -> Callable[[Any], Any]:
    """--efforts, several of 1, 2, 3."""
    return click.option(
        "--efforts", type=numbers(1, 3), default=default, show_default=True, metavar="E,E,...", help=what
    )


def numbers(least: int, most: int | None = None, *, none: bool = False) -> Callable[[Any], tuple[int, ...]]:
    """An option's type: whole numbers in a range, separated by commas. none: an empty text is no number."""
    return _separated(click.IntRange(least, most), none)


def reals(least: float, most: float | None = None, *, none: bool = False) -> Callable[[Any], tuple[float, ...]]:
    """An option's type: numbers in a range, separated by commas. none: an empty text is no number."""
    return _separated(click.FloatRange(least, most), none)


def _separated(each: Any, none: bool) -> Callable[[Any], tuple[Any, ...]]:
    def convert(value: Any) -> tuple[Any, ...]:
        if isinstance(value, tuple):  # a default
            return value
        parts = [] if none and not value else value.split(",")
        return tuple(dict.fromkeys(each.convert(part.strip(), None, None) for part in parts))

    return convert


def command_line() -> str:
    """The command that runs, as it can be typed again."""
    context = click.get_current_context()
    return shlex.join([*context.command_path.split(), *_given(context)])


def _given(context: click.Context) -> Iterator[str]:
    """What was given of options and arguments."""
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if context.get_parameter_source(parameter.name or "") is not ParameterSource.COMMANDLINE:
            continue
        for each in (value or ()) if parameter.multiple or parameter.nargs != 1 else [value]:
            yield from _words(parameter, each)


def _words(parameter: click.Parameter, value: Any) -> list[str]:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if isinstance(parameter, click.Argument):
        return [text]
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return [parameter.opts[0] if value else parameter.secondary_opts[0]]
    return [parameter.opts[-1], text]


def refuse_existing(out: Path, kind: str, *, force: bool) -> None:
    """Raises OutputError where there is a result already, which may have taken hours, and --force was not given."""
    if (path := out / f"bench-{kind}.json").exists() and not force:
        raise OutputError(f"{path}: exists already: use -f to overwrite it, or name another folder with --out")


def measure(work: Callable[[], Document | None]) -> int:
    """Run a benchmark, print the tables of its result, and return the exit code.

    Interrupted, it has said what it kept. Of torchrun's ranks all but the first have no result.
    """
    try:
        found = work()
    except KeyboardInterrupt:
        return INTERRUPTED
    if found is not None:
        print_tables(found)
    return 0


def print_tables(found: Document) -> None:
    from ddpmcodec.benchmarks._results import benchmark

    click.echo("\n\n".join(table.markdown() for table in benchmark(found["kind"]).tables(found)))
