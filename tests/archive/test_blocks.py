"""What is coded how, at no more bytes than needed; and no more is decoded than is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec.ans.stack import Stack
from ddpmcodec.archive import blocks, writer
from ddpmcodec.archive.blocks import ContextCoder, alike, decode_block, encode_block
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError
from ddpmcodec.format.block import CONTEXT, FILES, Block, Coding, Entry
from ddpmcodec.format.ddpma import split
from ddpmcodec.networks.context.model import ContextModel
from pictures import create, crops, drawing, same, whole

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def coder(model: ContextModel) -> ContextCoder:
    return ContextCoder(model, 2)


def arrays(count: int, width: int = 8, height: int = 8) -> list[np.ndarray]:
    return [np.asarray(image) for image in crops(count, width, height).values()]


def block_of(images: list[np.ndarray], found: blocks.Encoded) -> Block:
    entries = tuple(Entry(str(i), "RGB", a.shape[1], a.shape[0], i) for i, a in enumerate(images))
    return Block(entries, len(images), Coding(b"1234", 2), found.runs)


def test_a_stack_gives_back_what_was_pushed_on_it(coder: ContextCoder) -> None:
    stack, first, second = Stack.empty(), np.stack(arrays(3)), np.stack(arrays(2, 5, 9))[..., :1]
    coder.push(stack, first)
    below = stack.to_words()
    coder.push(stack, second)
    assert np.array_equal(coder.pop(stack, second.shape), second)
    assert np.array_equal(stack.to_words(), below)
    assert np.array_equal(coder.pop(stack, first.shape), first)
    assert stack.is_empty()


def test_a_stack_that_is_too_small_raises_and_stays(coder: ContextCoder) -> None:
    stack = Stack.empty()
    coder.push(stack, np.stack(arrays(3)))
    words = stack.to_words()[:-20]
    short = Stack.from_words(words)
    with pytest.raises(TruncatedError, match="the ANS stack ends inside an image"):
        coder.pop(short, (3, 8, 8, 3))
    assert np.array_equal(short.to_words(), words)


def test_runs_are_of_one_size_and_bounded(coder: ContextCoder, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [*arrays(5), *arrays(2, 5, 9)]
    assert [len(alike(images, 0)), len(alike(images, 3)), len(alike(images, 5))] == [5, 2, 2]
    assert len(alike(images, 0, 3 * 64)) == 3
    assert len(alike(images, 0, 1)) == 1
    found = encode_block(images, coder)
    assert [run.images for run in found.runs] == [5, 2]
    decoded = [image for run in decode_block(found.words, block_of(images, found), coder) for image in run]
    assert all(np.array_equal(a, b) for a, b in zip(decoded, images, strict=True))


def test_a_block_has_to_end_where_it_began(coder: ContextCoder) -> None:
    images = arrays(4)
    found = encode_block(images, coder)
    more = np.append(found.words, np.uint32(7))
    with pytest.raises(ChecksumError, match="words follow the last image"):
        list(decode_block(more, block_of(images, found), coder))


def test_a_run_that_decodes_to_something_else_is_found(coder: ContextCoder) -> None:
    images = arrays(4)
    found = encode_block(images, coder)
    damaged = found.words.copy()
    damaged[len(damaged) // 2] ^= 64
    with pytest.raises(FormatError):
        list(decode_block(damaged, block_of(images, found), coder))


def test_everything_but_the_stack_takes_few_bytes(model: ContextModel) -> None:
    found = create(crops(60), model)
    words = sum(block.words for block in archive.read_index(found).blocks)
    assert len(found) - 4 * words < 60 * 4 + 60  # names of 8 x 8 pixels, and heads, all twice


def test_a_single_image_costs_little_more_than_its_file(model: ContextModel) -> None:
    pictures = crops(1)
    alone = len(codec.encode(pictures["photo-000.png"], effort=1, model=model))
    assert len(create(pictures, model)) < alone + 120


def test_large_images_and_graphics_are_files_of_their_own(model: ContextModel) -> None:
    pictures = crops(8) | {"large.png": crops(1, 70, 60)["photo-000.png"], "drawing.png": drawing()}
    pictures["grey.png"] = pictures["photo-001.png"].convert("L")
    found = split(create(pictures, model))
    files = {
        entry.name: section
        for block, parts in zip(found.index.blocks, found.parts, strict=True)
        for entry, section in zip(block.entries, parts.sections, strict=True)
        if block.kind == FILES
    }
    assert files.keys() == {"large.png", "drawing.png"}
    assert codec.info(files["drawing.png"])["coding"] == "lossless WebP"
    assert all(same(codec.decode(file, model=model), pictures[name]) for name, file in files.items())
    assert whole(pictures, archive.extract(create(pictures, model), model=model))


def test_an_archive_of_graphics_is_not_larger_than_their_webp(model: ContextModel) -> None:
    pictures = {f"{i}.png": drawing(20 + i) for i in range(12)}
    pictures["alpha.png"] = drawing().convert("RGBA")
    files = sum(len(codec.encode(image, model=model)) for image in pictures.values())
    found = create(pictures, model)
    assert len(found) < files + 20 * len(pictures)
    assert archive.describe(found)["images_on_stacks"] == 0


def test_blocks_are_independent(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BLOCK_IMAGES", 9)
    pictures = crops(20)
    found, reported = create(pictures, model), list[float]()
    assert [len(block.entries) for block in archive.read_index(found).blocks] == [9, 9, 2]
    assert whole(pictures, archive.extract(found, model=model))
    assert len(list(archive.extract(found, ["photo-010.png"], model=model, progress=reported.append))) == 1
    assert sum(reported) == pytest.approx(9 * 64)


def test_a_block_is_decoded_no_further_than_needed(model: ContextModel) -> None:
    """Larger images come first."""
    pictures, reported = crops(6) | {"tall.png": crops(1, 9, 17)["photo-000.png"]}, list[float]()
    found = create(pictures, model)
    assert whole(
        {"tall.png": pictures["tall.png"]}, archive.extract(found, ["tall.png"], model=model, progress=reported.append)
    )
    assert sum(reported) == pytest.approx(9 * 17)


def test_blocks_have_so_many_pixels_at_most(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BLOCK_PIXELS", 250)
    kinds = [(block.kind, len(block.entries)) for block in archive.read_index(create(crops(10), model)).blocks]
    assert kinds == [(CONTEXT, 4), (CONTEXT, 4), (CONTEXT, 2)]


def test_images_that_say_nothing_come_back(model: ContextModel) -> None:
    pictures = {f"{i}.png": Image.new("RGB", (8, 8)) for i in range(12)}
    assert whole(pictures, archive.extract(create(pictures, model), model=model))
