"""What the commands that train share: options, and how a run ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from ddpmcodec.errors import DdpmError, OutputError

from ._common import INTERRUPTED, counted, naming_options, say
from ._options import PATH_NAME, FiniteRange, as_one, with_options

if TYPE_CHECKING:
    from ddpmcodec.training.run import Trainer

T = TypeVar("T", bound="Trainer")
Command = Callable[..., Any]
ARGUMENT = re.compile(r"(?<![^\s(])(\w+)=(\.\.\.)?")  # in an error: as a word, and not in a path


def _data_or_resume(context: click.Context, _option: click.Parameter, data: tuple[str, ...]) -> tuple[str, ...]:
    """Return paths that a resumed run finds from any folder. Raises UsageError for a command that neither begins a run
    nor goes on with one."""
    if not data and not context.params["resume"]:
        raise click.UsageError("name images to train on with --data, or go on with the run in --out with --resume")
    return tuple(map(_absolute, data))


def _absolute_path(_context: click.Context, _option: click.Parameter, path: str | None) -> str | None:
    return None if path is None else _absolute(path)


def model_or_path(_context: click.Context, _option: click.Parameter, source: str | None) -> str | None:
    """Return the name of an embedded model as it is, and any other as a path that a resumed run finds."""
    from ddpmcodec import models

    return source if source is None or source in models.names() else _absolute(source)


def _absolute(path: str) -> str:
    return str(Path(path).resolve())


data_option = click.option(
    "--data",
    multiple=True,
    type=PATH_NAME,
    callback=_data_or_resume,
    metavar="PATH",
    help="Folder of images, .npy/.npz array, .ddpma archive, or CIFAR-10 root. May be given several times.",
)
out_option = click.option(
    "--out", required=True, type=PATH_NAME, metavar="RUN", help="Folder for the state, the log and the rest."
)
resume_option = click.option(
    "--resume",
    is_flag=True,
    is_eager=True,  # --data looks at it
    help="Go on with the run in --out, with its settings; its length may change. Where there is none, begin it.",
)
hours_option = click.option(
    "--hours",
    type=FiniteRange(0, min_open=True),
    default=1.5,
    show_default=True,
    help="Training time; learning rates reach zero at its end.",
)
steps_option = click.option(
    "--steps", type=click.IntRange(1), help="Number of steps, instead of --hours: a run that repeats exactly."
)
camera_option = click.option(
    "--camera-share",
    type=FiniteRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the crops that get a sensor's noise and blur: for photographs that were made smaller.",
)
hold_out_option = click.option(
    "--hold-out",
    type=click.IntRange(0),
    help="Last images of the first data set, kept for evaluation; default: a tenth, 2000 at most.",
)
validate_option = click.option(
    "--validate",
    type=PATH_NAME,
    callback=_absolute_path,
    metavar="PATH",
    help="Data to evaluate on, instead of images held out.",
)
seed_option = click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
compile_option = click.option(
    "compiled",
    "--compile/--no-compile",
    default=None,
    help="Compile what is trained: faster after some minutes, needs a C++ compiler; default: yes, or as a run began.",
)
device_option = click.option(
    "--device", metavar="NAME", help="cpu, cuda, cuda:1, ...; default: a GPU where there is one."
)


evaluate_option = click.option(
    "--evaluate-minutes",
    type=FiniteRange(0),
    default=10.0,
    show_default=True,
    help="Between evaluations on held-out images.",
)


def rate_options(inner: str, *, adam: float, muon: float = 0.02) -> Callable[[Command], Command]:
    """Adds --muon-rate, the learning rate of `inner`, and --adam-rate."""
    of_inner = click.option(
        "--muon-rate",
        type=FiniteRange(0, min_open=True),
        default=muon,
        show_default=True,
        help=f"Learning rate of {inner}",
    )
    rest = click.option(
        "--adam-rate",
        type=FiniteRange(0, min_open=True),
        default=adam,
        show_default=True,
        help="Learning rate of everything else.",
    )
    return lambda command: of_inner(rest(command))


def run_options(command: Command) -> Command:
    """Adds --data, --out and --resume, with which the options of every command that trains begin."""
    return with_options(command, (data_option, out_option, resume_option))


def held_out_options(command: Command) -> Command:
    """Adds --hold-out and --validate, which name the images to evaluate on."""
    return with_options(command, (hold_out_option, validate_option))


def progress_options(*more: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Adds --seed, --evaluate-minutes and `more`, which end them, and hands a command its `RunOptions` as one value."""
    return lambda command: with_options(as_one(RunOptions, command), (seed_option, evaluate_option, *more))


