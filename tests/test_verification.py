"""Whatever computes wrongly here, nothing is written: no file that only this process could decode.

Each fault is put into a process of its own, which runs the command line (broken_command.py).
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import known_networks as known_answer
import pytest
from PIL import Image

HERE = Path(__file__).parent
# What the command says of each fault.
CAUGHT = {
    "table": "this process does not compute what every other does, and what it encodes would decode nowhere else",
    "flipped_weight": "its networks do not compute here what they must",
}
if sys.platform != "linux":
    del CAUGHT["table"]  # which is found in what /proc says
HARMLESS = ("nothing", "plain_kernel", "rounding_up")


class Ended(NamedTuple):
    """files: what the process left in its folder, by name."""

    code: int
    said: str
    files: dict[str, bytes]


def encode(folder: Path, fault: str, model: Path) -> Ended:
    folder.mkdir()
    with Image.open(HERE.parent / "docs" / "photo.png") as photo:
        photo.convert("RGB").crop((120, 80, 144, 100)).save(folder / "photo.png")
    command = [sys.executable, str(HERE / "broken_command.py"), fault, "encode", "photo.png", "--model", str(model)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return Ended(ended.returncode, ended.stderr, {path.name: path.read_bytes() for path in folder.iterdir()})


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, context_path: Path) -> dict[str, Ended]:
    """Of all faults, two at a time."""
    folder, faults = tmp_path_factory.mktemp("verification"), [*CAUGHT, *HARMLESS]
    with ThreadPoolExecutor(2) as executor:
        found = executor.map(lambda fault: encode(folder / fault, fault, context_path), faults)
        return dict(zip(faults, found, strict=True))


@pytest.mark.parametrize("fault", CAUGHT)
def test_a_fault_is_caught_and_nothing_is_written(processes: dict[str, Ended], fault: str) -> None:
    found = processes[fault]
    assert re.search(CAUGHT[fault], found.said), found.said
    assert (found.code, list(found.files)) == (4, ["photo.png"])


@pytest.mark.parametrize("fault", HARMLESS)
def test_what_must_not_matter_changes_no_byte(processes: dict[str, Ended], fault: str) -> None:
    found = processes[fault]
    assert (found.code, set(found.files)) == (0, {"photo.png", "photo.ddpm"}), found.said
    assert found.files == processes["nothing"].files


def test_the_known_answer_is_part_of_the_format() -> None:
    """Every file that was ever written says the same: once there is a release it is never changed."""
    assert known_answer.answer() == known_answer.ANSWER
