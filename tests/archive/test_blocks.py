"""What is coded how: stacks, the files that lend them bits, batches; and at no more bytes than needed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive, archive_block, codec
from ddpmcodec.ans.stack import Stack
from ddpmcodec.archive_block import Coder, decode_block, encode_block, pop_bytes, push_bytes
from ddpmcodec.archive_format import Run, split
from ddpmcodec.archive_network import find_network
from ddpmcodec.channels import bits_back
from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.networks.model import Model
from pictures import LEVELS, create, crops, same, whole

pytestmark = pytest.mark.usefixtures("one_thread")


def runs(data: bytes) -> list[list[Run]]:
    return [list(block.runs) for block in archive.read_index(data).blocks]


def test_the_first_images_lend_their_bits_to_batches_that_grow(model: Model) -> None:
    found = create(crops(60), model)
    ((*order,),) = runs(found)
    files = [run for run in order if run.file_bytes]
    sizes = [run.images for run in order if not run.file_bytes]
    assert order[: len(files)] == files
    assert 1 <= len(files) <= 3
    assert sizes[:-1] == sorted(sizes[:-1])
    assert max(sizes) > 8
    assert sum(sizes) + len(files) == 60


def test_a_batch_has_as_many_images_as_the_format_lets_a_decoder_expect(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_block, "MAX_BATCH_PIXELS", 4 * 64)
    assert max(run.images for run in runs(create(crops(40), model))[0]) == 4


@pytest.mark.parametrize("count", [1, 2])
def test_few_images_are_the_files_that_they_would_be_alone(model: Model, count: int) -> None:
    pictures = crops(count)
    alone = sum(len(codec.encode(image, effort=1, model=model)) for image in pictures.values())
    found = create(pictures, model)
    assert not archive.read_index(found).blocks
    assert alone < len(found) <= alone + 75
    assert whole(pictures, archive.extract(found, model=model))


def test_images_that_say_nothing_come_back(model: Model) -> None:
    """They pay little for the latents that they are lent."""
    pictures = {f"{i}.png": Image.new("RGB", (8, 8)) for i in range(12)}
    found = create(pictures, model)
    assert any(not run.file_bytes for order in runs(found) for run in order)
    assert whole(pictures, archive.extract(found, model=model))


def test_large_images_and_grey_ones_are_files_of_their_own(model: Model) -> None:
    pictures = crops(8) | {"large.png": crops(1, 300, 220)["photo-000.png"]}
    pictures["grey.png"] = pictures["photo-001.png"].convert("L")
    found = create(pictures, model)
    cut = split(found)
    files = {entry.name: section for entry, section in zip(cut.index.entries, cut.sections, strict=True) if section}
    assert files.keys() == {"large.png", "grey.png"}
    assert all(same(codec.decode(file, model=model), pictures[name]) for name, file in files.items())
    assert whole(pictures, archive.extract(found, model=model))


def test_blocks_are_independent(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BLOCK_IMAGES", 9)
    pictures = crops(20)
    found, told = create(pictures, model), list[float]()
    assert [block.images for block in archive.read_index(found).blocks] == [9, 9]
    assert whole(pictures, archive.extract(found, model=model))
    assert len(list(archive.extract(found, ["photo-010.png"], model=model, progress=told.append))) == 1
    assert sum(told) <= 9 * 64.001


def test_everything_but_the_stack_takes_few_bytes(model: Model) -> None:
    found = create(crops(60), model)
    words = sum(block.words for block in archive.read_index(found).blocks)
    assert len(found) - 4 * words < 60 * 5  # names and checks of 8 x 8 pixels, and an index


def test_bytes_cost_what_they_are() -> None:
    stack, content = Stack.empty(), np.random.default_rng(0).bytes(1001)
    push_bytes(stack, content)
    assert stack.bits() == pytest.approx(8 * 1002, abs=1)
    assert pop_bytes(stack, 1001) == content
    assert stack.is_empty()
    with pytest.raises(TruncatedError, match="the stack ends before a file of 100 bytes"):
        pop_bytes(stack, 100)


def test_a_batch_that_cannot_be_lent_to_after_all_becomes_files(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits_back, "bits_lent", lambda chain: 1.0)
    pictures = crops(10)
    found = create(pictures, model)
    assert runs(found)[0][0].file_bytes
    assert whole(pictures, archive.extract(found, model=model))


def test_a_block_checks_all_its_pixels_at_the_end(model: Model) -> None:
    images = [np.asarray(image) for image in crops(8).values()]
    network = find_network(model)
    coder = Coder(network.predictor, network.chain(LEVELS), model, 1)
    order, words = encode_block(images, coder)
    sizes = [(8, 8)] * len(images)
    decoded = [image for run in decode_block(words, order, sizes, coder) for image in run[::-1]]
    assert all(np.array_equal(a, b) for a, b in zip(decoded[::-1], images, strict=True))
    below = words.copy()
    stack = Stack.from_words(below)
    stack.push_uniform(np.zeros(2, np.uint16), 16)
    with pytest.raises(FormatError):
        list(decode_block(stack.to_words(), order, sizes, coder))
