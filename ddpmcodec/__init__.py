"""A lossless image codec whose compressor is a diffusion-style context model; any prefix of a file is a preview.

`import ddpmcodec` is light; coding needs no PyTorch.

>>> import numpy as np
>>> import ddpmcodec
>>> image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)  # or a Pillow image, or a path
>>> data = ddpmcodec.encode(image)
>>> np.array_equal(np.asarray(ddpmcodec.decode(data)), image)
True

Functions: `encode`, `decode`, `encode_many`, `decode_many`, `decode_original`, `truncate`, `thumbnail`,
`info`; many images in one file: `archive`; previews while bytes arrive: `ProgressiveDecoder`.
Errors that are raised on purpose derive from `DdpmError`.

Source: Ho, Jain & Abbeel 2020, Denoising Diffusion Probabilistic Models, arXiv 2006.11239, section 4.3.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ddpmcodec.errors import (
    ChecksumError,
    ClusterError,
    CorruptError,
    DdpmError,
    DiskError,
    FormatError,
    ImageError,
    LimitError,
    MissingFileError,
    ModelError,
    OutputError,
    TrainingError,
    TruncatedError,
)

if TYPE_CHECKING:
    from ddpmcodec import archive, codec, parallel, training
    from ddpmcodec.codec import (
        ProgressiveDecoder,
        decode,
        decode_many,
        decode_original,
        encode,
        encode_many,
        info,
        thumbnail,
        truncate,
    )

__version__ = "0.1.0"  # setup.cfg, CMake and web/build.py read it here
PACKAGES = ("archive", "codec", "parallel", "training")  # imported when they are asked for

__all__ = [
    "ChecksumError",
    "ClusterError",
    "CorruptError",
    "DdpmError",
    "DiskError",
    "FormatError",
    "ImageError",
    "LimitError",
    "MissingFileError",
    "ModelError",
    "OutputError",
    "ProgressiveDecoder",
    "TrainingError",
    "TruncatedError",
    "archive",
    "codec",
    "decode",
    "decode_many",
    "decode_original",
    "encode",
    "encode_many",
    "info",
    "parallel",
    "thumbnail",
    "training",
    "truncate",
]


def __getattr__(name: str) -> object:
    if name in PACKAGES:
        return import_module(f"ddpmcodec.{name}")
    if name in __all__:
        return getattr(import_module("ddpmcodec.codec"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
