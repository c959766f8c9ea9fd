"""The command line, installed as `ddpmcodec`. Commands import what they need when they run: those that train or sample
PyTorch, the others nothing of that size."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from ddpmcodec import __version__
from ddpmcodec.errors import FAILURES, DdpmError

from ._common import (
    CLOSED_PIPE,
    EXIT_CODES,
    INTERRUPTED,
    failure,
    is_watched,
    leave_at_once,
    printable,
    say,
    silence,
    writing_stdout,
)

COMMANDS = {  # each a function of the module of its name, or of the one that `MODULES` names
    "encode": "Compress images without loss.",
    "decode": "Restore images, or make previews of the first bytes.",
    "truncate": "Cut a file to a rate or a quality: a lossy file.",
    "thumbnail": "Write a small upright picture of a file.",
    "info": "Print what files say of themselves.",
    "view": "Show files on a local page, with a slider over bytes.",
    "test": "Decode files and archives, and check them.",
    "archive": "Store many images in one file.",
    "train": "Train the networks of one effort of a model.",
    "export": "Make a model file of training runs.",
    "train-preview": "Train the network that corrects previews.",
    "train-jpeg": "Train networks that code JPEG files.",
    "train-gaussian": "Train a model for bits back and samples.",
    "train-ddpm": "Train the network of the DDPM paper.",
    "sample": "Draw images from a model.",
    "interpolate": "Interpolate between two images.",
    "bound": "Measure the variational bound of a model.",
    "quality": "Compare two folders of images by FID and others.",
    "bench": "Measure size, rate and distortion, and speed.",
    "doctor": "Examine this installation.",
    "completion": "Print a script for tab completion.",
}
MODULES = {
    "thumbnail": "truncate",
    "train-preview": "train",
    "train-jpeg": "train",
    "export": "train",
    "train-gaussian": "train_paper",
    "train-ddpm": "train_paper",
    "interpolate": "sample",
    "bound": "evaluate",
    "quality": "evaluate",
}

NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())  # since click 8.2: its message is the help
# New objects after which Python looks for cycles. Its 700 (up to 3.12) took a seventh of the time of a small image.
CYCLES = 1 << 13
COMPLETE = "_DDPMCODEC_COMPLETE"  # the variable by which a shell's script asks for completions


class ClosedPipe(Exception):
    """Stands for a BrokenPipeError, on which click would exit."""


@contextmanager
def _pipes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedPipe from error


EXTRAS = {"torch": "train"}  # modules that coding does not need, and the extra that brings them


class LazyGroup(click.Group):
    """A group whose commands are imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing all commands, and in whole sentences."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _pipes(), writing_stdout():  # help
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _pipes():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest commands in place of one that does not exist."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing and (nearest := _nearest(args[0])):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(map(repr, nearest))}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        function = name.replace("-", "_")
        command: click.Command = getattr(import_module(f"{__name__}.{MODULES.get(name, function)}"), function)
        return command


def _nearest(name: str) -> list[str]:
    """Return the commands that begin so, or else one that is spelled alike."""
    from difflib import get_close_matches

    longer = [command for command in COMMANDS if name and command.startswith(name)]
    return longer or get_close_matches(name, COMMANDS, n=1)


@click.group(cls=LazyGroup, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Compress images without loss with a diffusion model; any prefix of a file decodes to a preview."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; errors that are not defects end as one line on stderr."""
    try:
        return _run(arguments)
    except (ClosedPipe, BrokenPipeError):
        silence(sys.stdout, sys.stderr)
        return CLOSED_PIPE


def _run(arguments: Sequence[str] | None) -> int:
    """Raises ClosedPipe or BrokenPipeError where the reader of stdout or stderr has gone away."""
    try:
        return cli.main(arguments, prog_name="ddpmcodec", standalone_mode=False) or 0
    except click.ClickException as error:
        if not isinstance(error, NO_ARGUMENTS):
            error.message = printable(error.message)  # type: ignore[misc]  # click's own classes keep it as it is
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted: files that were finished stay, nothing was kept of the one in progress")
        return INTERRUPTED
    except FAILURES as error:
        return failure(error)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        return failure(DdpmError(f"this command needs {error.name}: pip install 'ddpmcodec[{EXTRAS[error.name]}]'"))


def main() -> None:
    """Entry point of the console script."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # of OpenMP, where PyTorch loads it: threads sleep
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # so do those of NumPy's BLAS
    if is_watched() and 0 in os.get_terminal_size(sys.stderr.fileno()):  # as of some containers and serial lines
        os.environ.setdefault("TQDM_NCOLS", "80")  # bars would not be drawn
        os.environ.setdefault("TQDM_NROWS", "24")
    gc.set_threshold(CYCLES)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata, say, which is no news of ours
    if COMPLETE in os.environ:
        import_module(f"{__name__}.completion")  # what shells ask for then
    code = run()
    if code == INTERRUPTED:  # PyTorch, where it is there, takes a second to be torn down
        leave_at_once(code)
    gc.freeze()  # the process ends: no cycles are looked for any more, as every file is closed by now
    sys.exit(code)
