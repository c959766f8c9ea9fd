"""Where the decoder for browsers takes bytes from, what ends it, and what it does with parts of a file. In Node.js."""

from __future__ import annotations

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
    assert found["empty"].startswith("TruncatedError: ")
    assert found["missing"] == "DdpmError: http://x/y.ddpm: the file cannot be fetched (HTTP 404)"
    assert found["nothing"] == found["number"]
    assert found["number"].startswith("TypeError: the source must be a Response, a Blob, a stream, bytes")


def test_what_could_not_be_fetched_is_no_damage(node: Node, photo: bytes) -> None:
    assert node.ask("unfetched", photo) == {"error": "ModelError", "kept": 0}


def test_bytes_after_the_end_are_refused(node: Node, photo: bytes) -> None:
    assert node.ask("following", photo) == {"error": "FormatError", "kept": 0}


def test_a_file_that_ends_too_early_is_truncated(node: Node, photo: bytes) -> None:
    assert error_of(node.ask("stream", photo[: len(photo) // 2], chunk=1000)) == "TruncatedError"
