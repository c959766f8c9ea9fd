"""The module for browsers, built once, and run in Node.js. Without emscripten or Node.js these tests are skipped."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

import ddpmcodec
from node_decoder import HEIGHT, ROOT, WIDTH, Node

LEAST_NODE = 20
NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
ARGUMENTS = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has no sandbox
SLOW = 300_000  # milliseconds that a busy machine may take


@pytest.fixture(scope="session")
def build() -> Any:
    """web/build.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("build_web", ROOT / "web" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def dist(build: Any) -> Path:
    """The folder that a web server would serve: of DDPMCODEC_WEB, or built here."""
    if given := os.environ.get("DDPMCODEC_WEB"):
        return Path(given).resolve()
    if shutil.which("emcmake") is None:
        pytest.skip("no emscripten here: apt install emscripten, or name a built folder with DDPMCODEC_WEB")
    build.main([])
    return Path(build.DIST)


@pytest.fixture(scope="session")
def node(dist: Path) -> Iterator[Node]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("no Node.js here: apt install nodejs")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < LEAST_NODE:
        pytest.skip(f"Node.js {version.strip()} is too old: {LEAST_NODE} or later is needed")
    command = [program, Path(__file__).parent / "harness.mjs", dist]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Node(program, process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@pytest.fixture(scope="session")
def photo() -> bytes:
    """Of the embedded model: tiled, with an ICC profile, EXIF and its orientation."""
    image = Image.open(ROOT / "docs" / "photo.png").convert("RGB").crop((0, 0, WIDTH, HEIGHT))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info["exif"], image.info["icc_profile"] = exif.tobytes(), b"no profile, but bytes"
    image.info["xmp"] = b"<x:xmpmeta/>"
    file = ddpmcodec.encode(image, effort=1, tile=64, verify=False)
    assert ddpmcodec.info(file)["tiles"] == 6
    return file


# --- browsers


class Server(ThreadingHTTPServer):
    """Serves the files of a folder, and keeps (status, name) of all answers, and what is posted, by names."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.answers: list[tuple[int, str]] = []
        self.posts: dict[str, bytes] = {}


class Handler(SimpleHTTPRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        assert isinstance(self.server, Server)
        self.server.answers.append((int(code), self.path.rsplit("/", 1)[-1]))

    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        self.server.posts[self.path.rsplit("/", 1)[-1]] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def end_headers(self) -> None:
        """Browsers keep models for an hour, whatever is deployed meanwhile."""
        if self.path.endswith(".safetensors"):
            self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A web server of the test's `folder`."""
    server = Server(folder)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def new_page() -> Iterator[Callable[[], Any]]:
    """Opens a page. Errors of scripts that nobody catches fail the test."""
    api = pytest.importorskip("playwright.sync_api", reason="needs a browser: pip install playwright")
    api.expect.set_options(timeout=SLOW)
    errors: list[Any] = []
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        except api.Error:
            pytest.skip("no Chromium: install one, or run `playwright install chromium`")

        def opened() -> Any:
            page = browser.new_page()
            page.set_default_timeout(SLOW)
            page.on("pageerror", lambda error: errors.append(error))
            return page

        yield opened
        browser.close()
    assert errors == []
