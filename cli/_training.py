"""What the commands that train share: options, and how a run ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

from ddpmcodec.errors import DdpmError, OutputError

from ._common import naming_options, say
from ._options import PATH_NAME, Finite

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., object])
ARGUMENT = re.compile(r"(?<![^\s(])(\w+)=(\.\.\.)?")  # in an error: as a word, and not in a path


def _data_or_resume(context: click.Context, _option: click.Parameter, data: tuple[str, ...]) -> tuple[str, ...]:
    """Raises UsageError for a command that neither begins a run nor goes on with one."""
    if not data and not context.params["resume"]:
        raise click.UsageError("name images to train on with --data, or go on with the run in --out with --resume")
    return data


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
    type=Finite(0, min_open=True),
    default=1.5,
    show_default=True,
    help="Training time; learning rates reach zero at its end.",
)
steps_option = click.option(
    "--steps", type=click.IntRange(1), help="Number of steps, instead of --hours: a run that repeats exactly."
)
camera_option = click.option(
    "--camera-share",
    type=Finite(0, 1),
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
    "--validate", type=PATH_NAME, metavar="PATH", help="Data to evaluate on, instead of images held out."
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
    type=Finite(0),
    default=10.0,
    show_default=True,
    help="Between evaluations on held-out images.",
)


def rate_options(inner: str, *, adam: float, muon: float = 0.02) -> Callable[[Command], Command]:
    """Adds --muon-rate, the learning rate of `inner`, and --adam-rate."""
    of_inner = click.option(
        "--muon-rate",
        type=Finite(0, min_open=True),
        default=muon,
        show_default=True,
        help=f"Learning rate of {inner}",
    )
    rest = click.option(
        "--adam-rate",
        type=Finite(0, min_open=True),
        default=adam,
        show_default=True,
        help="Learning rate of everything else.",
    )
    return lambda command: of_inner(rest(command))


def chosen() -> set[str]:
    """Names of the options that the command line gives."""
    context = click.get_current_context()
    return {name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT}


def chosen_of_a_length() -> set[str]:
    """`chosen` of a command with --hours and --steps: --hours chooses no steps, too, so that a resumed run that went by
    these goes by hours. Raises UsageError where both are given."""
    given = chosen()
    if {"steps", "hours"} <= given:
        raise click.UsageError("--steps takes the place of --hours: give one of them")
    return given | {"steps"} if "hours" in given else given


def absolute(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Paths that a resumed run finds from any folder."""
    return tuple(str(Path(path).resolve()) for path in paths)


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


def trained(out: str, run: Callable[[], tuple[T, bool]]) -> T | None:
    """The trainer of a run that is done; None, after saying what is kept, where it was interrupted.

    Raises OutputError, which says so too, where the run cannot write.
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
