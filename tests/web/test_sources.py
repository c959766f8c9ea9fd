"""Where the decoder for browsers takes bytes from, what ends it, and what it does with parts of a file. In Node.js."""

from __future__ import annotations

import numpy as np

import ddpmcodec
from node_decoder import Node, error_of


def test_a_signal_ends_the_work(node: Node, photo: bytes) -> None:
    answer = node.ask("abort", photo)
    assert (answer["error"], answer["message"]) == ("Error", "stop")


def test_a_timer_ends_a_preview_between_two_tiles(node: Node, photo: bytes) -> None:
    assert not node.ask("decode", photo[:-1], partial=True)["exact"]  # the model is there
    assert node.ask("timer", photo)["message"] == "stop"


def test_a_signal_ends_the_wait_for_bytes(node: Node, photo: bytes) -> None:
    assert node.ask("stall", photo) == {"message": "stop", "cancelled": True}


def test_a_signal_ends_the_wait_for_the_decoder(node: Node, photo: bytes) -> None:
    assert node.ask("silence", photo)["message"] == "stop"


def test_sources_are_whatever_has_bytes(node: Node, photo: bytes) -> None:
    """All that has arrived of a stream makes one picture."""
    found = node.ask("sources", photo)
    for name in ("stream", "bytes", "buffer", "blob", "response"):
        assert found[name] == [1, True], name
    assert found["empty"].startswith("TruncatedError: the data ends inside the header, after 0 bytes")
    assert found["missing"] == "DdpmError: http://x/y.ddpm: the file cannot be fetched (HTTP 404)"
    assert found["nothing"] == found["number"]
    assert found["number"].startswith("TypeError: the source must be a Response, a Blob, a stream, bytes")


def test_what_could_not_be_fetched_is_no_damage(node: Node, photo: bytes) -> None:
    assert error_of(node.ask("unfetched", photo)) == "ModelError"


def test_a_file_that_was_closed_too_early_can_go_on(node: Node, photo: bytes) -> None:
    assert node.ask("early", photo) == {"error": "TruncatedError", "exact": True}


def test_a_small_file_that_was_exact_is_not_decoded_again(node: Node) -> None:
    file = ddpmcodec.encode(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8), effort=1, webp=False)
    assert node.ask("once", file) == {"before": 1, "after": 1, "exact": True}
