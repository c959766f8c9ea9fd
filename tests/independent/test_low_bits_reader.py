"""docs/format.md says enough: a decoder of low bits that is written from it alone finds the samples of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from low_bits_reader import LowBits
from numpy.typing import NDArray

from ddpmcodec import codec
from image_reader import Bad, read_image, read_low_bits
from native_testing import testing

GOLDEN = Path(__file__).parents[1] / "golden" / "v1" / "deep.ddpm"


def test_samples_of_a_golden_file_are_found() -> None:
    """The networks' part, the high bits, is the library's; low bits are decoded here."""
    image, expected = read_image(GOLDEN.read_bytes()), codec.decode(GOLDEN, as_array=True)
    bits = image.samples.bits - 8
    high = (expected >> bits).astype(np.uint8)
    (stream,) = read_low_bits(image)
    values = high.astype(int) << bits | LowBits(high, bits, stream).decode()
    assert np.array_equal(np.vectorize(image.samples.sample_of)(values), expected)


def noisy(channels: int, bits: int) -> NDArray[np.int64]:
    """Values of 8 + bits bits: waves, a ramp and noise, which reach the least and the largest value."""
    y, x = np.mgrid[:10, :37]
    noise = np.random.Generator(np.random.Philox(bits)).integers(0, 3 << bits, (10, 37, channels))
    waves = (40 * np.sin(x / 5 + y / 3) + 4 * x).round(2)[..., None] * (1 << bits)
    return np.clip(waves + noise, 0, (256 << bits) - 1).astype(np.int64)


@pytest.mark.parametrize(("channels", "bits"), [(1, 1), (2, 8), (3, 6), (4, 8)])
def test_streams_of_all_channels_are_decoded(channels: int, bits: int) -> None:
    values = noisy(channels, bits)
    high, low = (values >> bits).astype(np.uint8), (values & (1 << bits) - 1).astype(np.uint8)
    data = testing.encode_low_bits(high, low, bits)
    size, words = data[0], np.frombuffer(data[1 + data[0] :], "<u4").tolist()
    state = int.from_bytes(data[1 : 1 + size], "little")
    assert np.array_equal(LowBits(high, bits, (state, list(words))).decode(), low)
    with pytest.raises(Bad, match="low bits"):
        LowBits(high, bits, (state ^ 1, list(words))).decode()
