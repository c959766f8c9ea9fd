"""An archive on disk is a mapping from names to images, of which only what is asked for is decoded."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.archive import access, blocks
from ddpmcodec.content import FileView
from ddpmcodec.errors import ChecksumError, DdpmError, FormatError, ImageError, ModelError, TruncatedError
from ddpmcodec.format import ddpma
from ddpmcodec.models.context import ContextModel
from pictures import Pictures, create, crops, drawing, same

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def path(several_path: Path) -> Path:
    return several_path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images the runs have that were decoded since."""
    found: list[int] = []
    decode = blocks.decode_run
    monkeypatch.setattr(blocks, "decode_run", lambda *rest: found.append(rest[1].images) or decode(*rest))
    return found


def test_as_many_blocks_are_kept_as_a_whole_number_says() -> None:
    with pytest.raises(TypeError, match="kept_blocks"):
        archive.open(archive.create([("a.png", np.zeros((4, 4), np.uint8))]), kept_blocks=None)  # type: ignore[arg-type]


def test_every_image_is_found_by_its_name(several: tuple[Pictures, bytes], path: Path, model: ContextModel) -> None:
    pictures, data = several
    for source in (path, str(path), data, io.BytesIO(data)):
        with archive.open(source, model=model) as images:
            assert list(images) == list(pictures)
            assert len(images) == 25
            assert all(same(images[name], picture) for name, picture in pictures.items())


def test_pictures_of_all_kinds_come_with_their_metadata(pictures: Pictures, data: bytes, model: ContextModel) -> None:
    with archive.open(data, model=model) as images:
        assert {name: same(image, pictures[name]) for name, image in images.items()} == dict.fromkeys(pictures, True)


def test_only_the_run_of_an_image_is_decoded_and_kept(
    several: tuple[Pictures, bytes], path: Path, model: ContextModel, decoded: list[int]
) -> None:
    with archive.open(path, model=model) as images:
        names = list(images)
        first = [name for name in names if images.block_of(name) == images.block_of(names[3])]
        assert decoded == []
        assert [same(images[name], several[0][name]) for name in first] == [True] * 8
        assert decoded == [8]
        images["drawing.png"].load()
        assert decoded == [8]


def test_images_that_are_files_are_alone(model: ContextModel) -> None:
    data = create({**crops(3, 80, 70), **{f"small/{name}": image for name, image in crops(2).items()}}, model)
    with archive.open(data, model=model) as images:
        assert sorted(len(block.entries) for block in images.index.blocks) == [2, 3]
        assert [images.is_file(name) for name in images] == [True, True, True, False, False]
        groups = [images.block_of(name) for name in images]
        assert len({*groups[:3]}) == 3
        assert groups[3] == groups[4]
        assert images.region("photo-001.png", (3, 4, 13, 24)).size == (10, 20)


def test_small_images_that_are_files_are_kept_apart_from_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    restored = access.restored
    monkeypatch.setattr(access, "restored", lambda *rest: decoded.append(rest[1][0].name) or restored(*rest))
    jpeg = io.BytesIO()
    drawing(40).save(jpeg, "JPEG")
    pictures = {"drawing.jpg": Image.open(jpeg), "large.png": drawing(80), **crops(1)}
    with archive.open(
        archive.create({**pictures, "drawing.jpg": io.BytesIO(jpeg.getvalue())}), kept_blocks=1
    ) as images:
        assert [images.is_file(name) for name in images] == [True, True, False]
        for _ in range(2):
            assert all(same(images[name], picture) for name, picture in pictures.items())
    assert decoded == [*pictures, "large.png"]


def test_of_a_block_with_several_runs_one_is_decoded(
    pictures: Pictures, data: bytes, model: ContextModel, decoded: list[int]
) -> None:
    with archive.open(data, model=model) as images:
        (block,) = images.index.blocks
        assert len({images.block_of(name) for name in images}) == len(block.runs) > 3
        assert same(images["tall.png"], pictures["tall.png"])
        assert decoded == [1]
        assert same(images["photo-007.png"], pictures["photo-007.png"])
        assert decoded == [1, 14]


