"""The installed decoder for C: the command, and the library by ctypes."""

from __future__ import annotations

import ctypes
import io
import subprocess
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.formats.deep import read_pnm

GOLDEN = Path(__file__).parents[1] / "golden"
TINY = GOLDEN / "v2" / "model.safetensors"  # the model of golden files

FOREVER = 1e9
Event = IntEnum("Event", "DONE ERROR NEED_BYTES NEED_MODEL NEED_PIXELS MORE PREVIEW", start=0)
Fault = IntEnum("Fault", "OK ARGUMENT FORMAT TRUNCATED CHECKSUM CORRUPT MODEL IMAGE READ MEMORY INTERNAL", start=0)
Section = IntEnum("Section", "ICC EXIF XMP PAYLOAD", start=0)
Mode = IntEnum("Mode", "GREY RGB GREY_ALPHA RGBA BILEVEL", start=0)

READ_FUNCTION = ctypes.CFUNCTYPE(c_int, c_void_p, c_uint64, c_void_p, c_size_t)


class Ended(NamedTuple):
    """How the command ended. pixels: [H, W] or [H, W, C] of what it wrote to standard output."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def pixels(self) -> NDArray[Any]:
        return pixels_of(self.stdout)


def pixels_of(file: bytes) -> NDArray[Any]:
    """The pixels of a PPM, PGM or PAM file."""
    if not file.startswith(b"P7"):
        values = read_pnm(file)
        return values[0].squeeze() if values else np.asarray(Image.open(io.BytesIO(file)))
    header, _, body = file.partition(b"ENDHDR\n")
    facts = dict(line.split() for line in header.decode().splitlines()[1:])
    height, width, depth = (int(facts[name]) for name in ("HEIGHT", "WIDTH", "DEPTH"))
    pixels = np.frombuffer(body, ">u2" if int(facts["MAXVAL"]) > 255 else np.uint8).reshape(height, width, depth)
    return pixels[..., 0] if depth == 1 else pixels


def golden_pixels(name: str) -> NDArray[np.uint8]:
    with Image.open(GOLDEN / name) as image:
        return np.asarray(image.convert("L") if image.mode == "1" else image)


def struct(*names: str) -> type[Any]:
    """A struct of ddpm.h, whose first field is its size. Names that end in an asterisk have 64 bits."""
    fields = [(name.rstrip("*"), c_uint64 if name.endswith("*") else c_uint32) for name in ("struct_size", *names)]
    return type("Struct", (ctypes.Structure,), {"_fields_": fields})


Plan = struct("left", "top", "width", "height", "scale", "has_step", "step", "partial", "threads", "max_pixels*")
Layout = struct("width", "height", "channels", "stride*", "size*")
Info = struct(
    "width", "height", "mode", "channels", "has_alpha", "bits", "kind", "orientation", "effort", "levels", "steps",
    "tile_width", "tile_height", "tiles", "model_number", "model_id", "sample_bits", "header_length*", "file_length*",
    "payload_offset*", "payload_length*",
)  # fmt: skip
Verdict = struct(
    "is_exact", "is_damaged", "is_lossy", "alpha_damaged", "metadata_damaged", "colours_exact", "steps_done", "steps",
    "reserved", "bytes_used*", "missing*", "following*",
)  # fmt: skip
Index = struct("images", "total", "is_damaged", "missing*", "following*")
Entry = struct("width", "height", "mode", "channels", "has_alpha", "coding", "reserved", "file_length*")
EncodeOptions = struct("has_effort", "effort", "has_levels", "levels", "tile", "no_verify", "threads")


class Picture(ctypes.Structure):
    _fields_ = (
        *((name, c_uint32) for name in ("struct_size", "width", "height", "mode", "bits", "orientation")),
        ("planes", c_void_p * 4),
        *((name, c_uint64) for name in ("size", "row_stride", "pixel_stride")),
        ("icc", c_char_p), ("icc_size", c_uint64), ("exif", c_char_p), ("exif_size", c_uint64), ("xmp", c_char_p), ("xmp_size", c_uint64),
    )  # fmt: skip


class Failed(Exception):
    """A call of the library failed. kind: a ddpm_error."""

    def __init__(self, kind: int, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Installed:
    """What `cmake --install` put into a folder."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.header = prefix / "include" / "ddpm.h"
        (self.shared,) = prefix.glob("lib*/libddpm.so")
        self.library = ctypes.CDLL(str(self.shared))
        for name in ("version", "decoder_error", "encoder_error", "model_name", "archive_name"):
            getattr(self.library, f"ddpm_{name}").restype = c_char_p
        for kind in ("decoder", "encoder"):
            getattr(self.library, f"ddpm_{kind}_new").restype = c_void_p
            getattr(self.library, f"ddpm_{kind}_advance").argtypes = [c_void_p, c_double]
        self.library.ddpm_encoder_progress.restype = c_double

    def run(self, *arguments: object, data: bytes = b"", command: str = "ddpm-decode", **environment: str) -> Ended:
        line = [self.prefix / "bin" / command, *map(str, arguments)]
        ended = subprocess.run(line, input=data, capture_output=True, env=environment, timeout=100)
        return Ended(ended.returncode, ended.stdout, ended.stderr.decode())

    def encode(self, *arguments: object, data: bytes = b"", **environment: str) -> Ended:
        return self.run(*arguments, data=data, command="ddpm-encode", **environment)

    def model(self, data: bytes) -> c_void_p:
        model, message = c_void_p(), ctypes.create_string_buffer(500)
        kind = self.library.ddpm_model_load(byref(model), data, c_size_t(len(data)), message, c_size_t(500))
        if kind:
            raise Failed(kind, message.value.decode())
        return model


