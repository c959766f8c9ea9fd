"""Builds the codec for browsers: one folder with the module, the compiled core and the models, for any web server.

    python web/build.py                    build/web/dist
    python web/build.py --out FOLDER
    python web/build.py --demo             with the demo page, in its folder demo/

Needs emscripten (Debian: apt install emscripten) and CMake. docs/web.md has the rest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ddpmcodec
from ddpmcodec import __version__, models
from ddpmcodec._native import Container
from ddpmcodec.codec.efforts import segments_of_steps
from ddpmcodec.comparison import CODECS, encode_within, psnr_of

WEB = Path(__file__).resolve().parent
BUILD = WEB.parent / "build" / "web"
DIST = BUILD / "dist"
WASM = "ddpmcodec.wasm"
DEMO = WEB / "demo"
PHOTO = WEB.parent / "docs" / "photo.png"
EVERY = 4  # segments of the exact step that make a picture: each takes a second of the page's time
PAGE = ("index.html", "demo.css", "demo.js", "own.js", "worker.js")
VERSION = "version.js"  # made by every build


def compile_core() -> Path:
    """The compiled core. Exits where there is no emscripten, or it fails."""
    if shutil.which("emcmake") is None:
        sys.exit("emscripten is needed to build for browsers, and there is no emcmake: apt install emscripten")
    configure = ["emcmake", "cmake", "-S", str(WEB), "-B", str(BUILD)]
    for command in (configure, ["cmake", "--build", str(BUILD), "--parallel", "2"]):
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"this failed: {' '.join(command)}")
    return BUILD / WASM


def clear(out: Path) -> None:
    """Deletes what an earlier build left in a folder. Exits where it holds something else."""
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / VERSION).exists():
        sys.exit(f"{out} holds other files than a build's: name another folder")
    shutil.rmtree(out)


def assemble(out: Path, wasm: Path) -> None:
    """Copies all that a page needs into a folder, which is made anew."""
    clear(out)
    out.mkdir(parents=True, exist_ok=True)
    for source in [*(WEB / "src").iterdir(), WEB.parent / "LICENSE", wasm]:
        shutil.copyfile(source, out / source.name)
    package = json.loads((WEB / "package.json").read_text())
    (out / "package.json").write_text(json.dumps({**package, "version": __version__}, indent=2) + "\n")
    # Of the core that these files call: a page may find files of two versions.
    (out / VERSION).write_text(f'export const VERSION = "{__version__}";\n')
    for name in models.NUMBERS:
        shutil.copyfile(models.path(name), out / models.path(name).name)


def ends_of_pictures(data: bytes) -> list[int]:
    """How many bytes there are of each picture: all segments of noise levels, and a few of the exact step."""
    file = Container(data)
    ends = [file.end_of_segment(segment) for segment in range(1, file.header.segments + 1)]
    levels = segments_of_steps(file.header, file.header.steps - 1)
    return [*ends[:levels], *ends[levels + EVERY - 1 :: EVERY]]


def smaller_file(image: Image.Image, name: str, limit: int, out: Path) -> dict[str, object] | None:
    """The best file of another codec that takes at most `limit` bytes, which is written; None where there is none."""
    data = encode_within(image, CODECS[name], limit, lambda share: None)
    if len(data) > limit:
        return None
    path = out / f"{len(data)}.{name}"
    path.write_bytes(data)
    shown = Image.open(path).convert("RGB")
    quality = psnr_of(shown, image)
    return {"file": path.name, "bytes": len(data), "psnr": None if quality is None else round(quality, 2)}


def make_demo(out: Path) -> None:
    """Write the demo page and its files into a folder, which is made: the photograph as .ddpm, and JPEG and WebP of the
    bytes of each of its steps."""
    out.mkdir(parents=True, exist_ok=True)
    for name in PAGE:
        (out / name).write_bytes((DEMO / name).read_bytes())
    image = Image.open(PHOTO).convert("RGB")
    data = ddpmcodec.encode(image)
    assert np.array_equal(ddpmcodec.decode(data, as_array=True), np.asarray(image))
    (out / "photo.ddpm").write_bytes(data)
    steps = [
        {"bytes": end, **{name: smaller_file(image, name, end, out) for name in CODECS}}
        for end in ends_of_pictures(data)
    ]  # fmt: skip
    (out / "rates.json").write_text(json.dumps(steps, indent=1) + "\n")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DIST, help="the folder, made anew (default: build/web/dist)")
    parser.add_argument("--demo", action="store_true", help="the demo page, too")
    chosen = parser.parse_args(argv)
    out: Path = chosen.out
    assemble(out, compile_core())
    if chosen.demo:
        make_demo(out / "demo")
    for path in sorted(out.iterdir()):
        if path.is_file():
            print(f"{path.stat().st_size:>10,} {path.name}")


if __name__ == "__main__":
    main()
