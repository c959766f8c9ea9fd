"""The folders of the core depend on each other one way, and build files list them in this order."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "ddpmcodec" / "_core"

pytestmark = pytest.mark.skipif(not CORE.is_dir(), reason="the sources of the core lie in the checkout")

# What each folder of the core may include of the others: a folder includes those of higher lines only.
LAYERS = {
    "kernels": set(),
    "entropy": {"kernels"},
    "pyramid": {"entropy"},
    "format": {"entropy", "pyramid"},
    "networks": {"kernels", "entropy", "pyramid", "format"},
    "pixels": {"kernels", "entropy", "pyramid", "format", "networks"},
    "jpeg": {"kernels", "entropy", "pyramid", "format", "networks"},
    "decoder": {"kernels", "pyramid", "format", "networks", "pixels", "jpeg"},
    "encoder": {"entropy", "format", "networks", "pixels", "jpeg", "decoder"},
    "api": {"kernels", "format", "networks", "jpeg", "decoder", "encoder"},
    "bind": {"kernels", "entropy", "pyramid", "format", "networks", "pixels", "jpeg", "decoder", "encoder", "api"},
}


def sources() -> list[Path]:
    return sorted(path for path in CORE.rglob("*") if path.suffix in (".h", ".inl", ".cpp"))


def room_of(path: Path) -> str:
    return path.parent.relative_to(CORE).as_posix()


def test_every_folder_has_a_line_and_lines_point_up() -> None:
    assert {room_of(path) for path in sources()} == LAYERS.keys()
    rooms = list(LAYERS)
    assert all(rooms.index(used) < rooms.index(room) for room, allowed in LAYERS.items() for used in allowed)


def test_no_two_files_have_one_name() -> None:
    names = [path.name for path in sources()]
    assert len(names) == len(set(names)), "includes name files without their folders"


def test_no_two_types_have_one_name() -> None:
    """Linkers keep one of two functions of one name, and so would take the methods of one type for the other's."""
    definition = re.compile(r"^(?:struct|class|enum class) (\w+)(?: final)?(?: : .*)? \{", re.MULTILINE)
    of_one_file = re.compile(r"^namespace \{.*?^\}  // namespace$", re.MULTILINE | re.DOTALL)
    found = [
        (name, path.name) for path in sources() for name in definition.findall(of_one_file.sub("", path.read_text()))
    ]
    counts = Counter(name for name, _ in found)
    assert [each for each in found if counts[each[0]] > 1] == []


def test_folders_include_what_the_table_allows() -> None:
    rooms = {path.name: room_of(path) for path in sources()}
    wrong = [
        f"{room_of(path)}/{path.name} includes {name}"
        for path in sources()
        for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)
        if rooms.get(name) != room_of(path) and rooms.get(name) not in LAYERS[room_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_build_lists_the_folders_in_their_order() -> None:
    listed = re.search(r"^set\(rooms ([^)]+)\)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert listed
    assert listed[1].split() == [room for room in LAYERS if room not in ("api", "bind")]
