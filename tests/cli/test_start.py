"""What the everyday commands import: neither PyTorch nor what they have no use for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SLOW = ("torch", "scipy", "matplotlib", "hypothesis", "ray", "tqdm", "asyncio")
PROGRAM = """
import json, sys
from ddpmcodec import cli

slow, *lines = map(json.loads, sys.argv[1:])
for line in lines:
    code = cli.run(line)
    print(*line[:2], code, sorted({*slow} & {*sys.modules}), file=sys.stderr)
"""

VIEWING = """
import sys
from pathlib import Path
from ddpmcodec.cli import view
from ddpmcodec.viewer.server import Viewer, make_app

viewer = Viewer()
make_app(viewer)
file = viewer.files[viewer.add("a", Path(sys.argv[1]).read_bytes())]
file.decode_whole(lambda pixels: None)
file.picture("preview", 300, lambda pixels: None)
file.picture("jpeg", 300, lambda pixels: None)
viewer.close()
print(sorted({"torch"} & set(sys.modules)))
"""


def assert_quick(*lines: tuple[object, ...]) -> None:
    """In one process, where what one line imports stays: none imports what is slow, and each ends with 0."""
    arguments = [json.dumps(SLOW), *(json.dumps([str(word) for word in line]) for line in lines)]
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, check=True)
    found = [line for line in ended.stderr.decode().splitlines() if not line.startswith("ddpmcodec: ")]
    assert found == [f"{line[0]} {line[1]} 0 []" for line in lines]


def test_commands_of_files(photo: Path, file: Path) -> None:
    assert_quick(
        ("encode", photo),
        ("decode", file, "-o", "-"),
        ("decode", file, "--max-bytes", 300, "-o", "-"),
        ("info", file),
        ("test", file),
        ("truncate", file, "--psnr", 20, "-o", "-"),
        ("truncate", file, "--step", 1, "-o", "-"),
    )


def test_commands_of_archives(photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.ddpma"
    assert_quick(
        ("archive", "create", file, photos / "below"),
        ("archive", "list", file),
        ("archive", "test", file),
        ("archive", "extract", file, "-o", tmp_path / "out"),
    )


def test_the_viewers_server(coded: bytes, tmp_path: Path) -> None:
    """Its own command would serve for ever."""
    (tmp_path / "file.ddpm").write_bytes(coded)
    command = [sys.executable, "-c", VIEWING, tmp_path / "file.ddpm"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_parts_of_the_package_are_there_when_they_are_asked_for() -> None:
    names = ("archive", "codec", "parallel", "training")
    for name in names:
        program = f"import sys, ddpmcodec; ddpmcodec.{name}; assert 'ddpmcodec.{name}' in sys.modules"
        subprocess.run([sys.executable, "-c", program], check=True)