@dataclass(frozen=True)
class RunOptions:
    """Options of a run that are no settings of what it trains: a resumed run takes new ones.

    Attributes:
        device, compiled: as the trainers take them; a command may have neither option.
    """

    out: str
    resume: bool
    evaluate_minutes: float
    device: str | None = None
    compiled: bool | None = None

    def train(
        self, train: Callable[..., tuple[T, bool]], settings: object, then: Callable[[T], str | None], *,
        chosen: Collection[str] | None = None, noun: str = "image",
    ) -> int:  # fmt: skip
        """Train until a run is done or interrupted, say which, and return the exit code.

        Parameters:
            train: a trainer's function of that name.
            then: makes of the trainer the end of the last line; None says nothing.
            chosen: names of the settings that the command line chooses; by default those of its options.
            noun: each of the things that were trained on.

        Raises:
            OutputError: if the run cannot write.
        """
        how = {name: value for name, value in vars(self).items() if name != "out"}
        how = {name: value for name, value in how.items() if name in click.get_current_context().params}
        how["chosen"] = chosen_settings() if chosen is None else chosen
        trainer = _trained(self.out, lambda: train(settings, Path(self.out), say, **how))
        if trainer is None:
            return INTERRUPTED
        if (last := then(trainer)) is not None:
            done = f"{counted(trainer.step, 'step')}, {counted(trainer.images, noun)}"
            say(f"{self.out}: {done}; {last}")
        return 0


def chosen_settings() -> set[str]:
    """Return the names of the settings that the command line chooses.

    Of a command with --hours and --steps, --hours chooses no steps, too, so that a resumed run that went by these goes
    by hours. Raises UsageError if both are given.
    """
    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    if {"steps", "hours"} <= given:
        raise click.UsageError("--steps takes the place of --hours: give one of them")
    if "hours" in given and "steps" in context.params:
        given.add("steps")
    return given - {each.name for each in fields(RunOptions)}


@contextmanager
def naming_settings() -> Iterator[None]:
    """Errors name this command's options in place of settings and arguments of the library: `--crop 16` for `crop=16`,
    and `--crop` for `crop=...`."""
    options = {each.name: each.opts[0] for each in click.get_current_context().command.params}

    def option(argument: re.Match[str]) -> str:
        name, is_alone = argument.groups()
        return options[name] + ("" if is_alone else " ") if name in options else argument[0]

    try:
        with naming_options():
            yield
    except DdpmError as error:
        raise type(error)(ARGUMENT.sub(option, str(error))) from error


def _trained(out: str, run: Callable[[], tuple[T, bool]]) -> T | None:
    """Return the trainer of a run that is done; None, after saying what is kept, if it was interrupted.

    Raises OutputError, which says so too, if the run cannot write.
    """
    try:
        with naming_settings():
            trainer, done = run()
    except KeyboardInterrupt:
        done = False
    except OutputError as error:
        raise OutputError(f"{error}; {_saved(out)}") from error
    if done:
        return trainer
    say(f"{out}: interrupted; {_saved(out)}")
    return None


def _saved(out: str) -> str:
    saved = Path(out, "state.safetensors").exists()
    return "--resume goes on from the last save" if saved else "nothing was saved yet"
