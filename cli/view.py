"""ddpmcodec view"""

from __future__ import annotations

import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from ._common import EXIT_CODES, each, echo, label, leave_at_once, message_of, model_loader, naming, read_input, say
from ._options import PATH_NAME, file_model_option, files_argument

if TYPE_CHECKING:
    from PIL import Image

LEAVING = 0.5  # seconds that work has to end by itself


@click.command(epilog=EXIT_CODES)
@files_argument
@click.option(
    "--original",
    type=PATH_NAME,
    metavar="IMAGE",
    help="Measure against this image; of a whole file its own is the default.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Of the page; the default is any free one."
)
@click.option(
    "--browser/--no-browser",
    default=None,
    help="Open the page in a browser.  [default: where standard output is a terminal]",
)
@file_model_option
def view(files: tuple[str, ...], original: str | None, port: int, browser: bool | None, model: str | None) -> int:
    """Show files on a local page: previews by a slider over their bytes, beside JPEG and WebP of the same bytes.

    Opens the page, and prints its address, which has a secret in it and is answered on this machine alone. Ctrl-C ends
    it. While the page is open it fetches pictures ahead; the slider shows these at once. Needs pip install
    'ddpmcodec[view]'.

    A browser is given a temporary file that leads to the address, because other users can read its command line. If a
    browser in a sandbox (snap's) cannot read the file, paste the printed address into it.
    """
    from ddpmcodec.viewer.server import ADDRESS, Viewer, listen, serve

    if original is not None and len(files) > 1:
        raise click.UsageError("--original is the image of one file: give one file with it")
    reference = None if original is None else _original(original)
    with listen(port) as listening:
        viewer = Viewer(model=model_loader(model)())

        def add(name: str) -> None:
            data = read_input(name)
            with naming(name):
                viewer.add(Path(label(name)).name, data, original=reference)

        code = each(files, add)
        if viewer.files:
            address = f"http://{ADDRESS}:{listening.getsockname()[1]}/{viewer.token}/"
            echo(address)
            say("open this address in a browser; Ctrl-C ends the viewer")
            wants_browser = sys.stdout.isatty() if browser is None else browser
            with suppress(KeyboardInterrupt), _browser(address, wants_browser) as reached:
                serve(viewer, listening, reached)
            if not viewer.close(LEAVING):
                leave_at_once(code)
        return code


@contextmanager
def _browser(address: str, wanted: bool) -> Iterator[Callable[[], object]]:
    """Open a browser if it is wanted. Yields a function to call when the browser, or another program, has reached the
    address: it removes the page that leads there, and so does the end."""
    try:
        folder = open_browser(address) if wanted else None
    except OSError as error:
        say(f"no browser was opened: {message_of(error)}")
        folder = None
    if folder is None:
        yield lambda: None
        return
    with folder:
        yield folder.cleanup


def _original(name: str) -> Image.Image:
    from ddpmcodec.formats.image_files import load_image
    from ddpmcodec.formats.images import shown_planes, to_image

    return to_image(shown_planes(load_image(read_input(name), name, any_format=True)))


PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>ddpmcodec</title>
<a href="{address}">Open the viewer</a>
"""


def open_browser(address: str) -> TemporaryDirectory[str]:
    """Open a browser on a page that leads to the address, and return the private folder that holds the page.

    All users of a machine can read the command line of a browser; only this user can read the page. Remove the folder
    when the browser has asked for the address.

    Parameters:
        address: the URL; it is not put on any command line.

    Raises:
        OSError: if the page cannot be written.
    """
    folder = TemporaryDirectory(prefix="ddpmcodec-", ignore_cleanup_errors=True)
    page = Path(folder.name, "view.html")
    page.touch(0o600)
    page.write_text(PAGE.format(address=escape(address)))
    # In a thread, because some browsers return only when they end.
    threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
    return folder
