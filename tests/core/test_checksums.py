"""SHA-256: by the instructions of a processor, or without."""

from __future__ import annotations

import hashlib
import os

import pytest

from native_testing import testing


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 119, 128, 1000, 100_000])
def test_hashes_are_those_of_the_standard(length: int) -> None:
    data = os.urandom(length)
    assert testing.sha256(data) == hashlib.sha256(data).digest()


def test_instructions_compute_what_plain_code_does() -> None:
    data = os.urandom(640)
    plain, fast = testing.sha256_blocks(data, True), testing.sha256_blocks(data, False)
    if not fast:
        pytest.skip("this processor has no instructions for SHA-256")
    assert fast == plain
    assert testing.sha256_blocks(b"", False) == [1, 2, 3, 4, 5, 6, 7, 8]
