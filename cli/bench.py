"""ddpmcodec bench: each of its commands is a module bench_NAME of this package."""

from __future__ import annotations

import click

from . import LazyGroup
from ._common import EXIT_CODES

COMMANDS = ("bpd", "rd", "speed", "strips", "report", "compare", "readme")


@click.group(cls=LazyGroup, names=COMMANDS, prefix="bench_", epilog=EXIT_CODES)
def bench() -> None:
    """Measure size, rate versus distortion and speed beside other codecs, and compare with earlier results.

    Results are bench-NAME.json in the folder --out, beside their figures. A run that was interrupted goes on when it is
    started again. Under torchrun the ranks share the images. pip install 'ddpmcodec[bench,data]' for all of it.
    """
