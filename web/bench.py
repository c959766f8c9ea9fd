"""The decoder for browsers beside the native one, in one run: seconds of one processor core, in Node.js.

    python web/bench.py                    docs/photo.png
    python web/bench.py IMAGE --times 5
    python web/bench.py --page             the demo page in Chromium, to its first picture

Each is the least of so many decodings. They alternate with those of the other, so that a busy machine favours neither.
Node.js has the JavaScript engine of Chromium. The first decoding, which compiles the core, is not counted. Nor is the
first visit of the page, which fills the browser's cache.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from PIL import Image

import ddpmcodec
from ddpmcodec import _native
from ddpmcodec.parallel import threads_of

WEB = Path(__file__).resolve().parent
DIST = WEB.parent / "build" / "web" / "dist"
SETTINGS = ((1, 0), (1, 2), (2, 0), (2, 2), (2, 5))  # effort, noise levels


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Browser:
    """A process of Node.js with the decoder."""

    def __init__(self, dist: Path) -> None:
        node = shutil.which("node")
        if node is None or not (dist / "index.js").exists():
            sys.exit(f"Node.js and {dist} are needed: apt install nodejs; python web/build.py")
        command = [node, str(WEB / "bench.mjs"), str(dist)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self, path: Path) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def native_seconds(path: Path) -> float:
    data = path.read_bytes()
    with threads_of(1):
        started = time.process_time()
        ddpmcodec.decode(data)
        return time.process_time() - started


def row(browser: Browser, path: Path, times: int) -> str:
    """A line of the table: the least of both, and their ratio."""
    pairs = [(native_seconds(path), browser.seconds(path)) for _ in range(times + 1)][1:]
    native, web = (min(column) for column in zip(*pairs, strict=True))
    return f"{path.stat().st_size:,} | {native:.2f} | {web:.2f} | {web / native:.1f}"


# --- the demo page

ARRIVED = """() => new Promise((resolve) => {
    const draw = CanvasRenderingContext2D.prototype.putImageData;
    CanvasRenderingContext2D.prototype.putImageData = function (...given) {
        draw.apply(this, given);
        resolve(performance.now() / 1000);
    };
})"""


def processor_seconds(session: Any) -> float:
    """Seconds that all processes of a browser have used."""
    return sum(float(process["cpuTime"]) for process in session.send("SystemInfo.getProcessInfo")["processInfo"])


def first_pictures(dist: Path, times: int) -> Iterator[tuple[float, float]]:
    """For each visit but the first, (seconds, processor seconds) from the navigation to the first picture."""
    from playwright.sync_api import sync_playwright

    if not (dist / "demo" / "index.html").exists():
        sys.exit(f"{dist / 'demo'} has no page: python web/build.py --demo")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(dist)))
    Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        session, context = browser.new_browser_cdp_session(), browser.new_context()
        for visit in range(times + 1):
            page = context.new_page()
            page.add_init_script(f"globalThis.arrived = ({ARRIVED})()")
            before = processor_seconds(session)
            page.goto(f"http://127.0.0.1:{server.server_port}/demo/")
            seconds = page.evaluate("arrived")
            if visit:
                yield seconds, processor_seconds(session) - before
            page.close()
        browser.close()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, nargs="?", default=WEB.parent / "docs" / "photo.png")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--dist", type=Path, default=DIST, help="the built folder")
    parser.add_argument("--page", action="store_true", help="the first picture of the demo page, in Chromium")
    chosen = parser.parse_args(argv)
    if chosen.page:
        print("| first picture, s | processor, s |\n|---:|---:|")
        for seconds, processor in first_pictures(chosen.dist, chosen.times):
            print(f"| {seconds:.2f} | {processor:.2f} |", flush=True)
        return
    image = Image.open(chosen.image)
    browser = Browser(chosen.dist)
    print(f"{chosen.image.name}, {image.width}x{image.height}; kernels of the native decoder: {_native.kernel()}\n")
    print("| effort | levels | bytes | native, s | browser, s | ratio |\n|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for effort, levels in SETTINGS:
            path = Path(folder) / f"{effort}-{levels}.ddpm"
            path.write_bytes(ddpmcodec.encode(image, effort=effort, levels=levels, verify=False))
            print(f"| {effort} | {levels} | {row(browser, path, chosen.times)} |", flush=True)


if __name__ == "__main__":
    main()
