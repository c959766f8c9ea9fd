"""Archives of many images (.ddpma): without loss, and without what each image would need to be a file of its own.

Small images share ANS stacks, up to 512 a stack: under the context model (`archive.blocks`), or by bits back under a
Gaussian model or the paper's network (`archive.bits_back`), which reaches the variational bound of the paper. Large
images, and those that are smaller as lossless WebP, stand in the archive as the .ddpm files that they would be alone.
Everything is kept: names, modes, alpha, ICC, EXIF.
"""

from __future__ import annotations

from ddpmcodec.archive.access import ArchiveFile, open
from ddpmcodec.archive.dataset import ArchiveDataset, BlockBatches
from ddpmcodec.archive.reader import Extracted, extract, names, read_index, test
from ddpmcodec.archive.writer import Named, create
from ddpmcodec.format.archive_facts import describe

__all__ = [
    "ArchiveDataset",
    "ArchiveFile",
    "BlockBatches",
    "Extracted",
    "Named",
    "create",
    "describe",
    "extract",
    "names",
    "open",
    "read_index",
    "test",
]
