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

import numpy as np
from numpy.typing import NDArray

from ddpmcodec._native import CHECK_BITS, LANES, LEAST_STATE_BYTES, STATE_SIZES, WORD_BYTES
from ddpmcodec.format.varint import pack_varint

LEAST_STATE = 1 << CHECK_BITS
MOST_STATE = (1 << 63) - 1


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


# --- lanes


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
    order = _lanes_of(counts)
    for lane, lane_words in enumerate(words):
        packed[order == lane] = np.frombuffer(lane_words, "<u4")
    return packed.tobytes()


def _lanes_of(counts: Sequence[int]) -> NDArray[np.intp]:
    """The lane of each word of a part."""
    places = [((2 * np.arange(count, dtype=np.uint64) + 1) << 31) // max(count, 1) for count in counts]
    lanes = np.repeat(np.arange(LANES), counts)
    return lanes[np.argsort(np.concatenate(places), kind="stable")]
