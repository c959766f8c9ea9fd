"""Saves a picture as programs with gdk-pixbuf do: gdk_pixbuf_save.py PIXELS.npy FILE [OPTION=VALUE]...

FILE "-" saves by a callback, to standard output, "full" by one that fails. Prints the domain, code and message of an
error to standard error.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p

import numpy as np
from gdk_pixbuf import Error, gdk

GAP = 5  # bytes that are no pixels, after each row
glib = ctypes.CDLL("libglib-2.0.so.0")
glib.g_quark_to_string.restype = c_char_p
glib.g_quark_from_string.argtypes = [c_char_p]
gdk.gdk_pixbuf_new_from_data.restype = c_void_p
gdk.gdk_pixbuf_new_from_data.argtypes = [c_void_p, *[c_int] * 6, c_void_p, c_void_p]
Save = ctypes.CFUNCTYPE(c_int, c_void_p, c_size_t, c_void_p, c_void_p)


def write(data: int, size: int, _error: object, _user: object) -> int:
    sys.stdout.buffer.write(ctypes.string_at(data, size))
    return 1


def refuse(_data: object, _size: int, error: int, _user: object) -> int:
    domain = glib.g_quark_from_string(b"full")
    glib.g_set_error_literal(c_void_p(error), domain, 7, b"the disk is full")
    return 0


def main(pixels: str, file: str, *options: str) -> int:
    image = np.load(pixels)
    height, width, channels = image.shape
    rows = np.full((height, width * channels + GAP), 77, np.uint8)
    rows[:, :-GAP] = image.reshape(height, -1)
    data = rows.tobytes()[:-GAP]  # the last row has none, as gdk-pixbuf allows
    pixbuf = c_void_p(gdk.gdk_pixbuf_new_from_data(data, 0, channels == 4, 8, width, height, rows.shape[1], None, None))
    words = [option.encode().split(b"=", 1) for option in options]
    keys, values = (
        (c_char_p * (len(words) + 1))(*column) for column in (zip(*words, strict=True) if words else ((), ()))
    )
    error = POINTER(Error)()
    if file in ("-", "full"):
        function = Save(write if file == "-" else refuse)
        is_saved = gdk.gdk_pixbuf_save_to_callbackv(pixbuf, function, None, b"ddpm", keys, values, byref(error))
    else:
        is_saved = gdk.gdk_pixbuf_savev(pixbuf, file.encode(), b"ddpm", keys, values, byref(error))
    assert bool(error) != bool(is_saved)
    if error:
        found = error.contents
        print(glib.g_quark_to_string(found.domain).decode(), found.code, found.message.decode(), file=sys.stderr)
    return int(not is_saved)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
