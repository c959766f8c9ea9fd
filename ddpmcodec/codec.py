"""The codec: encoder, decoder, and what a file says of itself."""

from ddpmcodec.decoder import Decoded, decode, decode_details, decode_many, truncate
from ddpmcodec.encoder import Picture, encode, encode_many
from ddpmcodec.information import info

__all__ = [
    "Decoded",
    "Picture",
    "decode",
    "decode_details",
    "decode_many",
    "encode",
    "encode_many",
    "info",
    "truncate",
]
