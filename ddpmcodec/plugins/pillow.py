"""`.ddpm` files in Pillow, which finds no plugins by itself: `import ddpmcodec.plugins.pillow`.

`Image.open` reads the head and the metadata; pixels are decoded when they are first needed, after Pillow's check for
decompression bombs. Errors are those that Pillow's own formats raise: UnidentifiedImageError for what is no .ddpm file,
OSError for one that does not decode. `ImageFile.LOAD_TRUNCATED_IMAGES` loads what there is of a cut or damaged file.

A lossy file, as `ddpmcodec truncate` makes, loads as what it shows; `info["lossy"]` is True then, and is not there
otherwise. What is saved of such an image holds the pixels that were loaded, and does not say so.

Pillow empties a file that exists before it calls any plugin: `Image.save` with a wrong option leaves it empty, and
removes a new one. To keep the old file, save under another name and rename.

`Image.draft` and `Image.thumbnail` read and decode only the bands that the size that is asked for has.

>>> import io
>>> import ddpmcodec.plugins.pillow
>>> from PIL import Image
>>> file = io.BytesIO()
>>> Image.new("RGB", (6, 4), "teal").save(file, "DDPM", effort=1)
>>> with Image.open(file) as image:
...     image.format, image.mode, image.size, image.getpixel((0, 0))
('DDPM', 'RGB', (6, 4), (0, 128, 128))
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile

from ddpmcodec._native import MAGIC, MARK_BYTES, METADATA_TAG, Container, FileHeader, parse_header, parse_metadata
from ddpmcodec.content import FileView
from ddpmcodec.errors import DdpmError, FormatError, ImageError, TruncatedError, bytes_follow
from ddpmcodec.format.marks import is_marked
from ddpmcodec.format.sections import Metadata
from ddpmcodec.formats.image_files import OWN_FORMAT
from ddpmcodec.formats.images import Planes, to_planes
from ddpmcodec.formats.metadata import exif_of

if TYPE_CHECKING:
    from ddpmcodec.models.registry import ModelSource

OPTIONS = "effort", "levels", "model", "tile", "verify", "progress"
EXTENSION, MIME_TYPE = ".ddpm", "image/x-ddpm"
HEAD_BYTES = 64  # enough for the header of a file that is not tiled
SMALLEST_SCALE = 8  # of a draft: 1/8, as for a JPEG


class DdpmImageFile(ImageFile.ImageFile):
    """A .ddpm file that Pillow has opened. model: for files of a model that is not embedded, its path or the model
    itself; set it before the pixels are loaded."""

    format = OWN_FORMAT
    format_description = "ddpmcodec image"
    model: ModelSource = None
    _undecoded = False  # copies and unpickled images have their pixels
    _scale = 1

    def _open(self) -> None:
        self._header = _read_header(self._file)
        self._mode = self._header.mode
        self._size = self._header.width, self._header.height
        self.info.update(self._metadata())
        if self._is_lossy():
            self.info["lossy"] = True
        self.tile = []
        self._undecoded = True

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Load pixels from the first steps, at 1/2, 1/4 or 1/8 of the size: the least that is not below `size`. Returns
        what Pillow's does: the mode, and the part of the draft that the image takes; None where nothing changes."""
        header = self._header if self._undecoded else None
        if header is None or size is None or header.mode == "1":
            return None
        scale = _scale(header, size)
        if scale == 1:
            return None
        self._scale = scale
        self._size = -(-header.width // scale), -(-header.height // scale)
        return self.mode, (0, 0, header.width / scale, header.height / scale)

    def load(self) -> Any:
        """Decode the pixels, unless they are there. Raises OSError where the file is damaged, or its model missing."""
        if self._undecoded:
            image = self._decoded()
            self.info.update(image.info)  # a JPEG has its own inside
            self._exif = None  # what Pillow has parsed before
            self.im, self._mode = image.im, image.mode
            self._size = image.size  # a file that is kept whole has its own
            self._undecoded = False
            if self._exclusive_fp and self._close_exclusive_fp_after_loading:
                self._file.close()
            self.fp = None
        return super().load()

    def getexif(self) -> Image.Exif:
        """The EXIF. That of a JPEG is inside of it: then this decodes the pixels."""
        if self._undecoded and self._header.has_coefficients:
            self.load()
        return super().getexif()

    def verify(self) -> None:
        """Check that the file is whole, and everything but the pixels; `load` or `ddpmcodec.decode` check these."""
        with _pillow_errors():
            file = Container(self._bytes())
            if file.following:
                raise FormatError(bytes_follow(file.following, "image", file.size))
            if not file.is_lossy:  # otherwise its end mark covers all of it
                file.require_whole()
                file.require_sound_sections()
        super().verify()

    @property
    def _file(self) -> IO[bytes]:
        if self.fp is None:
            raise ValueError("operation on a closed image")
        return self.fp

    def _bytes(self) -> bytes:
        self._file.seek(0)
        return self._file.read()

    def _metadata(self) -> dict[str, bytes]:
        """ICC profile, EXIF and XMP; nothing where their section is cut or damaged, which `load` reports."""
        self._file.seek(self._header.section(METADATA_TAG)[0])
        section = self._file.read(self._header.metadata_length)
        if self._header.has_coefficients:
            return {"exif": exif} if (exif := exif_of(self._header.orientation)) else {}
        try:
            whole = section and len(section) == self._header.metadata_length
            return Metadata(*parse_metadata(section))._replace(png=b"").present() if whole else {}
        except FormatError:
            return {}

    def _is_lossy(self) -> bool:
        """Whether an end mark ends the file, all of which is read only where its last bytes look like a mark."""
        self._file.seek(max(self._header.size, self._file.seek(0, os.SEEK_END) - MARK_BYTES))
        with suppress(FormatError):  # bytes that follow the end; `load` reports them
            return is_marked(self._file.read()) and Container(self._bytes()).is_lossy
        return False

    def _decoded(self) -> Image.Image:
        from ddpmcodec.codec.decoder import decode_details

        with _pillow_errors():
            return decode_details(
                FileView(self._file), partial=ImageFile.LOAD_TRUNCATED_IMAGES, reduce=self._scale, model=self.model,
                max_pixels=None,  # Pillow has checked
            ).image  # fmt: skip


@contextmanager
def _pillow_errors() -> Iterator[None]:
    """Raises the library's errors as those that users of Pillow look for."""
    try:
        yield
    except TruncatedError as error:
        raise OSError(f"image file is truncated: {error}, or set ImageFile.LOAD_TRUNCATED_IMAGES") from error
    except DdpmError as error:
        raise OSError(str(error)) from error


def _read_header(file: IO[bytes]) -> FileHeader:
    """The header of a file, which is read no further than that needs. Raises SyntaxError, at which
    Pillow asks its other formats."""
    data = b""
    while True:
        more = file.read(max(HEAD_BYTES, len(data)))
        data += more
        try:
            return parse_header(data)
        except FormatError as error:
            if not more or not isinstance(error, TruncatedError):
                raise SyntaxError(str(error)) from error


def _scale(header: FileHeader, size: tuple[int, int]) -> int:
    """The largest of 1, 2, 4 and 8 by which the image can be divided without falling below a size."""
    most = min(header.width // max(size[0], 1), header.height // max(size[1], 1), SMALLEST_SCALE)
    return 1 << max(int(most), 1).bit_length() - 1  # older versions of Pillow ask for floats


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Options: `strip` and those of `OPTIONS`, as in `ddpmcodec.encode`; `exif`, `icc_profile` and `xmp` in place of
    the image's own. Raises OSError for a mode that cannot be coded."""
    from ddpmcodec.codec.encoder import encode

    options: dict[str, Any] = image.encoderinfo
    with _pillow_errors():
        data = encode(_planes(image, options), **{name: options[name] for name in OPTIONS if name in options})
    file.write(data)


def _planes(image: Image.Image, options: dict[str, Any]) -> Planes:
    """What is coded of an image: with the metadata that are given in place of its own, or of what `strip` leaves."""
    planes = to_planes(image, strip=options.get("strip", False))
    if planes.samples is not None:
        raise ImageError(f"colour mode {image.mode} is not supported: convert it to L, or use ddpmcodec.encode")
    given = {key: options.get(key, value) or b"" for key, value in planes.metadata._asdict().items()}
    if isinstance(given["exif"], Image.Exif):
        given["exif"] = given["exif"].tobytes()
    return replace(planes, metadata=Metadata(**given))


Image.register_open(OWN_FORMAT, DdpmImageFile, _accept)
Image.register_save(OWN_FORMAT, _save)
Image.register_extension(OWN_FORMAT, EXTENSION)
Image.register_mime(OWN_FORMAT, MIME_TYPE)
