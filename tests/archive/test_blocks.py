"""What is coded how, at no more bytes than needed; and no more is decoded than is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec.archive import blocks, packing
from ddpmcodec.archive.blocks import ContextCoder, DecodedRuns, EncodedRuns, alike, encode_block
from ddpmcodec.codec import efforts
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError
from ddpmcodec.format.block import CONTEXT, FILES, Block, BlockCoding, Entry
from ddpmcodec.format.ddpma import split
from ddpmcodec.models.context import ContextModel
from pictures import create, crops, drawing, same, survivors, whole

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def coder(model: ContextModel) -> ContextCoder:
    return ContextCoder(model, efforts.Coding(effort=1, levels=0))


def arrays(count: int, width: int = 8, height: int = 8) -> list[np.ndarray]:
    return [np.asarray(image) for image in crops(count, width, height).values()]


def block_of(images: list[np.ndarray], found: EncodedRuns) -> Block:
    entries = tuple(Entry(str(i), "RGB", a.shape[1], a.shape[0], i) for i, a in enumerate(images))
    return Block(entries, len(images), BlockCoding(1, 0, model_id=b"1234"), found.runs)


def decoded(images: list[np.ndarray], found: EncodedRuns, coder: ContextCoder) -> DecodedRuns:
    return coder.decode(block_of(images, found), found.streams, range(len(found.runs)))


@pytest.mark.parametrize("levels", [0, 1, 2, 5])
def test_runs_are_of_one_size_and_bounded(model: ContextModel, levels: int) -> None:
    coder = ContextCoder(model, efforts.Coding(effort=1, levels=levels))
    images = [*arrays(5), *arrays(2, 5, 9)]
    assert [len(alike(images, 0)), len(alike(images, 3)), len(alike(images, 5))] == [5, 2, 2]
    assert len(alike(images, 0, 3 * 64)) == 3
    assert len(alike(images, 0, 1)) == 1
    found = encode_block(images, coder)
    assert [run.images for run in found.runs] == [5, 2]
    assert [run.length for run in found.runs] == [len(stream) for stream in found.streams]
    back = [image for run in decoded(images, found, coder).runs.values() for image in run]
    assert all(np.array_equal(a, b) for a, b in zip(back, images, strict=True))


def test_a_run_has_more_than_a_hundred_thumbnails() -> None:
    assert len(alike([np.zeros((32, 32, 3), np.uint8)] * 200, 0)) == 128


def test_a_run_in_which_weights_learn_comes_back(coder: ContextCoder) -> None:
    images = arrays(18, 32, 32)
    assert efforts.learns_in(18 * 32, 32)
    assert not efforts.learns_in(32, 32)
    (run,) = decoded(images, encode_block(images, coder), coder).runs.values()
    assert np.array_equal(run, np.stack(images))


def test_images_of_a_run_share_what_a_stream_costs(coder: ContextCoder) -> None:
    images = arrays(30)
    alone = sum(len(encode_block([image], coder).streams[0]) for image in images)
    assert sum(map(len, encode_block(images, coder).streams)) < alone - 3 * len(images)


def test_only_wanted_runs_are_decoded(coder: ContextCoder, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [*arrays(3), *arrays(2, 5, 9), *arrays(1, 3, 2)]
    found = encode_block(images, coder)
    shapes = []
    decode = blocks.decode_run
    monkeypatch.setattr(blocks, "decode_run", lambda *rest: shapes.append(rest[2]) or decode(*rest))
    (number,) = coder.decode(block_of(images, found), found.streams, [1]).runs
    assert (number, shapes) == (1, [(9, 5, 3)])


@pytest.mark.parametrize("more", [b"1234", bytes(4)])
def test_a_stream_has_to_end_where_it_began(coder: ContextCoder, more: bytes) -> None:
    images = arrays(4)
    found = encode_block(images, coder)
    run = replace(found.runs[0], words=found.runs[0].words + 1)
    with pytest.raises(ChecksumError, match="other images"):
        blocks.decode_run(found.streams[0] + more, run, (8, 8, 3), coder)


def test_damage_costs_its_run_and_no_other(coder: ContextCoder) -> None:
    images, rng = [*arrays(4), *arrays(3, 5, 9)], np.random.default_rng(0)
    found = encode_block(images, coder)
    for bit in rng.integers(0, 8 * len(found.streams[0]), 40):
        stream = bytearray(found.streams[0])
        stream[bit // 8] ^= 1 << bit % 8
        runs = decoded(images, found._replace(streams=(bytes(stream), found.streams[1])), coder).runs
        assert isinstance(runs[0], FormatError), bit
        assert np.array_equal(runs[1], np.stack(images[4:]))


def test_a_cut_stream_is_a_truncated_one(coder: ContextCoder) -> None:
    images = arrays(4)
    found = encode_block(images, coder)
    for size in range(0, len(found.streams[0]), 9):
        lost = decoded(images, found._replace(streams=(found.streams[0][:size],)), coder).runs[0]
        assert isinstance(lost, TruncatedError)
        assert "inside a block" in str(lost)


def with_alpha(count: int, width: int, height: int, mode: str = "RGB") -> dict[str, Image.Image]:
    """Pictures of a size, of which every fifth has no alpha, and one is opaque."""
    images = {f"{width}-{name}": image.convert(mode) for name, image in crops(count, width, height).items()}
    y, x = np.mgrid[:height, :width]
    for number, image in enumerate(images.values()):
        if number % 5 != 2:
            plane = np.where(x + y > 4 + number % 3, 255, 40 * x * (number != 1))
            image.putalpha(Image.fromarray(plane.astype(np.uint8)))
    return images


def test_alpha_is_coded_with_its_run(model: ContextModel) -> None:
    pictures = with_alpha(12, 9, 9) | with_alpha(7, 8, 5, "L")
    pictures["noise.png"] = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 4, 4), dtype=np.uint8))
    for levels in (0, 2):
        data = create(pictures, model, levels=levels)
        ((block,), (parts,)) = split(data).index.blocks, split(data).parts
        assert [run.alpha and run.alpha.images for run in block.runs] == [10, 6, 1]
        assert not any(map(len, parts.sections))
        assert whole(pictures, archive.extract(data, model=model))


def test_a_damaged_alpha_stream_costs_images_with_alpha_of_its_run(model: ContextModel) -> None:
    pictures = with_alpha(12, 9, 9) | with_alpha(7, 8, 5)
    data = bytearray(create(pictures, model))
    parts = split(bytes(data)).parts[0]
    data[data.index(bytes(parts.alphas[0])) + 6] ^= 4
    found, error = survivors(bytes(data), model)
    assert isinstance(error, FormatError)
    assert pictures.keys() - found.keys() == {n for n, i in pictures.items() if n.startswith("9-") and i.mode == "RGBA"}
    assert all(same(image, pictures[name]) for name, image in found.items())


def test_images_with_alpha_are_removed_and_joined(model: ContextModel) -> None:
    pictures = with_alpha(12, 9, 9)
    less = {name: image for name, image in pictures.items() if name != "9-photo-004.png"}
    data = create(pictures, model)
    assert whole(less, archive.extract(archive.remove(data, ["9-photo-004.png"], model=model), model=model))
    more = with_alpha(7, 8, 5)
    joined = archive.join([data, create(more, model)])
    assert whole(pictures | more, archive.extract(joined, model=model))


def test_alpha_that_does_not_decode_is_found(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContextCoder, "decode_alphas", lambda *_: {0: np.zeros((9, 9), np.uint8)})
    with pytest.raises(ChecksumError, match="alpha"):
        create(with_alpha(12, 9, 9), model)


def test_everything_but_the_streams_takes_few_bytes(model: ContextModel) -> None:
    found = create(crops(60), model)
    streams = sum(sum(block.stream_lengths()) for block in archive.read_index(found).blocks)
    assert len(found) - streams < 60 * 4 + 60  # names of 8 x 8 pixels, and headers, all twice


def test_a_single_image_costs_little_more_than_its_file(model: ContextModel) -> None:
    pictures = crops(1)
    alone = len(codec.encode(pictures["photo-000.png"], effort=1, levels=0, model=model))
    assert len(create(pictures, model)) < alone + 130


def test_large_images_are_files_of_their_own(model: ContextModel) -> None:
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
    assert codec.info(files["drawing.png"])["repeats"]
    assert all(same(codec.decode(file, model=model), pictures[name]) for name, file in files.items())
    assert whole(pictures, archive.extract(create(pictures, model), model=model))


def test_blocks_and_runs_are_independent(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "BLOCK_IMAGES", 9)
    pictures = crops(19) | {"tall.png": crops(1, 9, 17)["photo-000.png"]}
    found, reported = create(pictures, model), list[float]()
    assert [[run.images for run in block.runs] for block in archive.read_index(found).blocks] == [[9], [9], [1, 1]]
    assert whole(pictures, archive.extract(found, model=model))
    for name, pixels in (("photo-010.png", 9 * 64), ("photo-018.png", 64), ("tall.png", 9 * 17)):
        reported.clear()
        assert len(list(archive.extract(found, [name], model=model, progress=reported.append))) == 1
        assert sum(reported) == pytest.approx(pixels)


def test_blocks_have_so_many_pixels_at_most(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "BLOCK_PIXELS", 250)
    kinds = [(block.kind, len(block.entries)) for block in archive.read_index(create(crops(10), model)).blocks]
    assert kinds == [(CONTEXT, 4), (CONTEXT, 4), (CONTEXT, 2)]


def test_images_that_say_nothing_come_back(model: ContextModel) -> None:
    pictures = {f"{i}.png": Image.new("RGB", (8, 8)) for i in range(12)}
    assert whole(pictures, archive.extract(create(pictures, model), model=model))
