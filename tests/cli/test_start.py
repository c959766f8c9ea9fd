"""What the everyday commands import: neither PyTorch nor what they have no use for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("torch", "scipy", "matplotlib", "hypothesis", "ray", "tqdm", "asyncio")
PROGRAM = """
import sys
from ddpmcodec import cli

code = cli.run(sys.argv[2:])
print(code, sorted(set(sys.argv[1].split()) & set(sys.modules)), file=sys.stderr)
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


def imported(*arguments: object, slow: tuple[str, ...] = SLOW) -> str:
    """The exit code, and what of `slow` a command line imported."""
    command = [sys.executable, "-c", PROGRAM, " ".join(slow), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, check=True)
    return ended.stderr.decode().splitlines()[-1]


def test_encode(photo: Path) -> None:
    assert imported("encode", photo) == "0 []"


@pytest.mark.parametrize(
    "arguments",
    [
        ("decode", "-o", "-"), ("decode", "--max-bytes", 300, "-o", "-"), ("info",), ("test",),
        ("truncate", "--psnr", 20, "-o", "-"), ("truncate", "--step", 1, "-o", "-"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)  # fmt: skip
def test_commands_that_take_a_file(file: Path, arguments: tuple[object, ...]) -> None:
    command, *options = arguments
    assert imported(command, file, *options) == "0 []"


def test_archives(photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.ddpma"
    assert imported("archive", "create", file, photos) == "0 []"
    assert imported("archive", "list", file) == "0 []"
    assert imported("archive", "test", file) == "0 []"
    assert imported("archive", "extract", file, "-o", tmp_path / "out") == "0 []"


def test_doctor() -> None:
    assert imported("doctor", slow=("torch",)) == "0 []"


def test_the_viewers_server(coded: bytes, tmp_path: Path) -> None:
    """Its own command would serve for ever."""
    (tmp_path / "file.ddpm").write_bytes(coded)
    command = [sys.executable, "-c", VIEWING, tmp_path / "file.ddpm"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
