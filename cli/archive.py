"""ddpmcodec archive list | test, and the other commands of that group"""

from __future__ import annotations

import json

import click

from ._archive_create import add, create
from ._archive_edit import join, remove
from ._archive_extract import extract
from ._archive_inputs import file_argument, matching, names_argument, network_option, test_archive
from ._common import EXIT_CODES, counted, echo, input_content, label, naming, printable, say
from ._options import max_pixels_option, quiet_option, threads_option
from ._report import archive_line, model_of


@click.group(epilog=EXIT_CODES)
def archive() -> None:
    """Store many images in one file, without a file header for each."""


for command in (create, add, extract, join, remove):
    archive.add_command(command)


@archive.command("list", epilog=EXIT_CODES)
@file_argument
@names_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(file: str, names: tuple[str, ...], as_json: bool) -> None:
    """Print the names, sizes, modes and codings of the images: of all, or of these names, folders and patterns (*, ?,
    [a-z]).

    The bytes are those of an image that is a file of its own; those that are coded together share theirs. Nothing is
    decoded. FILE - is standard input.
    """
    from ddpmcodec.archive.reader import describe
    from ddpmcodec.format.ddpma import find_images, split

    content = input_content(file)
    with naming(file):
        cut = split(content)
        facts = describe(cut)
        wanted = matching([image["name"] for image in facts["images"]], names)
        if wanted:
            find_images(cut.index, wanted)  # refuses what is not there
    chosen = None if wanted is None else {*wanted}
    shown = [image for image in facts["images"] if chosen is None or image["name"] in chosen]
    if as_json:
        shown = [{**image, "model": model_of(image)} for image in shown]
        echo(json.dumps({"file": label(file), **facts, "images": shown}, allow_nan=False, indent=2))
        return
    for image in shown:
        size = "-" if image["bytes"] is None else image["bytes"]
        echo(
            f"{image['width']:6} x {image['height']:<6} {image['mode']:4} {size:>9} {image['coding'] or 'damaged':16}"
            f" {printable(image['name'])}"
        )
    say(archive_line(file, facts))


@archive.command(epilog=EXIT_CODES)
@file_argument
@network_option
@max_pixels_option
@threads_option
@quiet_option
def test(file: str, model: str | None, max_pixels: int, threads: int | None, quiet: bool) -> None:
    """Decode all images, check them, and throw them away. FILE - is standard input."""
    from ddpmcodec.parallel import threads_of

    with threads_of(threads):
        count = test_archive(file, input_content(file), model, max_pixels, quiet=quiet)
    if not quiet:
        echo(printable(f"{label(file)}: ok, {counted(count, 'image')}"))
