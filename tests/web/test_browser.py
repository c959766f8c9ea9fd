"""The decoder in a real browser, from a web server: golden files, WebP by the browser, models kept by id.

Skipped where there is none: `pip install playwright`, and a Chromium of the system's or Playwright's own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import ddpmcodec
from ddpmcodec import models
from node_decoder import GOLDEN, ROOT

api = pytest.importorskip("playwright.sync_api", reason="needs a browser: pip install playwright")
NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
ARGUMENTS = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has no sandbox
STREAMS = json.loads((GOLDEN / "manifest.json").read_text())["streams"]
SLOW = 300_000  # milliseconds that a busy machine may take
DECODE = """async ([file, model, without]) => {
    delete globalThis[without];
    const web = await import("./index.js");
    const bytes = async (name) => (await fetch(name)).arrayBuffer();
    const picture = await web.decode(await bytes(file), model ? { model: await bytes(model) } : {});
    const digest = await crypto.subtle.digest("SHA-256", picture.data);
    const sha256 = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return { sha256, mode: picture.mode, exact: picture.exact };
}"""
STREAM = """async (file) => {
    const web = await import("./index.js");
    const pictures = [];
    for await (const picture of web.decodeStream(await fetch(file))) pictures.push([picture.stepsDone, picture.exact]);
    return pictures;
}"""
MISSING = """async (file) => {
    const web = await import("./index.js");
    const data = await (await fetch(file)).arrayBuffer();
    const base = new URL("nowhere/", location.href);
    return web.decode(data, { base }).catch((error) => [error.name, error instanceof web.ModelError]);
}"""
KEPT = """async () => {
    const cache = await caches.open("ddpmcodec-models");
    return (await cache.keys()).map((kept) => new URL(kept.url).search.slice(1));
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a log."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def folder(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is served: the built folder, golden files, a photograph of the embedded model, and an empty page."""
    served = tmp_path_factory.mktemp("served") / "web"
    shutil.copytree(dist, served)
    for path in GOLDEN.iterdir():
        shutil.copyfile(path, served / path.name)
    (served / "coded.ddpm").write_bytes(ddpmcodec.encode(ROOT / "docs" / "photo.png", effort=1, verify=False))
    (served / "empty.html").write_text("<!doctype html><title>empty</title>")
    return served


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        except api.Error:
            pytest.skip("no Chromium: install one, or run `playwright install chromium`")
        yield started
        started.close()


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Iterator[Any]:
    opened = browser.new_page()
    opened.set_default_timeout(SLOW)
    opened.goto(f"{address}/empty.html")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "entry", json.loads((GOLDEN / "manifest.json").read_text())["streams"], ids=lambda e: e["file"]
)
def test_golden_files_decode_to_their_pictures(page: Any, entry: dict[str, Any]) -> None:
    found = page.evaluate(DECODE, [entry["file"], "model.safetensors"])
    data, model = (GOLDEN / entry["file"]).read_bytes(), GOLDEN / "model.safetensors"
    expected = ddpmcodec.decode(data, model=model, as_array=True)
    assert found["sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()
    assert found["exact"]


def test_webp_is_exact_without_an_image_decoder(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/empty.html")
    found = page.evaluate(DECODE, ["graphics-2.ddpm", None, "ImageDecoder"])
    page.close()
    expected = ddpmcodec.decode((GOLDEN / "graphics-2.ddpm").read_bytes(), as_array=True)
    assert found["sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()


def test_a_response_streams_and_its_model_is_fetched_once(page: Any, folder: Path) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url.rsplit("/", 1)[1]))
    pictures = page.evaluate(STREAM, "coded.ddpm")
    assert pictures[-1] == [3, True]
    assert [steps for steps, _ in pictures] == sorted(steps for steps, _ in pictures)
    found = page.evaluate(DECODE, ["coded.ddpm", None])
    expected = ddpmcodec.decode((folder / "coded.ddpm").read_bytes(), as_array=True)
    assert found["sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()
    page.reload()
    assert page.evaluate(DECODE, ["coded.ddpm", None]) == found
    assert requests.count("photo.safetensors") == 1
    assert page.evaluate(KEPT) == [models.ids()["photo"].hex()]


def test_what_cannot_be_fetched_is_an_error_of_ours(page: Any) -> None:
    assert page.evaluate(MISSING, "coded.ddpm") == ["ModelError", True]
