"""rANS and the integer distributions on it, for bits back; exact pixels of files are coded in `_core`.

`stack` and `gaussian` serve bits back, with pixels under `logistic` distributions. `message` and `codecs` are a stack
with any number of lanes, in craystack's conventions, for code of your own. Probabilities are integers, so that both
ends agree on every machine.
"""

from __future__ import annotations

from ddpmcodec.paper.ans.logistic import cost_bits, decode_values, encode_values, find, interval
from ddpmcodec.paper.ans.message import Codec, Message, empty_message, flatten, pop, push, unflatten
from ddpmcodec.paper.ans.stream import PRECISION, STATE_LOW

__all__ = [
    "PRECISION",
    "STATE_LOW",
    "Codec",
    "Message",
    "cost_bits",
    "decode_values",
    "empty_message",
    "encode_values",
    "find",
    "flatten",
    "interval",
    "pop",
    "push",
    "unflatten",
]
