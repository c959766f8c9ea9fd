"""docs/format.md says enough: a reader written from it alone lists, checks and repairs archives as the library does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archive_reader import (
    BITS_BACK,
    CONTEXT,
    FILES,
    MARK,
    Archive,
    Block,
    check_archive,
    cut_body,
    open_stack,
    read_archive,
)
from ddpmcodec import archive
from ddpmcodec.archive import packing
from ddpmcodec.errors import FormatError
from ddpmcodec.format.ddpma import split
from ddpmcodec.models.context import ContextModel
from ddpmcodec.paper.ans import Stack
from ddpmcodec.paper.gaussian_model import GaussianModel
from image_reader import CODINGS, Bad, Image, open_stream, read_image
from pictures import create, crops, drawing, mixed

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("archive-v*/*.ddpma"))

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def stacked(context_model: ContextModel) -> bytes:
    """All modes, metadata, several sizes; blocks of six images, and a block of two files."""
    pictures = {**mixed(), "large.png": crops(1, 70, 60)["photo-000.png"], "drawing.png": drawing()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "BLOCK_IMAGES", 6)
        return create(pictures, context_model, effort=2, levels=2)


@pytest.fixture(scope="module")
def bits_back(gaussian_model: GaussianModel) -> bytes:
    return create(crops(20), gaussian_model, bits_back=4)


def facts_of(data: bytes) -> dict[str, object]:
    """What the library lists of an archive, and the reader should."""
    return {key: value for key, value in archive.describe(data).items() if key not in ("format_version", "profile")}


def listed(data: bytes) -> dict[str, object]:
    """The same by the reader."""
    found = read_archive(data)
    entries = found.entries()
    stacks = [block for block in found.blocks if block.kind != FILES]
    images = [facts for _, facts in sorted(images_of(found), key=itemgetter(0))]
    context = [image for image in images if image["coding"] != "bits back"]
    latent = next((block for block in stacks if block.kind == BITS_BACK), None)
    channels = {"L": 1, "1": 1, "LA": 2, "RGB": 3, "RGBA": 4}
    dims = sum(entry.width * entry.height * channels[entry.mode] for entry in entries)
    return {
        "bytes": len(data),
        "missing_bytes": found.missing,
        "following_bytes": found.following,
        "bits_per_dim": 8 * (len(data) + found.missing - found.following) / dims,
        "index_bytes": found.index_bytes,
        "index_damaged": not found.index_bytes,
        "images_lost": max(block.total for block in found.blocks) - len(entries),
        "model_numbers": sorted(
            {block.model_number for block in stacks if block.model_number}
            | {image["model_number"] for image in context if image["model_number"]}
        ),
        "model_ids": sorted(
            {block.model_id.hex() for block in stacks if block.model_id}
            | {image["model_id"] for image in context if image["model_id"]}
        ),
        "settings": [
            {"effort": effort, "levels": levels}
            for effort, levels in sorted({(stack.effort, stack.levels) for stack in stacks})
        ],
        "latent_model_ids": sorted({block.latent_id.hex() for block in stacks if block.kind == BITS_BACK}),
        "latent_levels": [level / 1024 for level in latent.latent_levels] if latent else [],
        "blocks": len(found.blocks),
        "images_on_stacks": sum(len(block.entries) for block in stacks),
        "images_by_bits_back": sum(
            run
            for block in stacks
            if block.kind == BITS_BACK
            for run, initial in zip(block.runs, block.initial, strict=True)
            if not initial
        ),
        "images": images,
    }


def images_of(found: Archive) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each image with its number."""
    for block, body in zip(found.blocks, found.bodies, strict=True):
        for entry, section in zip(block.entries, body[len(block.value_lengths) :], strict=False):
            shape = {"name": entry.name, "mode": entry.mode, "width": entry.width, "height": entry.height}
            coding = coding_of_file(section) if block.kind == FILES else coding_of_block(block)
            yield entry.number, {**shape, **coding, "bytes": entry.length if block.kind == FILES else None}


def coding_of_block(block: Block) -> dict[str, Any]:
    if block.kind == CONTEXT:
        return {"bits": 8, **coding("context model", block)}
    absent = {"bits": 8, "effort": None, "model_number": None}
    return {"coding": "bits back", "levels": len(block.latent_levels), "model_id": block.latent_id.hex(), **absent}


def coding_of_file(file: bytes) -> dict[str, Any]:
    try:
        image = read_image(file)
    except (Bad, ValueError):
        return {"bits": None, **coding(None, None)}
    bits = image.samples.source_bits
    return {"bits": bits, **coding(CODINGS[image.is_jpeg], image)}


def coding(name: str | None, found: Block | Image | None) -> dict[str, Any]:
    if found is None:
        return {"coding": name, **dict.fromkeys(("effort", "levels", "model_number", "model_id"))}
    model = {"model_number": found.model_number or None, "model_id": found.model_id.hex() or None}
    return {"coding": name, "effort": found.effort, "levels": found.levels, **model}


