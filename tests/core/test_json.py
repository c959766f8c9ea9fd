"""The core's reader of JSON: what Python reads, unless it is not strictly JSON, or deeper than any file of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec.errors import FormatError
from native_testing import testing

DEPTH = 32
FRACTION = 0.5  # stands for every number that is no integer of 64 bits
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda some: st.lists(some) | st.dictionaries(texts, some),
    max_leaves=20,
)


def kept(value: Any) -> Any:
    """A value as the core keeps it."""
    if isinstance(value, list):
        return [kept(element) for element in value]
    if isinstance(value, dict):
        return {key: kept(element) for key, element in value.items()}
    is_small = isinstance(value, (bool, str)) or value is None or (isinstance(value, int) and -(2**63) <= value < 2**63)
    return value if is_small else FRACTION


@settings(derandomize=True)
@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_what_python_writes_is_read(value: Any, is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()
    assert testing.parse_json(text) == kept(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b" -0 ", 0),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", FRACTION),
        (b"1e5", FRACTION),
        (b"-1.50E-7", FRACTION),
        (rb'"\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00"', '"\\/\b\f\n\r\tAé€😀'),
        (b'{"b":[],"a":{}}', {"a": {}, "b": []}),
    ],
)
def test_every_kind_of_value(text: bytes, value: Any) -> None:
    assert testing.parse_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"nul", b"nulll", b"NaN", b"-Infinity", b"+1", b"01", b"1.", b".5", b"1e", b"1e+", b"-", b"1 2",
        b"[", b"[1", b"[1,]", b"[,1]", b"[1 2]", b"]", b"{", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{1:2}",
        b'{"a":1,"a":1}', b'"', b'"\n"', b'"\\', b'"\\x"', b'"\\u12"', b'"\\u12g4"', b'"\\ud800"', b'"\\udc00"',
        b'"\\u', b"'a'", b'"\\ud800\\u0041"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"',
        b'"\xe2\x82"', b"\xef\xbb\xbf1", b"\0", b"1\0",
    ],
)  # fmt: skip
def test_other_text_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError, match="JSON"):
        testing.parse_json(text)


def test_depth_is_limited() -> None:
    deepest = b"[" * DEPTH + b"]" * DEPTH
    assert testing.parse_json(deepest) == json.loads(deepest)
    for text in (b"[" + deepest + b"]", b"[" * 1_000_000, b'{"a":' * 1_000_000):
        with pytest.raises(FormatError, match="inside each other"):
            testing.parse_json(text)


@settings(derandomize=True, max_examples=300)
@given(st.text('{}[]:,"\\u0aed8.-+eE tfn\n') | st.binary())
def test_any_text_is_read_as_python_reads_it_or_refused(content: str | bytes) -> None:
    text = content.encode() if isinstance(content, str) else content
    try:
        value = testing.parse_json(text)
    except FormatError:
        return
    assert value == kept(json.loads(text))