class Handle:
    """A ddpm_decoder or ddpm_encoder, whose failures are raised."""

    kind: str

    def __init__(self, installed: Installed) -> None:
        self.installed, self.library = installed, installed.library
        self.pointer = c_void_p(self.function("new")())

    def __del__(self) -> None:
        self.function("free")(self.pointer)

    def function(self, name: str) -> Any:
        return getattr(self.library, f"ddpm_{self.kind}_{name}")

    def call(self, name: str, *arguments: Any) -> None:
        if kind := self.function(name)(self.pointer, *arguments):
            error = self.failed()
            assert error.kind == kind
            raise error

    def failed(self) -> Failed:
        kind = c_int()
        message = self.function("error")(self.pointer, byref(kind))
        assert message
        return Failed(kind.value, message.decode())

    def advance(self, seconds: float = FOREVER) -> int:
        event: int = self.function("advance")(self.pointer, seconds)
        if event == Event.ERROR:
            raise self.failed()
        return event


class Decoder(Handle):
    kind = "decoder"

    def __init__(self, installed: Installed, **plan: int) -> None:
        super().__init__(installed)
        if plan:
            self.call("set_plan", byref(Plan(ctypes.sizeof(Plan), **plan)))

    def feed(self, data: bytes) -> None:
        self.call("feed", data, c_size_t(len(data)))

    def filled(self, name: str, kind: type[Any]) -> Any:
        out = kind(ctypes.sizeof(kind))
        self.call(name, byref(out))
        return out

    def pixels(self, gap: int = 0) -> NDArray[np.uint8]:
        """[H, W, C]. gap: bytes between rows."""
        layout = self.filled("layout", Layout)
        out = np.full((layout.height, layout.stride + gap), 77, np.uint8)
        self.call("pixels", out.ctypes.data_as(c_void_p), c_size_t(out.size), c_size_t(layout.stride + gap))
        assert np.all(out[:, layout.stride :] == 77)
        return out[:, : layout.stride].reshape(layout.height, layout.width, layout.channels)

    def samples(self, gap: int = 0) -> NDArray[np.uint16]:
        """[H, W, C]. gap: samples between rows."""
        layout = self.filled("layout", Layout)
        out = np.full((layout.height, layout.stride + gap), 77, np.uint16)
        self.call("samples", out.ctypes.data_as(c_void_p), c_size_t(out.size), c_size_t(layout.stride + gap))
        assert np.all(out[:, layout.stride :] == 77)
        return out[:, : layout.stride].reshape(layout.height, layout.width, layout.channels)

    def section(self, kind: int) -> bytes:
        data, size = POINTER(c_uint8)(), c_size_t()
        self.call("section", c_int(kind), byref(data), byref(size))
        return ctypes.string_at(data, size.value)

    def decode(self, data: bytes, model: c_void_p) -> Any:
        """All of a file; its verdict."""
        self.feed(data)
        self.call("finish")
        return self.complete(model)

    def complete(self, model: c_void_p) -> Any:
        """All that the decoder was given; the verdict."""
        while (event := self.advance()) != Event.DONE:
            if event == Event.NEED_MODEL:
                self.call("set_model", model)
        return self.filled("verdict", Verdict)


