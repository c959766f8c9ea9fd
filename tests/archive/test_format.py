"""The index of an archive: read as it was written, small, and without PyTorch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec import archive_format
from ddpmcodec.archive_format import Archive, Entry, Index, Run, assemble, check_name, describe, split
from ddpmcodec.networks.model import Model
from pictures import MODES, Levels, Pictures

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_index_comes_back() -> None:
    index = Index(
        b"abcd",
        (700, 900, 5000, 5001),
        {"threads": 1, "torch": "2"},
        (3, 1),
        (
            Entry("a/b.png", "RGBA", 40, 3, True, 2, 65535, 1, 2),
            Entry("a/é.png", "L", 7, 7, length=5),
            Entry("z", "RGB", 40, 3, True),
        ),
        (archive_format.Block((Run(1, 99), Run(1)), 2),),
    )
    data = assemble(index, [b"icc", b"e"], [b"al", b"afile", b""], [bytes(8)])
    assert split(data) == Archive(index, (b"icc", b"e"), (b"al", b"afile", b""), (bytes(8),), 0, 0)
    assert split(data[:-9]).missing == 9


names = st.text(min_size=1, max_size=8).filter(lambda name: check_name(name) is None)
sides = st.integers(1, 1 << 14)
whole_entries = st.builds(Entry, names, st.sampled_from(MODES), sides, sides, length=st.integers(0, 300))


@settings(max_examples=40)
@given(st.lists(whole_entries, unique_by=lambda e: e.name), st.lists(st.integers(1, 1 << 26), unique=True).map(sorted))
def test_any_list_of_images_and_levels_comes_back(entries: list[Entry], levels: list[int]) -> None:
    index = Index(b"abcd", tuple(levels), entries=tuple(entries))
    sections = tuple(bytes([i % 256]) * entry.length for i, entry in enumerate(entries))
    assert split(assemble(index, [], sections, [])) == Archive(index, (), sections, (), 0, 0)


def test_the_header_is_what_it_was() -> None:
    written = "dd 41 0d 0a 01 01 02 03 04 0f d5 fb 47 72 63 60 e4 62 60 64 60 64 62 61 60 60 4c 04 00 66 69 6c 65"
    entry = Entry("a", "L", 1, 2, length=4)
    assert split(bytes.fromhex(written)) == Archive(
        Index(b"\1\2\3\4", (5,), entries=(entry,)), (), (b"file",), (), 0, 0
    )


def test_names_that_are_alike_cost_little() -> None:
    entries = tuple(Entry(f"cifar10/test/{i:05}.png", "RGB", 32, 32, True) for i in range(500))
    index = Index(b"1234", (9,), entries=entries, blocks=(archive_format.Block((Run(64),) * 7 + (Run(52),), 0),))
    assert len(assemble(index, [], [b""] * 500, [b""])) < 500


def test_the_index_is_read_without_pytorch() -> None:
    code = "import sys, ddpmcodec.archive_format; print({'torch', 'numba'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_facts_are_told_without_decoding(data: bytes, pictures: Pictures, model: Model, levels: Levels) -> None:
    facts = describe(data)
    assert [image["name"] for image in facts["images"]] == list(pictures)
    assert facts["images"][-1] == {"name": "tall.png", "mode": "RGB", "width": 3, "height": 17}
    assert facts["model_id"] == model.id[:4].hex()
    assert (facts["levels"], facts["effort"]) == ((levels, None) if levels else ([], 1))
    assert facts["profile"] is None
    assert facts["images_on_stacks"] == len(pictures) - 3  # three are grey
    assert (facts["images_by_bits_back"] > 0) == (levels is not None)
    assert (facts["bytes"], facts["missing_bytes"]) == (len(data), 0)
    assert 0 < facts["index_bytes"] < 300
