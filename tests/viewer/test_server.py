"""The addresses of the page: who is answered, and what with."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ddpmcodec import codec
from ddpmcodec.errors import DdpmError
from ddpmcodec.viewer import server
from ddpmcodec.viewer.server import ADDRESS, FACTS, Viewer, listen, make_app

Finished = Callable[[TestClient, str], Any]


# --- who is answered


@pytest.mark.parametrize("path", ["/", "/files", "//files", "/wrong/files", "/wrong/", "/favicon.ico"])
def test_without_the_token_nothing_is_answered(viewer: Viewer, path: str) -> None:
    stranger = TestClient(make_app(viewer), base_url=f"http://{ADDRESS}")
    for answer in (stranger.get(path), stranger.post(path, content=b"x")):
        assert answer.status_code == 403
        assert answer.text == "open the whole address that `ddpmcodec view` printed: its token is missing"


@pytest.mark.parametrize(("method", "path"), [("OPTIONS", "*"), ("GET", "*"), ("CONNECT", "a:1"), ("GET", "")])
def test_what_is_no_path_has_no_token(viewer: Viewer, method: str, path: str) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"host", ADDRESS.encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    asyncio.run(make_app(viewer)(scope, receive, send))
    assert sent[0]["status"] == 403


@pytest.mark.parametrize("token", ["", "x", "é", "almost"])
def test_another_token_is_none(viewer: Viewer, token: str) -> None:
    stranger = TestClient(make_app(viewer), base_url=f"http://{ADDRESS}")
    other = viewer.token[:-1] if token == "almost" else token
    assert stranger.get(f"/{other}/files").status_code == 403


def test_tokens_are_new_for_every_run_and_long() -> None:
    tokens = {Viewer().token for _ in range(10)}
    assert len(tokens) == 10
    assert min(map(len, tokens)) >= 32


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "localhost.example.org:80", "", "0.0.0.0"])
def test_another_name_of_this_machine_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("files", headers={"Host": host})
    assert (answer.status_code, answer.text) == (400, "Invalid host header")


def test_any_port_is_accepted_as_tunnels_have_their_own(client: TestClient) -> None:
    assert client.get("files", headers={"Host": "127.0.0.1:9999"}).status_code == 200


def test_answers_keep_other_pages_out(client: TestClient) -> None:
    for path in ("", "files", "no/such/path"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers


# --- what with


@pytest.mark.parametrize(
    ("path", "kind", "part"),
    [
        ("", "text/html", b"<!doctype html>"),
        ("page.js", "text/javascript", b"pictures.js"),
        ("map.js", "text/javascript", b"export function drawMap"),
        ("pictures.js", "text/javascript", b"fetch("),
        ("page.css", "text/css", b"body"),
    ],
)
def test_the_page_has_all_it_needs_here(client: TestClient, path: str, kind: str, part: bytes) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert part in answer.content
    assert b"//" not in answer.content.replace(b"// ", b"")  # no address of another server, comments apart


def test_files_are_listed_with_what_info_says(client: TestClient, coded: bytes) -> None:
    (file,) = client.get("files").json()
    assert (file["number"], file["name"], file["original"]) == ("0", "photo.ddpm", False)
    assert (file["sizes"][0], file["sizes"][-1]) == (file["header_bytes"], len(coded))
    assert {key: file[key] for key in codec.info(coded)} == codec.info(coded)


def test_a_preview_comes_with_its_facts(client: TestClient, coded: bytes, finished: Finished) -> None:
    answer = finished(client, "files/0/preview?bytes=500&page=a")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
    expected = codec.decode(coded, max_bytes=500, as_array=True)
    assert np.array_equal(Image.open(BytesIO(answer.content)), expected)
    facts = json.loads(answer.headers[FACTS])
    assert (facts["bytes"], facts["psnr"], facts["exact"]) == (500, None, False)


def test_the_map_brings_the_psnr_and_the_comparisons(
    client: TestClient, picture: np.ndarray, finished: Finished
) -> None:
    first = finished(client, "files/0/jpeg?bytes=500")
    assert first.status_code == 422
    assert "no original to compare with" in first.text
    found = finished(client, "files/0/map").json()
    assert found["original"]
    assert found["stripes"][0]["step"] == 1
    assert json.loads(finished(client, "files/0/preview?bytes=500").headers[FACTS])["psnr"] > 15
    for kind in ("jpeg", "webp"):
        answer = finished(client, f"files/0/{kind}?bytes=900")
        facts = json.loads(answer.headers[FACTS])
        assert facts["bytes"] == len(answer.content)
        assert facts["fits"] == (len(answer.content) <= 900)
        assert Image.open(BytesIO(answer.content)).format == {"jpeg": "JPEG", "webp": "WEBP"}[kind]
    original = finished(client, "files/0/original?bytes=0")
    assert np.array_equal(Image.open(BytesIO(original.content)), picture)


def test_a_preview_is_measured_once_there_is_an_original_and_not_decoded_again(
    viewer: Viewer, client: TestClient, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads(finished(client, "files/0/preview?bytes=500").headers[FACTS])["psnr"] is None
    finished(client, "files/0/map")
    monkeypatch.setattr(server.ViewedFile, "picture", lambda *_: pytest.fail("decoded again"))
    assert json.loads(finished(client, "files/0/preview?bytes=500").headers[FACTS])["psnr"] > 15


def test_what_stands_beside_a_preview_does_not_wait_for_it(
    coded: bytes, picture: np.ndarray, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, go, make = Viewer(), threading.Event(), server.ViewedFile.picture
    viewer.add("photo.ddpm", coded, original=Image.fromarray(picture))
    client = TestClient(make_app(viewer), base_url=f"http://{ADDRESS}/{viewer.token}/")

    def slow_preview(file: Any, kind: str, *rest: Any) -> Any:
        assert kind != "preview" or go.wait()
        return make(file, kind, *rest)

    monkeypatch.setattr(server.ViewedFile, "picture", slow_preview)
    assert client.get("files/0/preview?bytes=500").status_code == 202
    assert finished(client, "files/0/jpeg?bytes=900").status_code == 200
    go.set()
    assert finished(client, "files/0/preview?bytes=500").status_code == 200
    assert viewer.close(60)


def test_the_map_says_that_a_file_is_damaged(client: TestClient, coded: bytes, finished: Finished) -> None:
    assert not finished(client, "files/0/map").json()["damaged"]
    middle = len(coded) // 2
    client.post("files", content=coded[:middle] + bytes([coded[middle] ^ 1]) + coded[middle + 1 :])
    found = finished(client, "files/1/map").json()
    assert (found["damaged"], found["original"]) == (True, False)


def test_a_newer_request_of_a_page_is_answered_before_older_ones(
    viewer: Viewer, client: TestClient, finished: Finished
) -> None:
    for size in range(100, 600, 50):
        client.get(f"files/0/preview?bytes={size}&page=a")
    assert finished(client, "files/0/preview?bytes=600&page=a").status_code == 200
    assert 600 in {size for _, _, size in viewer._kept}


def test_what_a_page_fetches_ahead_is_the_same_and_not_kept_here(
    viewer: Viewer, client: TestClient, finished: Finished
) -> None:
    finished(client, "files/0/map")
    ahead = finished(client, "files/0/preview?bytes=500&page=a&ahead=1")
    assert viewer._kept == {}
    asked = finished(client, "files/0/preview?bytes=500&page=a")
    assert (ahead.content, ahead.headers[FACTS]) == (asked.content, asked.headers[FACTS])
    assert len(viewer._kept) == 1


def test_a_request_ahead_waits_a_moment_for_its_picture(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOMENT", 600)
    assert client.get("files/0/preview?bytes=500&ahead=1").status_code == 200


@pytest.mark.parametrize("page", ["a", "b"])
def test_any_request_that_somebody_waits_for_ends_work_ahead(
    client: TestClient, finished: Finished, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    make = server.ViewedFile.picture

    def endless_ahead(file: Any, kind: str, size: int, advance: Any) -> Any:
        while size == 900:
            advance(1)
        return make(file, kind, size, advance)

    monkeypatch.setattr(server, "MOMENT", 0)
    monkeypatch.setattr(server.ViewedFile, "picture", endless_ahead)
    assert client.get("files/0/preview?bytes=900&page=a&ahead=1").status_code == 202
    assert finished(client, f"files/0/preview?bytes=500&page={page}").status_code == 200
    assert finished(client, "files/0/preview?bytes=300&page=a&ahead=1").status_code == 200


def test_pictures_are_kept_as_long_as_there_is_room(
    viewer: Viewer, client: TestClient, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [len(finished(client, f"files/0/preview?bytes={size}").content) for size in (200, 300)]
    assert client.get("files/0/preview?bytes=200").status_code == 200
    monkeypatch.setattr(server, "KEPT_BYTES", sum(sizes))
    finished(client, "files/0/preview?bytes=400")
    assert [size for _, _, size in viewer._kept] in ([300, 400], [400])


@pytest.mark.parametrize("path", ["else", "files/0", "files/7/map", "files/7/preview?bytes=9", "files/0/gif?bytes=9"])
def test_what_is_not_there_is_404(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("size", ["", "x", "-1", "²", "1e3", "9" * 5000])
def test_sizes_are_whole_numbers(client: TestClient, size: str) -> None:
    assert client.get("files/0/preview", params={"bytes": size}).status_code == 404


# --- files that are dropped on the page


def test_a_dropped_file_is_added(client: TestClient, drawing: bytes, finished: Finished) -> None:
    name = "<img src=x onerror=alert(1)>.ddpm"
    answer = client.post("files", params={"name": name}, content=drawing[:-9])
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json"
    assert {key: answer.json()[key] for key in ("number", "name", "complete")} == {
        "number": "1", "name": name, "complete": False,
    }  # fmt: skip
    assert finished(client, "files/1/preview?bytes=60").status_code == 200
    assert len(client.get("files").json()) == 2


def test_what_is_no_file_is_refused_with_words(client: TestClient) -> None:
    answer = client.post("files", params={"name": "cat.png"}, content=b"\x89PNG")
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "text/plain; charset=utf-8")
    assert answer.text == "not a ddpmcodec file: it starts with 89 50, not dd 0a; give a .ddpm file"
    assert len(client.get("files").json()) == 1


def test_a_file_of_another_model_names_the_option(client: TestClient, foreign: bytes) -> None:
    answer = client.post("files", content=foreign)
    assert answer.status_code == 422
    assert answer.text.endswith("decode with the model that wrote it (--model PATH)")


def test_files_too_large_to_send_are_refused(client: TestClient, coded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """In all, and whether they say their size before or not. What is refused takes no room."""
    monkeypatch.setattr(server, "MOST_UPLOADED", len(coded) + 100)
    message = f"files of more than {len(coded) + 100} bytes in all: name them on the command line"
    for content in (bytes(len(coded) + 101), iter([bytes(60)] * len(coded))):
        answer = client.post("files", content=content)
        assert (answer.status_code, answer.text) == (413, message)
    assert client.post("files", content=bytes(101)).status_code == 422
    assert client.post("files", content=iter([coded])).status_code == 201
    assert client.post("files", content=bytes(101)).status_code == 413


# --- the socket


def test_connections_send_chunks_at_once() -> None:
    with listen(0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_an_error() -> None:
    with listen(0) as taken:
        address, port = taken.getsockname()
        assert address == "127.0.0.1"
        with pytest.raises(DdpmError, match=f"port {port} .*--port"):
            listen(port)