def test_images_of_an_undamaged_run_are_there(pictures: Pictures, data: bytes, model: ContextModel) -> None:
    broken = bytearray(data)
    broken[-3] ^= 8  # the last run of the block
    with archive.open(bytes(broken), model=model) as images:
        last = images.index.blocks[0].entries[-1].name
        for name in images:
            if images.block_of(name) == images.block_of(last):
                with pytest.raises(ChecksumError, match=f"lost .*{name}"):
                    images[name]
            else:
                assert same(images[name], pictures[name])


def test_as_many_runs_are_kept_as_are_asked_for(path: Path, model: ContextModel, decoded: list[int]) -> None:
    with archive.open(path, model=model, kept_blocks=1) as images:
        one, other = "photo-000.png", "photo-023.png"
        for name in (one, other, one, one):
            images[name].load()
        assert len(decoded) == 3


def test_runs_are_decoded_ahead_and_kept(path: Path, model: ContextModel, decoded: list[int]) -> None:
    images = archive.open(path, model=model)
    images.prefetch(list(images))
    assert len(decoded) > 1
    before = list(decoded)
    assert all(image.size for image in images.values())
    assert decoded == before


def test_nothing_is_decoded_ahead_that_would_not_be_kept(path: Path, model: ContextModel, decoded: list[int]) -> None:
    images = archive.open(path, model=model, kept_blocks=1)
    images.prefetch(list(images))
    assert decoded == []
    images.prefetch(list(images)[:1])
    assert len(decoded) == 1


def test_what_stands_in_the_way_of_all_images_is_an_error_at_once(path: Path, model: ContextModel) -> None:
    with pytest.raises(ModelError, match="written with"):
        (images := archive.open(path)).prefetch(list(images))
    images = archive.open(path, model=model)
    with pytest.raises(KeyError):
        images.prefetch(["nowhere.png"])
    names = list(images)
    images.close()
    with pytest.raises(ValueError, match="closed"):
        images.prefetch(names)


def test_images_that_are_too_large_are_not_decoded_ahead(path: Path, model: ContextModel, decoded: list[int]) -> None:
    images = archive.open(path, model=model, max_pixels=10)
    with pytest.raises(ImageError, match="8 x 8"):
        images.prefetch(list(images))
    assert decoded == []


def test_images_are_the_callers_own(several: tuple[Pictures, bytes], model: ContextModel) -> None:
    with archive.open(several[1], model=model) as images:
        images["photo-000.png"].putpixel((0, 0), (1, 2, 3))
        assert same(images["photo-000.png"], several[0]["photo-000.png"])


def test_names_that_are_not_there_are_as_in_any_mapping(path: Path, model: ContextModel) -> None:
    with archive.open(path, model=model) as images:
        assert "other.png" not in images
        assert images.get("other.png") is None
        with pytest.raises(KeyError, match=r"other\.png"):
            images["other.png"]


def test_sizes_are_known_without_decoding(path: Path, decoded: list[int]) -> None:
    with archive.open(path) as images:
        assert [(entry.width, entry.height) for entry in images.index.entries] == [(8, 8)] * 24 + [(66, 66)]
    assert decoded == []


def test_a_lost_image_is_an_error_and_the_others_are_there(
    several: tuple[Pictures, bytes], model: ContextModel
) -> None:
    pictures, data = several
    broken = bytearray(data)
    last = ddpma.split(data).parts[-1]
    at = data.rindex(b"\xddB\r\n", 0, len(data) - sum(map(len, [*last.values, *last.sections, *last.streams]))) - 20
    broken[at] ^= 255
    found: Pictures = {}
    lost: dict[str, FormatError] = {}
    with archive.open(bytes(broken), model=model) as images:
        for name in images:
            try:
                found[name] = images[name]
            except FormatError as error:
                lost[name] = error
    assert 1 <= len(lost) <= 8
    assert all(isinstance(error, ChecksumError) and name in str(error) for name, error in lost.items())
    assert all(same(found[name], pictures[name]) for name in found)
    assert found.keys() | lost.keys() == pictures.keys()


