"""Images to .ddpm bytes and back: whole, from a prefix, or many at a time.

Functions are imported when they are first used, as importing takes longer than some of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddpmcodec.codec.decoder import decode, decode_details, decode_many, decode_original, thumbnail
    from ddpmcodec.codec.decoding import Decoded
    from ddpmcodec.codec.encoder import encode, encode_many
    from ddpmcodec.codec.information import info
    from ddpmcodec.codec.passes import SegmentCost
    from ddpmcodec.codec.stream_decoder import ProgressiveDecoder
    from ddpmcodec.codec.truncation import truncate

__all__ = [
    "Decoded",
    "ProgressiveDecoder",
    "SegmentCost",
    "decode",
    "decode_details",
    "decode_many",
    "decode_original",
    "encode",
    "encode_many",
    "info",
    "thumbnail",
    "truncate",
]

_MODULES = {  # of the rest: decoder
    "Decoded": "decoding",
    "ProgressiveDecoder": "stream_decoder",
    "SegmentCost": "passes",
    "encode": "encoder",
    "encode_many": "encoder",
    "info": "information",
    "truncate": "truncation",
}


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'decoder')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
