"""ddpmcodec test"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from ._common import (
    EXIT_CODES,
    each,
    failure,
    file_model_option,
    files_argument,
    is_watched,
    label,
    max_pixels_option,
    naming,
    printable,
    progress,
    quiet_option,
    read_input,
    say,
)
from ._many import loader, ray_option

if TYPE_CHECKING:
    from ddpmcodec.models.context import ContextModel

Network = Callable[[], "ContextModel | None"]


@click.command(epilog=EXIT_CODES)
@files_argument
@file_model_option
@max_pixels_option
@ray_option
@quiet_option
def test(files: tuple[str, ...], model: str | None, max_pixels: int, ray: str | None, quiet: bool) -> int:
    """Decode files, check them, and throw the images away. FILE - is standard input.

    For a lossy file, check that it has not changed since it was cut.
    """
    network = loader(model, ray=ray)
    if ray is not None:
        return _on_cluster(files, network, max_pixels, ray, quiet)

    def test_one(name: str) -> None:
        outcome = _test(name, read_input(name), network, max_pixels, quiet)
        if not quiet:
            click.echo(outcome)

    return each(files, test_one)


def _test(name: str, data: bytes, network: Network, max_pixels: int, quiet: bool) -> str:
    """The line that is printed of the file."""
    from ddpmcodec.format.header_bytes import parse_header

    with naming(name):
        header, _ = parse_header(data)
    loaded = network()
    with naming(name), progress(name, header.width * header.height, quiet=quiet) as advance:
        from ddpmcodec import codec

        decoded = codec.decode_details(data, model=loaded, max_pixels=max_pixels, progress=advance)
    rate = 8 * len(data) / (header.width * header.height)
    return printable(f"{label(name)}: ok" + f", lossy, {rate:.2f} bits a pixel" * decoded.lossy)


def _on_cluster(files: Sequence[str], network: Network, max_pixels: int, ray: str, quiet: bool) -> int:
    """Lines come as files are done."""
    from tqdm import tqdm

    from ddpmcodec import cluster
    from ddpmcodec.codec.batching import ALONE

    codes: list[int] = []
    shown = is_watched() and not quiet

    def done(name: str, outcome: str | cluster.Failure) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            if not isinstance(outcome, str):
                codes.append(failure(outcome))
            elif not quiet:
                click.echo(outcome)
        bar.update()

    total = f"{len(files)} files"
    with cluster.connect(ray) as machines, tqdm(desc=total, total=len(files), disable=not shown, leave=False) as bar:
        keys = [(ALONE, name) for name in files]
        code = partial(_test_sent, network=network, max_pixels=max_pixels)
        cluster.work_through(machines, files, keys, lambda name: (name, read_input(name)), code, done)
    if codes and len(files) > 1:
        say(f"{len(codes)} of {len(files)} files failed")
    return max(codes, default=0)


def _test_sent(sent: Sequence[tuple[str, bytes]], network: Network, max_pixels: int) -> list[str]:
    """`_test` on another machine."""
    return [_test(name, data, network, max_pixels, quiet=True) for name, data in sent]
