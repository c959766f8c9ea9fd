"""rANS streams as bytes: the state, then words; and the four streams of a tile, its lanes, in chunks.

A stream begins with the state that its encoder ended with, in the least number of bytes that hold it, 4 to 8, little
endian. 32-bit words follow, in the order in which a decoder takes them. The state that a decoder ends with is
LEAST_STATE plus a check of 24 bits.

A chunk of a tile has parts, one after another, as the schedule says. It holds the numbers of words of all lanes in all
parts as varints, but for the very last, which is what is left; in the first chunk the states of all lanes, a byte with
its size in front of each; then the words. Those of every lane stand all over their part, evenly, so that a chunk which
is cut holds about as much of each: word i of n has the place floor((2 i + 1) 2^31 / n), and words stand in the order of
places, lane after lane where they are equal.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.header import LEAST_STATE_BYTES, MOST_STATE_BYTES, WORD_BYTES
from ddpmcodec.format.varint import Reader, pack_varint

LANES = 4
CHECK_BITS = 24
STATE_SIZES = MOST_STATE_BYTES - LEAST_STATE_BYTES + 1
LEAST_STATE = 1 << CHECK_BITS
MOST_STATE = (1 << 63) - 1


class Stream(NamedTuple):
    """What a decoder starts from. words: of 4 bytes each, little endian, as many as are there."""

    state: int
    words: bytes


def stream_check(samples: bytes, covered: bytes = b"") -> int:
    """24 bits of the CRC-32 of what a stream decodes to. covered: what `covered_by_stream` gives, in front of it."""
    return zlib.crc32(samples, zlib.crc32(covered)) % (1 << CHECK_BITS)


# --- states


def state_size(state: int) -> int:
    """How many bytes a state takes."""
    return max(LEAST_STATE_BYTES, -(-state.bit_length() // 8))


def pack_state(state: int) -> bytes:
    """The bytes of a state. Raises ValueError for one that no encoder ends with."""
    if not LEAST_STATE <= state <= MOST_STATE:
        raise ValueError(f"a state is {LEAST_STATE} to {MOST_STATE}, got {state}")
    return state.to_bytes(state_size(state), "little")


def pack_stream_size(state_bytes: int, words: int) -> int:
    """Return the number that states the size of a stream."""
    return STATE_SIZES * words + state_bytes - LEAST_STATE_BYTES


def parse_stream_size(size: int) -> tuple[int, int]:
    """Return the number of bytes of a stream's state, and its number of words."""
    words, state = divmod(size, STATE_SIZES)
    return state + LEAST_STATE_BYTES, words


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


class Chunk(NamedTuple):
    """A chunk of a tile. length: of all of it; the data may be only its beginning."""

    data: bytes
    length: int


def pack_chunk(parts: Sequence[Sequence[bytes]], states: Sequence[int] = ()) -> bytes:
    """A chunk of parts, each the words of all lanes. states: those of the lanes, in the first chunk of a tile."""
    if any(len(words) != LANES for words in parts) or len(states) not in (0, LANES):
        raise ValueError(f"every part of a chunk has {LANES} lanes, and a chunk as many states, or none")
    counts = [[len(lane_words) // WORD_BYTES for lane_words in words] for words in parts]
    head = [pack_varint(count) for count in chain.from_iterable(counts)][:-1]
    head += [bytes([state_size(state)]) + pack_state(state) for state in states]
    return b"".join([*head, *map(_mixed, parts, counts)])


def _mixed(words: Sequence[bytes], counts: Sequence[int]) -> bytes:
    """The words of a part."""
    packed = np.empty(sum(counts), "<u4")
    order = _lanes_of(counts, len(packed))
    for lane, lane_words in enumerate(words):
        packed[order == lane] = np.frombuffer(lane_words, "<u4")
    return packed.tobytes()


def parse_chunk(chunk: Chunk, is_first: bool, parts: int) -> list[Stream]:
    """The words of all lanes, as far as they are there, and their states, which are 0 where it is not the first chunk.

    Raises TruncatedError where data that is cut ends in front of the words, and FormatError where the chunk is none.
    """
    reader = Reader(chunk.data, "a chunk")
    try:
        counts = [reader.varint() for _ in range(LANES * parts - 1)]
        states = [_take_state(reader) if is_first else 0 for _ in range(LANES)]
    except TruncatedError as error:
        if len(chunk.data) < chunk.length:
            raise
        raise FormatError(f"the lanes of a chunk do not fit into it ({error}): get the file again") from error
    last, rest = divmod(chunk.length - reader.position - WORD_BYTES * sum(counts), WORD_BYTES)
    if last < 0 or rest:
        raise FormatError(f"the lanes of a chunk of {chunk.length} bytes do not fit into it: get the file again")
    lanes = [b""] * LANES
    words = np.frombuffer(chunk.data, "<u4", (len(chunk.data) - reader.position) // WORD_BYTES, reader.position)
    counts.append(last)
    for part in range(parts):
        order = _lanes_of(counts[LANES * part : LANES * (part + 1)], len(words))
        lanes = [before + words[: len(order)][order == lane].tobytes() for lane, before in enumerate(lanes)]
        words = words[len(order) :]
    return list(map(Stream, states, lanes))


def join_lanes(chunks: Sequence[Chunk], parts: Sequence[int]) -> list[Stream]:
    """The lanes of a tile, as far as its first chunks hold them: one chunk at least, of which the last may be cut.
    parts: of each chunk.

    Raises FormatError where a chunk is none, and TruncatedError where the first one ends in front of its words. A later
    one that is cut has no checksum that holds: where it makes no sense it is left out.
    """
    parsed = [parse_chunk(chunks[0], True, parts[0])]
    for chunk, chunk_parts in zip(chunks[1:], parts[1:], strict=False):
        try:
            parsed.append(parse_chunk(chunk, False, chunk_parts))
        except FormatError:
            if len(chunk.data) == chunk.length:
                raise
    return [Stream(lanes[0].state, b"".join(lane.words for lane in lanes)) for lanes in zip(*parsed, strict=True)]


def _take_state(reader: Reader) -> int:
    size = reader.take(1)[0]
    if not LEAST_STATE_BYTES <= size <= MOST_STATE_BYTES:
        raise FormatError(
            f"a lane claims a state of {size} bytes ({LEAST_STATE_BYTES} to {MOST_STATE_BYTES} are possible):"
            " get the file again"
        )
    return parse_stream(reader.take(size), size).state


def _lanes_of(counts: Sequence[int], most: int) -> NDArray[np.intp]:
    """The lane of each of the first `most` words of a chunk. Takes memory for those alone, whatever counts claim."""
    bounded = [min(count, most) for count in counts]
    middles = (2 * np.arange(count, dtype=np.uint64) + 1 for count in bounded)
    places = [(middle << 31) // count for middle, count in zip(middles, counts, strict=True)]
    lanes = np.repeat(np.arange(LANES), bounded)
    return lanes[np.argsort(np.concatenate(places), kind="stable")[:most]]
