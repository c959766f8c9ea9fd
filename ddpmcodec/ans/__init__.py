"""rANS and the integer distributions on it.

`stream` codes the symbols of one file front to back, under `logistic` distributions of coefficients, which `reweighted`
moves towards colours that an image has. `stack` and `gaussian` serve bits back. `message` and `codecs` are a stack with
any number of lanes, in craystack's conventions, for code of your own. Probabilities are integers, so that both ends
agree on every machine.
"""

from __future__ import annotations

from ddpmcodec.ans.logistic import cost_bits, decode_values, encode_values, find, interval
from ddpmcodec.ans.message import Codec, Message, empty_message, flatten, pop, push, unflatten
from ddpmcodec.ans.stream import (
    PRECISION,
    STATE_LOW,
    advance,
    close_stream,
    encode_reverse,
    needs_word,
    open_stream,
    refill,
    slot,
    state_bytes,
)

__all__ = [
    "PRECISION",
    "STATE_LOW",
    "Codec",
    "Message",
    "advance",
    "close_stream",
    "cost_bits",
    "decode_values",
    "empty_message",
    "encode_reverse",
    "encode_values",
    "find",
    "flatten",
    "interval",
    "needs_word",
    "open_stream",
    "pop",
    "push",
    "refill",
    "slot",
    "state_bytes",
    "unflatten",
]
