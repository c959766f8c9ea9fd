"""Verification: what does not decode to what was encoded is not returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.codec import encoder
from ddpmcodec.errors import ChecksumError, DdpmError
from ddpmcodec.models import architectures, context
from ddpmcodec.models.context import ContextModel

Picture = Callable[..., Image.Image]
Outputs = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def model(linear_file: bytes, monkeypatch: pytest.MonkeyPatch) -> ContextModel:
    """A model whose networks are another's, which a test can change between encoding and verification."""
    monkeypatch.setattr(encoder, "CALL_SECONDS", 0.0)  # progress is called between short calls of the core
    return context.parse(linear_file, "others")


def changed(outputs: Outputs) -> Outputs:
    """A processor that computes something else from now on."""
    return lambda *asked: outputs(*asked) + 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_result_that_does_not_decode_is_not_returned(
    picture: Picture, model: ContextModel, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    network: Any = architectures.find("linear")
    outputs, pixels = network.outputs, 20 * 24 * count
    done: list[float] = []

    def progress(more: float) -> None:
        done.append(more)
        if sum(done) == pytest.approx(pixels):
            monkeypatch.setattr(network, "outputs", changed(outputs))

    with pytest.raises(ChecksumError, match="does not decode"):
        codec.encode_many([picture()] * count, effort=1, levels=0, model=model, progress=progress)
    assert sum(done) >= pixels


def test_without_verification_it_is_returned(
    picture: Picture, model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = codec.encode(picture(), effort=1, levels=0, model=model, verify=False)
    assert codec.decode(data, model=model) == picture()
    network: Any = architectures.find("linear")
    monkeypatch.setattr(network, "outputs", changed(network.outputs))
    with pytest.raises(DdpmError):
        codec.decode(data, model=model)


def test_a_network_that_fails_while_verifying_is_an_error(
    picture: Picture, model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    network: Any = architectures.find("linear")
    with pytest.raises(ZeroDivisionError):
        codec.encode(
            picture(), effort=1, levels=0, model=model,
            progress=lambda _: monkeypatch.setattr(network, "outputs", lambda *_: 1 // 0),
        )  # fmt: skip
