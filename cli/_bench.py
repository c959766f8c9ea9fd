"""What the commands of `ddpmcodec bench` share: options, and the command line that a result file keeps."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ddpmcodec._native import LEVELS, MAX_EFFORT, MIN_EFFORT
from ddpmcodec.errors import OutputError

from ._common import INTERRUPTED, echo
from ._options import FiniteRange, as_one, force_option, with_options

if TYPE_CHECKING:
    from ddpmcodec.benchmarks._results import Document
    from ddpmcodec.codec.efforts import Coding

PAIRS = f"E: effort {MIN_EFFORT} to {MAX_EFFORT}, L: levels {', '.join(map(str, LEVELS[:-1]))} or {LEVELS[-1]}."
out_option = click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the result file and the figures; made where it is missing.",
)
bench_model_option = click.option(
    "--model",
    metavar="NAME|PATH",
    help="An embedded model, or an exported one, for all images; by default the embedded one that suits most of them"
    " (`encode` chooses for each).",
)
denoiser_option = click.option(
    "--denoiser",
    metavar="SOURCE",
    help="Of the paper's system: a Gaussian model, or a checkpoint of its network (a folder, a file, or hub:OWNER/NAME)"
    "; by default the embedded model.",
)
no_bars_option = click.option("-q", "--quiet", is_flag=True, help="No progress bars.")
baselines_option = click.option("--no-baselines", is_flag=True, help="Without the other codecs.")


@dataclass(frozen=True)
class Request:
    """What every benchmark over the images of a data set is asked for."""

    data: str
    out: Path
    limit: int | None
    split: str
    no_baselines: bool
    force: bool
    quiet: bool
    settings: tuple[Coding, ...] = ()
    model: str | None = None

    def measure(self, kind: str, plan: Callable[[Any], Any], **options: Any) -> int:
        """Runs `ddpmcodec.benchmarks.<kind>` and returns the exit code. plan: made of that module's `Plan`."""
        refuse_existing(self.out, kind, force=self.force)

        from ddpmcodec.benchmarks._data import load_dataset

        module = import_module(f"ddpmcodec.benchmarks.{kind}")
        dataset = load_dataset(self.data, split=self.split, limit=self.limit)
        options |= {"command": command_line(), "baselines": not self.no_baselines, "quiet": self.quiet}
        return measure(lambda: module.run(dataset, self.out, self.model, plan(module.Plan), **options))


def data_options(limit: int | None = None) -> tuple[Callable[[Any], Any], ...]:
    """Options of `Request` that choose the images and the folder of results. limit: the default."""
    return (
        click.option(
            "--data",
            required=True,
            metavar="DATA",
            help="Folder of images, .npy array [N, H, W, 3], .ddpma archive, CIFAR-10 root of torchvision, or a name:"
            " cifar10, looked for in $DDPMCODEC_DATA, ./cifar10 and ./data; kodak, div2k or clic-p, whose folders are"
            " looked for in $DDPMCODEC_DATA and ./data; graphics, icons and screenshots that are drawn.",
        ),
        out_option,
        click.option(
            "--limit",
            type=click.IntRange(1),
            default=limit,
            show_default=limit is not None,
            metavar="N",
            help="The first N images only.",
        ),
        click.option(
            "--split", type=click.Choice(["test", "train"]), default="test", show_default=True, help="Of CIFAR-10."
        ),
    )


def request_options(settings: str, what: str, *, limit: int | None = None) -> Callable[[Any], Any]:
    """Adds options of `Request` before those of the command, and hands them over as one argument, with `run_options`.

    settings, limit: the defaults. what: which files the settings are of, for the help.
    """
    of_settings = click.option(
        "--settings",
        type=codings(),
        default=settings,
        show_default=True,
        metavar="E/L,E/L,...",
        help=f"{what} {PAIRS}",
    )
    return lambda function: with_options(as_one(Request, function), (*data_options(limit), of_settings))


def request_without_model(function: Callable[[Request], int]) -> Callable[..., int]:
    """Adds the options of `Request` of a command that needs no model, and hands them over as one argument."""
    options = (*data_options(), baselines_option, force_option, no_bars_option)
    return with_options(as_one(Request, function), options)


def run_options(function: Callable[..., int]) -> Callable[..., int]:
    """The other options of `Request`, which stand after those of the command."""
    return with_options(function, (baselines_option, bench_model_option, force_option, no_bars_option))


def numbers(least: int, *, none: bool = False) -> Callable[[Any], tuple[int, ...]]:
    """An option's type: whole numbers from `least` on, separated by commas. none: an empty text is no number."""
    return _separated(click.IntRange(least), none)


def codings(*, none: bool = False) -> Callable[[Any], tuple[Coding, ...]]:
    """An option's type: pairs of effort and noise levels, separated by commas. none: an empty text is no pair."""
    return _separated(_Pair(), none)


class _Pair:
    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Coding:
        from ddpmcodec.codec.efforts import Coding

        effort: Any
        effort, slash, levels = value.partition("/")
        if not slash:
            raise click.BadParameter(f"{value!r} is no effort and levels such as 2/0.", ctx, param)
        chosen = click.Choice([str(count) for count in LEVELS]).convert(levels, param, ctx)
        return Coding(click.IntRange(MIN_EFFORT, MAX_EFFORT).convert(effort, param, ctx), int(chosen))


def reals(least: float, *, none: bool = False) -> Callable[[Any], tuple[float, ...]]:
    """An option's type: numbers from `least` on, separated by commas. none: an empty text is no number."""
    return _separated(FiniteRange(least), none)


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
    """The options and arguments that were given, as words."""
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if context.get_parameter_source(parameter.name or "") is not ParameterSource.COMMANDLINE:
            continue
        for each in (value or ()) if parameter.multiple or parameter.nargs != 1 else [value]:
            yield from _words(parameter, each)


def _words(parameter: click.Parameter, value: Any) -> list[str]:
    text = ",".join(map(_text, value)) if isinstance(value, tuple) else str(value)
    if isinstance(parameter, click.Argument):
        return [text]
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return [parameter.opts[0] if value else parameter.secondary_opts[0]]
    return [parameter.opts[-1], text]


def _text(value: Any) -> str:
    from ddpmcodec.codec.efforts import Coding

    return f"{value.effort}/{value.levels}" if isinstance(value, Coding) else str(value)


def refuse_existing(out: Path, kind: str, *, force: bool) -> None:
    """Raises OutputError where there is a result already, which may have taken hours, and --force was not given."""
    from ddpmcodec.benchmarks._results import path_of

    if (path := path_of(out, kind)).exists() and not force:
        raise OutputError(f"{path}: exists already: use -f to overwrite it, or name another folder with --out")


def measure(work: Callable[[], Document]) -> int:
    """Run a benchmark, print the tables of its result, and return the exit code.

    Interrupted, it has said what it kept.
    """
    try:
        document = work()
    except KeyboardInterrupt:
        return INTERRUPTED
    print_tables(document)
    return 0


def print_tables(document: Document) -> None:
    from ddpmcodec.benchmarks._results import benchmark

    tables = benchmark(document["kind"]).tables(document)
    echo("\n\n".join(f"{table.caption}:\n\n{table.markdown()}" for table in tables))
