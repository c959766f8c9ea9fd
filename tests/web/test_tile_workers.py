"""Workers of a browser decode tiles of one file, to the pixels that one thread gives."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import ddpmcodec
from node_decoder import ROOT

# The picture, and how many boxes workers were given and answered. The page itself takes its time.
DECODE = """async ([file, workers]) => {
    const counts = { given: 0, answered: 0 };
    if (globalThis.Worker) globalThis.Worker = class extends Worker {
        constructor(...given) {
            super(...given);
            this.addEventListener("message", ({ data }) => (counts.answered += data.length > 0));
        }
        postMessage(message) {
            counts.given += Boolean(message.box);
            super.postMessage(message);
        }
    };
    const { postMessage } = MessagePort.prototype;
    MessagePort.prototype.postMessage = function (message) { setTimeout(() => postMessage.call(this, message), 20); };
    const web = await import("./index.js");
    const picture = await web.decode(await (await fetch(file)).arrayBuffer(), { workers });
    const digest = await crypto.subtle.digest("SHA-256", picture.data);
    const sha256 = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return { sha256, exact: picture.exact, ...counts };
}"""
WORKER = "onmessage = ({ data: { box } }) => { if (!box) return postMessage({}); "  # it is ready, and then fails


@pytest.fixture(scope="module")
def folder(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is served: the built folder, and files of twelve tiles."""
    served = tmp_path_factory.mktemp("served") / "web"
    shutil.copytree(dist, served)
    with Image.open(ROOT / "docs" / "photo.png") as photo:
        colours = photo.convert("RGB")
    (served / "RGB.ddpm").write_bytes(ddpmcodec.encode(colours, tile=96, verify=False))
    colours.putalpha(colours.getchannel("G"))
    (served / "RGBA.ddpm").write_bytes(ddpmcodec.encode(colours, tile=96, effort=1, verify=False))
    (served / "empty.html").write_text("<!doctype html><title>empty</title>")
    return served


@pytest.fixture
def page(new_page: Any, address: str) -> Any:
    opened = new_page()
    opened.goto(f"{address}/empty.html")
    return opened


def assert_exact(found: dict[str, Any], file: Path) -> None:
    expected = ddpmcodec.decode(file.read_bytes(), as_array=True)
    assert (found["sha256"], found["exact"]) == (hashlib.sha256(expected.tobytes()).hexdigest(), True)


@pytest.mark.parametrize("name", ["RGB.ddpm", "RGBA.ddpm"])
def test_workers_decode_tiles(page: Any, folder: Path, name: str) -> None:
    found = page.evaluate(DECODE, [name, 3])
    assert_exact(found, folder / name)
    assert found["given"] == found["answered"] > 0


@pytest.mark.parametrize("fails", ["throw 1; }", "postMessage(new Uint8Array(0)); }"])
def test_tiles_of_workers_that_fail_are_decoded_here(page: Any, folder: Path, fails: str) -> None:
    page.route("**/tile-worker.js", lambda route: route.fulfill(body=WORKER + fails, content_type="text/javascript"))
    found = page.evaluate(DECODE, ["RGB.ddpm", 3])
    assert_exact(found, folder / "RGB.ddpm")
    assert (found["given"], found["answered"]) == (2, 0)


def test_a_page_without_workers_decodes_alone(page: Any, folder: Path) -> None:
    page.evaluate("delete globalThis.Worker")
    found = page.evaluate(DECODE, ["RGB.ddpm", 3])
    assert_exact(found, folder / "RGB.ddpm")
    assert found["given"] == 0


def test_a_file_of_workers_that_cannot_be_fetched_is_no_error(page: Any, folder: Path) -> None:
    page.route("**/tile-worker.js", lambda route: route.fulfill(status=404))
    assert_exact(page.evaluate(DECODE, ["RGB.ddpm", 2]), folder / "RGB.ddpm")
