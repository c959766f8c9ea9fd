"""Opening a browser on an address that has a secret in it."""

from __future__ import annotations

import threading
import webbrowser
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

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
