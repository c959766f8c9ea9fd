"""What the name of an image in an archive may be."""

from __future__ import annotations

import re

from ddpmcodec._native import MAX_NAME

# Characters that look like others, or change how a name is shown: control characters, separators of lines,
# and what sets the direction of text. A fixed set: what is printable changes with the version of Unicode.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
NOT_UNICODE = re.compile(r"[\ud800-\udfff]")  # halves of UTF-16 pairs: Python's names of files that are no text


def check_name(name: str) -> str | None:
    """What is wrong with an image's name, or None: names are relative paths with /, below the folder of extraction."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "it is not a path inside a folder"
    if re.match("[A-Za-z]:", name):
        return "it begins with a drive"
    if NOT_UNICODE.search(name):
        return "it is not UTF-8 here: rename the file, or set a locale of UTF-8"
    if found := FORBIDDEN.search(name):
        return "it has a backslash" if found[0] == "\\" else f"it has the character U+{ord(found[0]):04X}"
    if len(name.encode()) > MAX_NAME:
        return f"it has more than {MAX_NAME} bytes"
    return None
