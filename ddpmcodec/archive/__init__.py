"""Archives of many images (.ddpma): without loss, and without what each image would need to be a file of its own.

Small images of one size share streams, about 128 a stream, under the context model (`archive.blocks`); or they share
an ANS stack by bits back under a Gaussian model or the paper's network (`archive.latents`), which reaches the
variational bound of the paper. Large images and JPEG files stand in the archive
 as the .ddpm files that they would be alone. Everything is kept: names, modes, alpha, ICC, EXIF, XMP.

PyTorch is imported for `ArchiveDataset`, `loader` and bits back only, when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddpmcodec.archive.access import ArchiveFile, open
from ddpmcodec.archive.editing import join, remove
from ddpmcodec.archive.reader import describe, extract, names, read_index, test
from ddpmcodec.archive.restorer import Extracted, Picture
from ddpmcodec.archive.writer import Named, Writer, create

if TYPE_CHECKING:
    from ddpmcodec.archive.dataset import ArchiveDataset
    from ddpmcodec.archive.loading import loader

__all__ = [
    "ArchiveDataset",
    "ArchiveFile",
    "Extracted",
    "Named",
    "Picture",
    "Writer",
    "create",
    "describe",
    "extract",
    "join",
    "loader",
    "names",
    "open",
    "read_index",
    "remove",
    "test",
]


def __getattr__(name: str) -> object:
    if name in ("ArchiveDataset", "loader"):
        from ddpmcodec.archive import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
