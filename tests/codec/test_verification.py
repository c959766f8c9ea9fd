"""Verification: what does not decode to what was encoded is not returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.codec import encoder, passes
from ddpmcodec.codec.passes import Tile
from ddpmcodec.errors import ChecksumError
from ddpmcodec.models.context import ContextModel

Picture = Callable[..., Image.Image]

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_result_that_does_not_decode_is_not_returned(
    picture: Picture, model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_tiles = encoder.encode_tiles

    def off_by_one(pixels: np.ndarray, *arguments: Any, **options: Any) -> Any:
        return encode_tiles(pixels ^ 1, *arguments, **options)

    monkeypatch.setattr(encoder, "encode_tiles", off_by_one)
    with pytest.raises(ChecksumError, match="image 1 of 2"):
        codec.encode_many([picture()] * 2, model=model)
    assert codec.encode(picture(), model=model, verify=False)


def test_a_coder_whose_states_are_off_by_one_is_found(
    picture: Picture, model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a decoder with the right ones finds is something else."""
    encode_tiles = encoder.encode_tiles

    def moved(*arguments: Any, **options: Any) -> Any:
        return [Tile([state + 1 for state in tile.states], tile.words) for tile in encode_tiles(*arguments, **options)]

    monkeypatch.setattr(encoder, "encode_tiles", moved)
    with pytest.raises(ChecksumError, match="encoded image"):
        codec.encode(picture(), model=model)


def test_a_result_that_cannot_be_read_is_not_returned(
    picture: Picture, model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_tiles = encoder.encode_tiles

    def shortened(*arguments: Any, **options: Any) -> Any:
        found = encode_tiles(*arguments, **options)
        return [Tile(tile.states, [[*own[:-1], own[-1][:-4]] for own in tile.words]) for tile in found]

    monkeypatch.setattr(encoder, "encode_tiles", shortened)
    with pytest.raises(ChecksumError, match="encoded image"):
        codec.encode(picture(), model=model)


def test_the_decoders_state_must_end_as_the_encoders_began(
    picture: Picture, model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all pixels right, but a check that is one off."""
    check = passes.stream_check
    monkeypatch.setattr(passes, "stream_check", lambda *arguments: check(*arguments) ^ 1)
    data = codec.encode(picture(), model=model, verify=False)
    with pytest.raises(ChecksumError, match="another image"):
        codec.decode(data, model=model)
