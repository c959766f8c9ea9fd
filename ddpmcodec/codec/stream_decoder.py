"""Previews while the bytes of a file arrive, as from a socket.

Of a tiled file every segment is decoded once, when the last tile's chunk of it is there. A single stream, which belongs
to a small image, is decoded anew whenever there are twice as many bytes, and at its end.
"""

from __future__ import annotations

from PIL import Image

from ddpmcodec._native import DEFAULT_MAX_PIXELS, Event
from ddpmcodec.arguments import check_limits
from ddpmcodec.codec.decoding import DecodeOptions, Decoding, Edges, region_of
from ddpmcodec.errors import FormatError, TruncatedError, bytes_follow
from ddpmcodec.models.registry import ModelSource, find


class ProgressiveDecoder:
    """Takes the bytes of one .ddpm file as they arrive, and gives previews.

    Parameters:
        model: as in `decode`.
        box: as in `decode`: previews are of this part of the image.
        max_pixels: as in `decode`; `feed` raises ImageError.

    Raises ModelError where a model is named and missing.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> data = ddpmcodec.encode(np.random.default_rng(0).integers(0, 99, (24, 32), np.uint8))
    >>> decoder = ddpmcodec.ProgressiveDecoder()
    >>> previews = [decoder.feed(data[start : start + 100]) for start in range(0, len(data), 100)]
    >>> [preview.size for preview in previews if preview is not None][:2]
    [(32, 24), (32, 24)]
    >>> decoder.close() == ddpmcodec.decode(data), decoder.complete
    (True, True)
    """

    def __init__(
        self, *, model: ModelSource = None, box: Edges | None = None, max_pixels: int | None = DEFAULT_MAX_PIXELS
    ) -> None:
        check_limits(max_pixels=max_pixels)
        self._decoding = Decoding(DecodeOptions(find(model), region=region_of(box), max_pixels=max_pixels))
        self._fed = 0
        self._image: Image.Image | None = None
        self._error: FormatError | None = None
        self._complete = False

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the image, once the header is there."""
        header = self._decoding.core.header
        return None if header is None else (header.width, header.height)

    @property
    def complete(self) -> bool:
        """Whether all of the file has come, and is exactly what was encoded; or as much as there is of a lossy one."""
        return self._complete

    def feed(self, data: bytes) -> Image.Image | None:
        """Takes the bytes that follow, any number of them.

        Returns:
            A preview if there is a better one than before, at the end the image; otherwise None.

        Raises:
            FormatError: not a .ddpm file, damaged (ChecksumError, CorruptError), or bytes follow its end. The preview
                before is then the best there is.
            ModelError: the model is missing, or is not the file's.
            TypeError: no bytes.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"feed() takes bytes, not {type(data).__name__}")
        if self.complete:
            if data:
                raise FormatError(bytes_follow(len(data), "image", self._fed))
            return None
        self._fed += len(data)
        try:
            self._decoding.core.feed(bytes(data))
            return self._advance()
        except FormatError as error:
            self._error = error
            raise

    def _advance(self) -> Image.Image | None:
        is_better = False
        while (event := self._decoding.until(Event.PREVIEW)) == Event.PREVIEW:
            is_better = True
        self._complete = event == Event.DONE
        if not (is_better or self.complete):
            return None
        self._image = self._decoding.result().image
        return self._image

    def close(self) -> Image.Image:
        """The image, once all of it was fed. Raises TruncatedError before, or what `feed` raised."""
        if self._error is not None:
            raise self._error
        if self._image is None or not self.complete:
            header = self._decoding.core.header
            reached = f"{self._fed} of {header.end} bytes have come" if header else "the data ends inside the header"
            raise TruncatedError(f"{reached}: feed the rest")
        return self._image
