"""rANS streams as bytes: the state, then words; and the four streams of a tile, its lanes, in chunks.

A stream begins with the state that its encoder ended with, in the least number of bytes that hold it, 4 to 8, little
endian. 32-bit words follow, in the order in which a decoder takes them. The state that a decoder ends with is
LEAST_STATE plus a check of 24 bits.

A chunk of a tile holds, for all lanes but the last, the length of the lane's part as a varint, and then the parts. In
the first chunk a part is one byte with the size of the state, the state, and words; in later chunks it is words.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.header import LEAST_STATE_BYTES, MOST_STATE_BYTES
from ddpmcodec.format.varint import Reader, pack_varint

LANES = 4  # rows of a tile in turn
WORD_BYTES = 4
CHECK_BITS = 24
LEAST_STATE = 1 << CHECK_BITS
MOST_STATE = (1 << 63) - 1


class Stream(NamedTuple):
    """What a decoder starts from. words: of 4 bytes each, little endian, as many as are there."""

    state: int
    words: bytes


def stream_check(samples: bytes, covered: bytes = b"") -> int:
    """24 bits of the CRC-32 of what a stream decodes to. covered: by `covered_by_stream`, in front of it."""
    return zlib.crc32(samples, zlib.crc32(covered)) % (1 << CHECK_BITS)


# --- states


def state_size(state: int) -> int:
    """Bytes of a state."""
    return max(LEAST_STATE_BYTES, -(-state.bit_length() // 8))


def pack_state(state: int) -> bytes:
    """Raises ValueError for what no encoder ends with."""
    if not LEAST_STATE <= state <= MOST_STATE:
        raise ValueError(f"a state is {LEAST_STATE} to {MOST_STATE}, got {state}")
    return state.to_bytes(state_size(state), "little")


def parse_stream(data: bytes, state_bytes: int) -> Stream:
    """A stream that may be cut behind its state; a word that is there in part is left out.

    Raises TruncatedError when the data ends inside the state, FormatError when it is none.
    """
    reader = Reader(data, "the state of a stream")
    packed = reader.take(state_bytes)
    state = int.from_bytes(packed, "little")
    if not LEAST_STATE <= state <= MOST_STATE or state_size(state) != state_bytes:
        raise FormatError(f"a stream begins with {packed.hex(' ')}, which is no state: get the file again")
    end = len(data) - (len(data) - state_bytes) % WORD_BYTES
    return Stream(state, data[state_bytes:end])


# --- lanes


def pack_lane(stream: Stream) -> bytes:
    """The part of a lane in the first chunk of its tile."""
    state = pack_state(stream.state)
    return bytes([len(state)]) + state + stream.words


def pack_lanes(parts: Sequence[bytes]) -> bytes:
    """A chunk of the parts of all lanes."""
    if len(parts) != LANES:
        raise ValueError(f"a chunk has {LANES} lanes, got {len(parts)}")
    return b"".join([*(pack_varint(len(part)) for part in parts[:-1]), *parts])


def parse_lanes(chunk: bytes) -> list[bytes]:
    """The parts of a whole chunk. Raises FormatError where its lengths do not fit."""
    reader = Reader(chunk, "a chunk")
    try:
        lengths = [reader.varint() for _ in range(LANES - 1)]
        parts = [reader.take(length) for length in lengths]
    except TruncatedError as error:  # of a chunk that is all there
        raise FormatError(f"the lanes of a chunk do not fit into it ({error}): get the file again") from error
    return [*parts, chunk[reader.position :]]


def join_lanes(chunks: Sequence[bytes]) -> list[Stream]:
    """The lanes of a tile, as far as its first chunks hold them: one chunk at least. Raises FormatError."""
    first, *others = (parse_lanes(chunk) for chunk in chunks)
    for part in chain.from_iterable(others):
        if len(part) % WORD_BYTES:
            raise FormatError(f"a lane of a chunk has {len(part)} bytes, which are no whole words: get the file again")
    lanes = [_parse_first(part) for part in first]
    return [Stream(lane.state, b"".join([lane.words, *(parts[n] for parts in others)])) for n, lane in enumerate(lanes)]


def _parse_first(part: bytes) -> Stream:
    size = part[0] if part else 0
    if not LEAST_STATE_BYTES <= size <= MOST_STATE_BYTES or len(part) <= size or (len(part) - 1 - size) % WORD_BYTES:
        raise FormatError(
            f"a lane of {len(part)} bytes claims a state of {size} ({LEAST_STATE_BYTES} to {MOST_STATE_BYTES} are"
            " possible, and whole words behind it): get the file again"
        )
    return parse_stream(part[1:], size)
