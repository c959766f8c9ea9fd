"""Opens an image as programs with gdk-pixbuf do: gdk_pixbuf.py FILE PIXELS.npy [LONGEST_SIDE]

Writes the pixels, and prints as JSON how often the picture got better, its options, and the error, if there is one. The
bytes arrive in pieces. LONGEST_SIDE: in pixels; the picture is asked for in that size.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

PIECE = 3000
gdk = ctypes.CDLL("libgdk_pixbuf-2.0.so.0")
gobject = ctypes.CDLL("libgobject-2.0.so.0")
for name in ("loader_new", "loader_get_pixbuf", "read_pixels"):
    getattr(gdk, f"gdk_pixbuf_{name}").restype = c_void_p
gdk.gdk_pixbuf_get_option.restype = c_char_p
gdk.gdk_pixbuf_loader_write.argtypes = [c_void_p, c_char_p, c_size_t, c_void_p]


class Error(ctypes.Structure):
    _fields_ = (("domain", ctypes.c_uint32), ("code", c_int), ("message", c_char_p))


Updated = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_int, c_int, c_int, c_void_p)
SizePrepared = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_int, c_void_p)


def connect(loader: c_void_p, signal: bytes, function: Any) -> None:
    gobject.g_signal_connect_data(loader, c_char_p(signal), function, None, None, 0)


def pixels_of(pixbuf: c_void_p) -> np.ndarray:
    height, width, channels, stride = (
        getattr(gdk, f"gdk_pixbuf_get_{name}")(pixbuf) for name in ("height", "width", "n_channels", "rowstride")
    )
    data = ctypes.string_at(gdk.gdk_pixbuf_read_pixels(pixbuf), (height - 1) * stride + width * channels)
    rows = np.frombuffer(data.ljust(height * stride, b"\0"), np.uint8).reshape(height, stride)
    return rows[:, : width * channels].reshape(height, width, channels)


def main(file: str, pixels: str, longest: str = "") -> None:
    loader = c_void_p(gdk.gdk_pixbuf_loader_new())
    updates = 0

    def count(*_: object) -> None:
        nonlocal updates
        updates += 1

    def shrink(_loader: object, width: int, height: int, _data: object) -> None:
        ratio = int(longest) / max(width, height)
        gdk.gdk_pixbuf_loader_set_size(loader, round(width * ratio), round(height * ratio))

    functions = [Updated(count), SizePrepared(shrink)]
    connect(loader, b"area-updated", functions[0])
    if longest:
        connect(loader, b"size-prepared", functions[1])
    error = POINTER(Error)()
    data = Path(file).read_bytes()
    pieces = (data[at : at + PIECE] for at in range(0, len(data), PIECE))
    written = all(gdk.gdk_pixbuf_loader_write(loader, piece, len(piece), byref(error)) for piece in pieces)
    gdk.gdk_pixbuf_loader_close(loader, byref(error) if written else None)
    pixbuf = c_void_p(gdk.gdk_pixbuf_loader_get_pixbuf(loader))
    options = {}
    if pixbuf:
        np.save(pixels, pixels_of(pixbuf))
        options = {key: gdk.gdk_pixbuf_get_option(pixbuf, key.encode()) for key in ("orientation", "icc-profile")}
    texts = {key: value.decode() for key, value in options.items() if value}
    print(json.dumps({"updates": updates, "options": texts, "error": error.contents.message.decode() if error else ""}))


if __name__ == "__main__":
    main(*sys.argv[1:])
