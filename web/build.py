"""Builds the decoder for browsers: one folder with the module, the compiled core and the models, for any web server.

    python web/build.py                    build/web/dist
    python web/build.py --out FOLDER
    python web/build.py --demo             with the demo page, in its folder demo/

Needs emscripten (Debian: apt install emscripten) and CMake. docs/web.md has the rest.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

from ddpmcodec import __version__, models

WEB = Path(__file__).resolve().parent
BUILD = WEB.parent / "build" / "web"
DIST = BUILD / "dist"
WASM = "ddpmcodec.wasm"
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


def make_demo(out: Path) -> None:
    """The demo page and its files."""
    spec = importlib.util.spec_from_file_location("make_demo", WEB / "demo" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    demo.make(out / "demo")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DIST, help="the folder, made anew (default: build/web/dist)")
    parser.add_argument("--demo", action="store_true", help="the demo page, too")
    chosen = parser.parse_args(argv)
    out: Path = chosen.out
    assemble(out, compile_core())
    if chosen.demo:
        make_demo(out)
    for path in sorted(out.iterdir()):
        if path.is_file():
            print(f"{path.stat().st_size:>10,} {path.name}")


if __name__ == "__main__":
    main()
