"""The rANS streams of archives as bytes.

A stream begins with the state that its encoder ended with, in the least number of bytes that hold it, 4 to 8, little
endian. 32-bit words follow, in the order in which a decoder takes them. The state that a decoder ends with is
LEAST_STATE plus a check of 24 bits.
"""

from __future__ import annotations

import zlib

from ddpmcodec._native import CHECK_BITS, LEAST_STATE, LEAST_STATE_BYTES, MOST_STATE, STATE_SIZES


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
