"""ddpmcodec test"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ddpmcodec.errors import FAILURES, Failure, ImageError

from ._common import (
    ARCHIVED,
    ENCODED,
    EXIT_CODES,
    STANDARD,
    counted,
    echo,
    failure,
    is_archive,
    is_watched,
    label,
    message_of,
    naming,
    printable,
    progress,
    read_input,
    say,
)
from ._many import folder_sources, loader, ray_option, source_of
from ._options import file_model_option, files_argument, max_pixels_option, quiet_option, threads_option

if TYPE_CHECKING:
    from ddpmcodec.content import Content
    from ddpmcodec.models.registry import Model

Network = Callable[[], "Model | None"]
NOUN = "file of ddpmcodec"


@click.command(epilog=EXIT_CODES)
@files_argument
@click.option("-r", "--recursive", is_flag=True, help="Take all .ddpm and .ddpma files below folders, too.")
@file_model_option
@max_pixels_option
@threads_option
@ray_option
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output: a line a file.")
@quiet_option
def test(
    files: tuple[str, ...], recursive: bool, model: str | None, max_pixels: int, threads: int | None, ray: str | None,
    as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Decode files and archives, check them, and throw the images away. FILE - is standard input.

    For a lossy file, check that it has not changed since it was cut.
    """
    from ddpmcodec.parallel import threads_of

    if ray is not None and threads:
        raise click.UsageError("with --ray all processors of the cluster work: leave out --threads")
    network, codes = loader(model, ray=ray), list[int]()
    names = list(_named(files, codes, quiet)) if recursive else list(files)

    def done(name: str, outcome: IntactFile | BaseException) -> None:
        """Prints what became of a file."""
        if not isinstance(outcome, IntactFile):
            codes.append(failure(outcome))
            facts: dict[str, object] = {"ok": False, "error": message_of(outcome), "exit_code": codes[-1]}
        else:
            facts = {"ok": True, **outcome.facts}
            if not (quiet or as_json):
                echo(printable(f"{label(name)}: {outcome.words}"))
        if as_json:
            echo(json.dumps({"file": label(name), **facts}))

    before = len(codes)
    if ray is not None:
        _on_cluster(names, network, max_pixels, ray, done, shown=is_watched() and not quiet)
    else:
        with threads_of(threads):
            for name in names:
                _test_here(name, network, max_pixels, quiet, done)
    if len(codes) > before and len(names) > 1:
        say(f"{len(codes) - before} of {counted(len(names), 'file')} failed")
    return max(codes, default=0)


class IntactFile(NamedTuple):
    """A file that is as it was written: in words, and facts for --json."""

    words: str
    facts: dict[str, object]


Done = Callable[[str, "IntactFile | BaseException"], None]


def _test_here(name: str, network: Network, max_pixels: int, quiet: bool, done: Done) -> None:
    """Raises BrokenPipeError."""
    try:
        source_of(name, "test")
        outcome: IntactFile | BaseException = _test(name, read_input(name), network, max_pixels, quiet)
    except BrokenPipeError:
        raise
    except FAILURES as error:
        outcome = error
    done(name, outcome)


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


def _test(name: str, data: bytes, network: Network, max_pixels: int, quiet: bool) -> IntactFile:
    """Raises DdpmError, which names the file."""
    from ddpmcodec._native import parse_header

    if is_archive(name, data):
        images = test_archive(name, data, network(), max_pixels, quiet=quiet)
        return IntactFile(f"ok, {counted(images, 'image')}", {"images": images})
    with naming(name):
        header = parse_header(data)
    loaded = network()
    with naming(name), progress(name, header.width * header.height, quiet=quiet) as advance:
        from ddpmcodec import codec

        decoded = codec.decode_details(data, model=loaded, max_pixels=max_pixels, progress=advance)
    rate = 8 * len(data) / (header.width * header.height)
    return IntactFile("ok" + f", lossy, {rate:.2f} bits a pixel" * decoded.lossy, {"lossy": decoded.lossy, "bpp": rate})


def _on_cluster(
    files: Sequence[str], network: Network, max_pixels: int, ray: str, done: Done, *, shown: bool
) -> None:  # fmt: skip
    """Files are done in any order."""
    from tqdm import tqdm

    from ddpmcodec.codec.passes import ALONE
    from ddpmcodec.plugins import cluster

    def done_here(name: str, outcome: IntactFile | Failure) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            done(name, outcome)
        bar.update()

    total = f"{len(files)} files"
    with cluster.connect(ray) as machines, tqdm(desc=total, total=len(files), disable=not shown, leave=False) as bar:
        keys = [(ALONE, name) for name in files]
        code = partial(_test_sent, network=network, max_pixels=max_pixels)
        cluster.work_through(machines, files, keys, lambda name: (name, read_input(name)), code, done_here)


def _test_sent(sent: Sequence[tuple[str, bytes]], network: Network, max_pixels: int) -> list[IntactFile]:
    """`_test` on another machine."""
    return [_test(name, data, network, max_pixels, quiet=True) for name, data in sent]


def test_archive(name: str, data: Content, model: Model | str | None, max_pixels: int, *, quiet: bool) -> int:
    """Decodes all images of an archive, and returns their number. Raises DdpmError, which names the file."""
    from ddpmcodec import archive
    from ddpmcodec.format.ddpma import split

    with naming(name):
        cut = split(data)
    pixels = sum(entry.pixels for entry in cut.index.entries)
    with naming(name), progress(name, pixels, quiet=quiet) as advance:
        return archive.test(cut, model=model, max_pixels=max_pixels, progress=advance)
