"""What an image file holds and no file of this codec keeps, and Pillow does not mention."""

from __future__ import annotations

from ddpmcodec import png
from ddpmcodec.endings import following
from ddpmcodec.metadata import unkept_colours


def unkept(file: bytes, *, strip: bool = False) -> list[str]:
    """Return a sentence for each thing in an image file, which was read, that is not kept.

    Parameters:
        file: the bytes of the file.
        strip: whether the descriptions of its colours were not to be kept.
    """
    sentences = []
    if not strip and (names := unkept_colours(file)):
        are = "is" if len(names) == 1 else "are"
        sentences.append(f"{' and '.join(names)} {are} not kept, so its colours may look wrong")
    if file.startswith(png.START) and png.has_excess(file):
        sentences.append("image data after its pixels are not kept")
    if count := following(file):
        sentences.append(f"{count} byte{'s' * (count > 1)} after its end {'is' if count == 1 else 'are'} not kept")
    return sentences
