"""The decoder for browsers beside the native one, in one run: seconds of one processor core, in Node.js.

    python web/bench.py                    docs/photo.png
    python web/bench.py IMAGE --times 5

Each is the least of so many decodings. They alternate with those of the other, so that a busy machine favours neither.
Node.js has the JavaScript engine of Chromium. The first decoding, which compiles the core, is not counted.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

import ddpmcodec
from ddpmcodec import _native
from ddpmcodec.parallel import threads_of

WEB = Path(__file__).resolve().parent
DIST = WEB.parent / "build" / "web" / "dist"
SETTINGS = ((1, 0), (1, 2), (2, 0), (2, 2), (2, 5))  # effort, noise levels


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


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, nargs="?", default=WEB.parent / "docs" / "photo.png")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--dist", type=Path, default=DIST, help="the built folder")
    chosen = parser.parse_args(argv)
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
