"""Images to .ddpm bytes and back: whole, from a prefix, or many at a time."""

from __future__ import annotations

from ddpmcodec.codec.decoder import Decoded, decode, decode_details, decode_many, truncate
from ddpmcodec.codec.encoder import encode, encode_many
from ddpmcodec.codec.information import info

__all__ = ["Decoded", "decode", "decode_details", "decode_many", "encode", "encode_many", "info", "truncate"]