def flipped(data: bytes, *places: int) -> bytes:
    damaged = bytearray(data)
    for place in places:
        damaged[place] ^= 1 << place % 8
    return bytes(damaged)


def parts_by_reader(data: bytes) -> Sequence[tuple[bytes, ...]]:
    return [tuple(parts) for parts in read_archive(data).bodies]


def parts_by_library(data: bytes) -> Sequence[tuple[bytes, ...]]:
    return [(*parts.values, *parts.sections, *filter(len, parts.alphas), *parts.streams) for parts in split(data).parts]


def test_an_archive_by_the_context_model_is_listed_and_checked(stacked: bytes) -> None:
    assert {block.kind for block in read_archive(stacked).blocks} == {FILES, CONTEXT}
    assert listed(stacked) == facts_of(stacked)
    assert parts_by_reader(stacked) == parts_by_library(stacked)
    assert list(check_archive(read_archive(stacked))) == []


def test_an_archive_by_bits_back_is_listed_and_checked(bits_back: bytes) -> None:
    (block,) = read_archive(bits_back).blocks
    assert block.kind == BITS_BACK
    assert listed(bits_back) == facts_of(bits_back)
    assert parts_by_reader(bits_back) == parts_by_library(bits_back)
    assert list(check_archive(read_archive(bits_back))) == []
    (coded,) = split(bits_back).index.blocks
    assert block.checks == tuple(run.check for run in coded.runs)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.parent.name)
def test_a_golden_archive_is_listed_and_checked(path: Path) -> None:
    data = path.read_bytes()
    assert listed(data) == facts_of(data)
    assert list(check_archive(read_archive(data))) == []


def test_streams_of_runs_are_opened_as_the_library_opens_them(stacked: bytes) -> None:
    from native_testing import testing

    found, opened = read_archive(stacked), 0
    for block, parts in zip(found.blocks, found.bodies, strict=True):
        for stream, (words, size) in zip(cut_body(block, parts)[3], block.sizes, strict=True):
            state, expected = testing.parse_stream(bytes(stream), size)
            assert open_stream(stream, size) == (state, expected)
            assert len(expected) == words
            opened += 1
    assert opened > 3


def test_a_stack_is_opened_as_the_library_opens_it(bits_back: bytes) -> None:
    (parts,) = parts_by_reader(bits_back)
    state, words = open_stack(parts[-1])
    stack = Stack.from_words(np.frombuffer(parts[-1], "<u4").astype(np.uint32))
    assert (state, words) == (int(stack.head), stack.words[: stack.size][::-1].tolist())


@pytest.mark.parametrize("which", ["stacked", "bits_back"])
def test_a_damaged_index_is_rebuilt_as_the_library_does(which: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(which)
    for place in range(0, split(data).index_bytes, 7):
        damaged = flipped(data, place)
        assert listed(damaged) == facts_of(damaged), place
        assert "the index is damaged" in list(check_archive(read_archive(damaged)))


def test_blocks_that_are_lost_are_counted(stacked: bytes) -> None:
    second = stacked.find(MARK, stacked.find(MARK) + 1)
    damaged = flipped(stacked, 9, second + 12)
    assert listed(damaged) == facts_of(damaged)
    assert "6 images are lost" in list(check_archive(read_archive(damaged)))


def test_a_damaged_head_costs_nothing_where_the_index_is_intact(stacked: bytes) -> None:
    for place in range(split(stacked).index_bytes, split(stacked).index_bytes + 40, 3):
        damaged = flipped(stacked, place)
        assert listed(damaged) == facts_of(stacked)
        assert list(check_archive(read_archive(damaged))) == ["the header of a block is damaged"]


@pytest.mark.parametrize("change", [b"", b"more"], ids=["missing", "in between"])
def test_blocks_that_have_moved_are_found(stacked: bytes, change: bytes) -> None:
    place = stacked.find(MARK, stacked.find(MARK) + 1) - 9
    moved = stacked[:place] + change + stacked[place + 4 * (not change) :]
    assert parts_by_reader(moved) == parts_by_library(moved)
    assert listed(moved) == facts_of(moved)


def test_every_prefix_is_listed_as_the_library_lists_it(stacked: bytes) -> None:
    for size in range(0, len(stacked), 131):
        if size < split(stacked).index_bytes:
            with pytest.raises(Bad):
                read_archive(stacked[:size])
            with pytest.raises(FormatError):
                split(stacked[:size])
        else:
            assert listed(stacked[:size]) == facts_of(stacked[:size])
            assert list(check_archive(read_archive(stacked[:size])))


def test_files_inside_an_archive_are_checked(stacked: bytes) -> None:
    (parts,) = (parts for parts in split(stacked).parts if not parts.streams)
    place = stacked.find(parts.sections[0])
    assert any("large.png" in problem for problem in check_archive(read_archive(flipped(stacked, place))))
