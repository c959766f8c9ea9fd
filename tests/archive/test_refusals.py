"""What cannot become an archive is refused, and names that lead out of a folder are."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.archive import blocks, packing, restorer, writer
from ddpmcodec.archive.blocks import ContextCoder
from ddpmcodec.errors import ChecksumError, CorruptError, DdpmError, FormatError, ImageError
from ddpmcodec.format.ddpma import PackedBlock, assemble, check_name, split
from ddpmcodec.models.context import ContextModel
from pictures import create, crops

pytestmark = pytest.mark.usefixtures("one_thread")


def test_no_images_are_no_archive(model: ContextModel) -> None:
    with pytest.raises(ImageError, match="no image"):
        create({}, model)


def test_names_are_taken_once(model: ContextModel) -> None:
    image = crops(1)["photo-000.png"]
    with pytest.raises(ImageError, match=r"a\.png.*already"):
        archive.create([("a.png", image), ("a.png", image)], model=model)


PATHS = ["", "/etc/passwd", "../up.png", "a/../../up.png", "a//b", "a/.", "C:/x.png", "c:x.png"]
HOSTILE = [*PATHS, "a\\b.png", "a\0b", "a\nb", "a\x9bb", "a\u2028b", "a\u202egnp.exe"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_out_of_a_folder_are_refused(model: ContextModel, name: str) -> None:
    data = create(crops(1), model)
    with pytest.raises(ImageError, match="name of an image"):
        create({name: crops(1)["photo-000.png"]}, model)
    with pytest.raises(FormatError, match="not extracted"):
        archive.extract(renamed(data, name), model=model)


def renamed(data: bytes, name: str) -> bytes:
    """The archive of a writer that does not care what it calls its only image."""
    found = split(data)
    (block,), (parts,) = found.index.blocks, found.parts
    entries = (replace(block.entries[0], name=name),)
    body = parts.body()
    return b"".join(map(bytes, assemble([PackedBlock(replace(block, entries=entries), body)])))


def test_names_have_a_length(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = crops(1)["photo-000.png"]
    with pytest.raises(ImageError, match=r"name of an image.*4096"):
        create({"é" * 2049: picture}, model)
    monkeypatch.setattr(writer, "MAX_LETTERS", 9)
    with pytest.raises(ImageError, match=r"second.* 9 letters"):
        create({"first": picture, "second": picture}, model)


# Of a screenshot (U+202F), of emoji: one with a joiner, one that older versions of Unicode do not know.
NAMES = ["9.41\u202fAM.png", "a\u3000b", "\U0001f468\u200d\U0001f373.png", "\U0001fae8.png"]


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "ä b/日本.jpg", "..png", "a..b", "-", "10:30", ".hidden", *NAMES])
def test_other_names_are_good(name: str) -> None:
    assert check_name(name) is None


def test_a_name_that_is_no_text_is_refused(model: ContextModel) -> None:
    with pytest.raises(ImageError, match=r"udce4r.*UTF-8"):
        create({"b\udce4r": Image.new("L", (2, 2))}, model)


def test_what_cannot_be_coded_is_refused(model: ContextModel) -> None:
    with pytest.raises(ImageError, match="8 bits"):
        create({"deep.png": Image.new("I", (4, 4))}, model)


@pytest.mark.parametrize("effort", [-1, 4, 7])
def test_efforts_that_are_not_there_are_refused(model: ContextModel, effort: int) -> None:
    with pytest.raises(ValueError, match=f"effort.* {effort}"):
        create(crops(1), model, effort=effort)


@pytest.mark.parametrize("levels", [3, 4, -2])
def test_levels_that_are_not_there_are_refused(model: ContextModel, levels: int) -> None:
    with pytest.raises(ValueError, match=f"levels.* {levels}"):
        create(crops(1), model, levels=levels)


def test_a_result_that_does_not_decode_is_not_returned(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = ContextCoder.encoded
    monkeypatch.setattr(ContextCoder, "encoded", lambda self, pixels: encoded(self, pixels ^ np.uint8(1)))
    with pytest.raises(ChecksumError, match=r"does not decode.*defect"):
        create(crops(10), model)
    assert create(crops(10), model, verify=False)


def test_a_result_that_decodes_to_something_else_is_not_returned(
    model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = blocks.decode_run
    monkeypatch.setattr(blocks, "decode_run", lambda *rest: decode(*rest)[::-1])
    with pytest.raises(ChecksumError, match=r"encoded.*defect"):
        create(crops(10), model)


def test_claims_of_a_head_are_checked_before_anything_is_decoded(data: bytes, model: ContextModel) -> None:
    """A block whose images are larger than a run may be."""
    found: Any = split(data)
    entries = tuple(replace(e, width=256, height=256) for e in found.index.blocks[0].entries)
    with pytest.raises(FormatError, match="pixels"):
        assemble([PackedBlock(replace(found.index.blocks[0], entries=entries), b"")])


def test_images_with_good_names_are_extracted_beside_one_that_is_refused(model: ContextModel) -> None:
    found = split(create(crops(2), model))
    (block,), (parts,) = found.index.blocks, found.parts
    bad = replace(block, entries=(replace(block.entries[0], name="../up.png"), block.entries[1]))
    body = parts.body()
    data = b"".join(map(bytes, assemble([PackedBlock(bad, body)])))
    good = block.entries[1].name
    assert [name for name, _ in archive.extract(data, [good], model=model)] == [good]
    with pytest.raises(FormatError, match="not extracted"):
        archive.extract(data, [good, "../up.png"], model=model)


def test_images_share_the_metadata_that_they_have_in_common(model: ContextModel) -> None:
    """What a block holds once is unpacked once: a few bytes do not become gigabytes."""
    images = crops(3)
    for image in images.values():
        image.info["exif"] = b"Exif\0\0" + bytes(100_000)
    found = [image.info["exif"] for _, image in archive.extract(create(images, model), model=model)]
    assert len(found[0]) > 100_000
    assert all(exif is found[0] for exif in found)


def test_metadata_of_a_block_are_bounded(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    images = crops(3)
    for number, image in enumerate(images.values()):
        image.info["exif"] = b"Exif\0\0" + bytes([number]) * 1000
    data = create(images, model)
    assert len(split(data).index.blocks) == 1
    monkeypatch.setattr(restorer, "MAX_BLOCK_METADATA", 1500)
    with pytest.raises(CorruptError, match=r"1 of 3 .*metadata.*1500"):
        list(archive.extract(data, model=model))
    monkeypatch.setattr(packing, "MAX_BLOCK_METADATA", 1500 + packing.MAX_METADATA)
    smaller = create(images, model)
    assert len(split(smaller).index.blocks) == 2
    assert len(list(archive.extract(smaller, model=model))) == 3


READERS = (archive.names, archive.describe, archive.read_index, archive.extract, archive.test)


def test_what_is_no_file_is_no_archive(tmp_path: Path) -> None:
    for function in (*READERS, lambda data: archive.join([data])):
        for wrong in (None, [1, 2], 7):
            with pytest.raises(TypeError, match="expected a path"):
                function(wrong)  # type: ignore[operator, arg-type]
        with pytest.raises(DdpmError, match=r"all\.ddpma: cannot be read"):
            function(tmp_path / "all.ddpma")  # type: ignore[operator, arg-type]


def test_an_archive_is_its_bytes_however_they_are_held(data: bytes, model: ContextModel, tmp_path: Path) -> None:
    """A damaged one, too, whose blocks are searched for."""
    (tmp_path / "all.ddpma").write_bytes(data)
    damaged = data[:6] + bytes([data[6] ^ 1]) + data[7:]
    for holder in (bytearray(data), memoryview(data), tmp_path / "all.ddpma", io.BytesIO(data)):
        assert archive.describe(holder) == archive.describe(data)
    for damaged_holder in (bytearray(damaged), memoryview(damaged), memoryview(damaged * 2)[: len(damaged)]):
        assert archive.names(damaged_holder) == archive.names(data)
        with pytest.raises(ChecksumError, match="index"):
            list(archive.extract(damaged_holder, model=model))


@pytest.mark.parametrize("wrong", [5, object(), np.zeros(3), ["photo"]])
def test_what_is_no_model_is_refused(data: bytes, wrong: Any) -> None:
    images = [("a.png", np.zeros((4, 4), np.uint8))]
    for function in (archive.open, archive.extract, archive.test, lambda _, model: archive.create(images, model=model)):
        with pytest.raises(TypeError, match="model"):
            function(data, model=wrong)


@pytest.mark.parametrize("wrong", ["x.png", Image.new("L", (2, 2)), ("a.png", None, None)])
def test_images_have_names(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"pairs.*{type(wrong).__name__}"):
        archive.create([wrong])


def test_kept_blocks_are_a_number_of_them() -> None:
    data = archive.create({"a.png": np.zeros((2, 2), np.uint8)})
    with pytest.raises(ValueError, match=r"kept_blocks.*-1"):
        archive.open(data, kept_blocks=-1)
    with pytest.raises(TypeError, match=r"kept_blocks.*'x'"):
        archive.open(data, kept_blocks="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [None, 5, b"a.png"])
def test_names_are_texts(name: object) -> None:
    with pytest.raises(TypeError, match="name of an image"):
        archive.create([(name, np.zeros((2, 2), np.uint8))])  # type: ignore[list-item]