class Encoder(Handle):
    kind = "encoder"

    def __init__(self, installed: Installed, **options: int) -> None:
        super().__init__(installed)
        if options:
            self.call("set_options", byref(EncodeOptions(ctypes.sizeof(EncodeOptions), **options)))

    def set_picture(self, values: NDArray[Any], mode: Mode, **fields: Any) -> None:
        """values: [H, W, C]."""
        height, width, _ = values.shape
        given = {"width": width, "height": height, "mode": mode, "size": values.nbytes} | fields
        planes = given.pop("planes", [values])
        picture = Picture(ctypes.sizeof(Picture), **given)
        picture.planes[:] = [plane.ctypes.data for plane in planes] + [None] * (4 - len(planes))
        for name in ("icc", "exif", "xmp"):
            if name in fields:
                setattr(picture, f"{name}_size", len(fields[name]))
        self.call("set_picture", byref(picture))

    def set_file(self, data: bytes) -> None:
        self.call("set_file", data, c_size_t(len(data)))

    @property
    def file(self) -> bytes:
        data, size = POINTER(c_uint8)(), c_size_t()
        self.call("file", byref(data), byref(size))
        return ctypes.string_at(data, size.value)


class Archive:
    """A ddpm_archive, whose failures are raised."""

    def __init__(self, installed: Installed, data: bytes, reader: Any = None) -> None:
        self.installed, self.library = installed, installed.library
        self.pointer, message = c_void_p(), ctypes.create_string_buffer(500)
        source = (data, c_size_t(len(data))) if reader is None else (c_uint64(len(data)), reader, None)
        opened = self.library.ddpm_archive_open if reader is None else self.library.ddpm_archive_open_reader
        if kind := opened(byref(self.pointer), *source, message, c_size_t(500)):
            raise Failed(kind, message.value.decode())
        assert not message.value

    def __del__(self) -> None:
        self.library.ddpm_archive_free(self.pointer)

    def call(self, name: str, *arguments: Any) -> None:
        if kind := getattr(self.library, f"ddpm_archive_{name}")(self.pointer, *arguments):
            raise Failed(kind, name)

    @property
    def index(self) -> Any:
        self.call("index", byref(index := Index(ctypes.sizeof(Index))))
        return index

    def entry(self, image: int) -> Any:
        self.call("entry", image, byref(entry := Entry(ctypes.sizeof(Entry))))
        return entry

    def name(self, image: int) -> str:
        name: bytes = self.library.ddpm_archive_name(self.pointer, image)
        return name.decode()

    @property
    def names(self) -> list[str]:
        return [self.name(image) for image in range(self.index.images)]

    def find(self, name: str) -> int:
        self.call("find", name.encode(), byref(image := c_uint32()))
        return image.value

    def file(self, image: int, size: int) -> bytes:
        self.call("file", image, data := ctypes.create_string_buffer(size), c_size_t(size))
        return data.raw

    def decoder(self, image: int, **plan: int) -> Decoder:
        decoder = Decoder(self.installed, **plan)
        decoder.call("set_member", self.pointer, image)
        return decoder
