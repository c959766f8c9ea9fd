"""ddpmcodec test"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpmcodec.errors import ImageError

from ._archive_inputs import test_archive
from ._common import (
    ENCODED,
    EXIT_CODES,
    STANDARD,
    counted,
    each,
    echo,
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
from ._many import folder_sources, loader, ray_option, source_of

if TYPE_CHECKING:
    from ddpmcodec.models.context import ContextModel

Network = Callable[[], "ContextModel | None"]
NOUN = "file of ddpmcodec"
ARCHIVED = ".ddpma"


@click.command(epilog=EXIT_CODES)
@files_argument
@click.option("-r", "--recursive", is_flag=True, help="Take all .ddpm and .ddpma files below folders, too.")
@file_model_option
@max_pixels_option
@ray_option
@quiet_option
def test(
    files: tuple[str, ...], recursive: bool, model: str | None, max_pixels: int, ray: str | None, quiet: bool
) -> int:
    """Decode files and archives, check them, and throw the images away. FILE - is standard input.

    For a lossy file, check that it has not changed since it was cut.
    """
    network, codes = loader(model, ray=ray), list[int]()
    names = list(_named(files, codes, quiet)) if recursive else list(files)
    if ray is not None:
        return max([*codes, _on_cluster(names, network, max_pixels, ray, quiet)])

    def test_one(name: str) -> None:
        source_of(name, "test")
        outcome = _test(name, read_input(name), network, max_pixels, quiet)
        if not quiet:
            echo(outcome)

    return max([*codes, each(names, test_one)])


def _named(files: Sequence[str], codes: list[int], quiet: bool) -> Iterator[str]:
    """The files, and those below folders. codes: gets the exit codes of folders that cannot be read, or have none."""
    for name in files:
        if name == STANDARD or not Path(name).is_dir():
            yield name
            continue
        found = folder_sources(Path(name), (ENCODED, ARCHIVED), NOUN, quiet, lambda error: codes.append(failure(error)))
        if not found:
            codes.append(failure(ImageError(f"{name}: there is no {NOUN} in it")))
        yield from (str(source.path) for source in found)


def _test(name: str, data: bytes, network: Network, max_pixels: int, quiet: bool) -> str:
    """The line that is printed of the file."""
    from ddpmcodec.format.header import ARCHIVE_MAGIC
    from ddpmcodec.format.header_bytes import parse_header

    if data.startswith(ARCHIVE_MAGIC):
        images = test_archive(name, data, network(), max_pixels, quiet=quiet)
        return printable(f"{label(name)}: ok, {counted(images, 'image')}")
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
                echo(outcome)
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