def test_errors_name_the_archive(path: Path, model: ContextModel) -> None:
    place = f"^{re.escape(str(path))}: "
    with archive.open(path) as images:
        for ask in (images.__getitem__, images.region, lambda name: images.prefetch([name])):
            with pytest.raises(ModelError, match=f"{place}.*written with"):
                ask("photo-000.png")
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with archive.open(path, model=model) as images, archive.open(bytes(data), model=model) as nameless:
        with pytest.raises(FormatError, match=rf"{place}1 of 25 .*drawing"):
            images["drawing.png"]
        with pytest.raises(FormatError, match=rf"{place}drawing\.png: .*file"):
            images.region("drawing.png", reduce=2)
        with pytest.raises(FormatError, match=r"^1 of 25 images"):
            nameless["drawing.png"]
    with (
        archive.open(path, model=model, max_pixels=100) as images,
        pytest.raises(ImageError, match=rf"{place}drawing.*66 x 66"),
    ):
        images["drawing.png"]
    path.write_bytes(b"none")
    with pytest.raises(FormatError, match=f"{place}not an archive"):
        archive.open(path)


def test_an_archive_whose_index_is_damaged_is_read_all_the_same(
    several: tuple[Pictures, bytes], path: Path, model: ContextModel
) -> None:
    broken = bytearray(several[1])
    broken[12] ^= 255
    path.write_bytes(broken)
    with archive.open(path, model=model) as images:
        assert same(images["photo-020.png"], several[0]["photo-020.png"])


def test_of_a_cut_archive_what_is_there_is_found(several: tuple[Pictures, bytes], model: ContextModel) -> None:
    pictures, data = several
    with archive.open(data[: len(data) // 2], model=model) as images:
        assert len(images) == 25
        there = [name for name in images if images.block_of(name) == 0]
        assert all(same(images[name], pictures[name]) for name in there)
        with pytest.raises(FormatError, match="lost"):
            images["drawing.png" if images.block_of("drawing.png") else "photo-023.png"]


def test_a_file_that_becomes_shorter_is_an_error(path: Path, model: ContextModel) -> None:
    with archive.open(path, model=model) as images:
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(TruncatedError, match="shorter"):
            images[next(iter(images))]


def test_a_file_that_becomes_shorter_while_an_image_is_decoded_is_an_error(
    path: Path, model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one that is mapped into memory would end the process."""
    decode = access.restored

    def cut(*rest: Any, **options: Any) -> Any:
        path.write_bytes(path.read_bytes()[:100])
        return decode(*rest, **options)

    monkeypatch.setattr(access, "restored", cut)
    images = archive.open(path, model=model)
    with pytest.raises(TruncatedError, match="shorter"):
        images[next(iter(images))]


def test_an_open_archive_stays_the_one_that_it_was(path: Path, model: ContextModel) -> None:
    """Another file may take its name, as `archive create -f` has it."""
    with archive.open(path, model=model) as images:
        (path.parent / "new").write_bytes(bytes(10))
        (path.parent / "new").replace(path)
        assert images[next(iter(images))].size


def test_a_folder_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(DdpmError, match="cannot be read"):
        archive.open(tmp_path)


def test_bytes_of_all_kinds_are_taken_and_text_is_not(several: tuple[Pictures, bytes], model: ContextModel) -> None:
    for data in (bytearray(several[1]), memoryview(several[1])):
        with archive.open(data, model=model) as images:
            assert list(images) == list(several[0])
    with pytest.raises(TypeError, match="not str"):
        archive.open(io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(DdpmError, match="embedded null"):
        archive.open("a\0b")


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.ddpma"
    with pytest.raises(DdpmError, match=r"x\.ddpma: cannot be read"):
        archive.open(path)
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="the data ends"):
        archive.open(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(FormatError, match=r"not an archive.*89 50"):
        archive.open(path)


def test_another_model_is_an_error(path: Path) -> None:
    with archive.open(path) as images, pytest.raises(ModelError, match="written with"):
        images["photo-000.png"]


def test_facts_of_an_archive_need_no_more_than_its_headers(tmp_path: Path) -> None:
    """Of images that are files, too, whose headers say how they are coded."""
    read: list[int] = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(size or 0)
            return super().read(size)

    noise = np.random.default_rng(0).integers(0, 256, (3, 300, 300, 3), np.uint8)
    data = archive.create(((f"{n}.png", image) for n, image in enumerate(noise)), effort=1, verify=False)
    found = archive.describe(FileView(Counted(data)))
    assert found == archive.describe(data)
    assert [image["bytes"] is None for image in found["images"]] == [False] * 3
    assert sum(read) < len(data) / 10
