"""Damage is found, costs what it hits, and is told by name."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ddpmcodec import archive, archive_format, codec
from ddpmcodec.archive_format import Entry, Index, Run, assemble, split
from ddpmcodec.container import pack_varint
from ddpmcodec.errors import FormatError, ImageError, TruncatedError
from ddpmcodec.networks.model import Model
from pictures import Pictures, create, crops, same, survivors

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def small(model: Model) -> tuple[Pictures, bytes]:
    """Twelve images on a stack, one of them with alpha, and a grey one beside it."""
    pictures = crops(12, 6, 6)
    pictures["alpha.png"] = pictures["photo-005.png"].copy()
    pictures["alpha.png"].putalpha(77)
    pictures["alpha.png"].info["icc_profile"] = b"a profile"
    pictures["grey.png"] = pictures["photo-001.png"].convert("L")
    return pictures, create(pictures, model)


def account(pictures: Pictures, data: bytes, model: Model) -> tuple[Pictures, str]:
    """What survives, which must be right; what is lost must be told by name."""
    found, said = survivors(data, model)
    assert all(same(image, pictures[name]) for name, image in found.items())
    lost = pictures.keys() - found.keys()
    assert all(name in said for name in lost) or not found
    return found, said


def test_every_flipped_bit_is_found_and_what_it_does_not_hit_survives(
    small: tuple[Pictures, bytes], model: Model
) -> None:
    pictures, data = small
    index_end = len(data) - sum(map(len, (*split(data).values, *split(data).sections, *split(data).stacks)))
    saved = []
    for place in range(index_end, len(data), 29):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        found, said = account(pictures, bytes(damaged), model)
        saved.append(len(found))
        assert said, f"nobody noticed byte {place}"
    assert max(saved) == len(pictures) - 1
    assert min(saved) >= 1


def test_every_bit_of_header_and_index_is_checked(small: tuple[Pictures, bytes], model: Model) -> None:
    _, data = small
    end = len(data) - sum(map(len, (*split(data).values, *split(data).sections, *split(data).stacks)))
    for place in range(end):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(FormatError):
            split(bytes(damaged))


def test_every_prefix_is_an_error_that_tells_what_is_lost(small: tuple[Pictures, bytes], model: Model) -> None:
    pictures, data = small
    counts = []
    for size in range(0, len(data), 29):
        found, said = account(pictures, data[:size], model)
        counts.append(len(found))
        assert said
    assert counts == sorted(counts)
    assert len(set(counts)) > 3  # an image here, an image there


def test_a_cut_archive_is_a_truncated_one(small: tuple[Pictures, bytes], model: Model) -> None:
    _, data = small
    with pytest.raises(TruncatedError, match=r"\d+ of 14 images are lost \(photo-0.*\): "):
        archive.test(data[:-20], model=model)
    assert len(archive.names(data[:-20])) == 14


def test_damage_stays_in_its_block(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BLOCK_IMAGES", 9)
    pictures = crops(18)
    data = bytearray(create(pictures, model))
    data[-30] ^= 4
    found, said = account(pictures, bytes(data), model)
    assert set(list(pictures)[:9]) <= found.keys()
    assert "photo-009" in said or "photo-01" in said


@pytest.mark.parametrize("junk", [b"\0", b"more"])
def test_bytes_after_the_end_are_told_when_all_is_extracted(data: bytes, model: Model, junk: bytes) -> None:
    whole, found = dict(archive.extract(data, model=model)), {}
    with pytest.raises(FormatError, match=f"{len(junk)} bytes follow the end of the archive: cut them off"):
        found.update(archive.extract(data + junk, model=model))
    assert found == whole


def test_other_files_are_no_archives(model: Model) -> None:
    with pytest.raises(FormatError, match="not an archive: it starts with dd 50 0d 0a, not dd 41 0d 0a"):
        archive.names(codec.encode(Image.new("L", (2, 2)), effort=1, model=model))
    with pytest.raises(TruncatedError, match="the data ends inside the header"):
        archive.names(b"")
    with pytest.raises(FormatError, match="archive version 9"):
        archive.names(b"\xddA\r\n\x09" + bytes(40))


edits = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=5), st.integers(0, 9)), min_size=1, max_size=3)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=edits)
def test_only_errors_of_the_project_escape(
    small: tuple[Pictures, bytes], model: Model, changes: list[tuple[float, bytes, int]]
) -> None:
    pictures, data = small
    for where, new, gone in changes:
        place = int(where * len(data))
        data = data[:place] + new + data[place + gone :]
    account(pictures, data, model)


@settings(max_examples=150)
@given(content=st.binary(max_size=120))
def test_any_index_is_read_or_refused(content: bytes) -> None:
    try:
        found = archive_format._parse_index(archive_format._IndexReader(content), b"1234")
    except (TruncatedError, ValueError, LookupError, RecursionError, FormatError):
        return
    assert isinstance(found, Index)


def test_an_index_that_contradicts_itself_is_refused() -> None:
    entry = Entry("a", "RGB", 4, 4, stacked=True)
    for index, problem in [
        (Index(b"1234", (5,), entries=(entry,)), "the blocks do not hold as many images"),
        (Index(b"1234", (5, 5), entries=()), "the noise levels do not increase"),
        (Index(b"1234", entries=(Entry("a", "L", 1, 1), Entry("a", "L", 1, 1))), "two images have one name"),
        (Index(b"1234", entries=(Entry("a", "L", 0, 1),)), "a is 0 x 1 L"),
        (Index(b"1234", entries=(Entry("a", "L", 1 << 16, 1 << 16),)), "a is 65536 x 65536 L"),
        (Index(b"1234", entries=(Entry("a", "RGB", 300, 300, stacked=True),)), "a is 300 x 300 RGB"),
        (Index(b"1234", entries=(Entry("a", "L", 2, 2, stacked=True),)), "a is 2 x 2 L"),
        (Index(b"1234", entries=(Entry("a", "RGB", 2, 2, stacked=True, icc=1),)), "metadata that is not there"),
    ]:
        with pytest.raises(FormatError, match=problem):
            split(assemble(index, [], [b""] * len(index.entries), []))


def test_claims_are_checked_before_anything_is_allocated() -> None:
    """Some kilobytes that claim what would take gigabytes."""
    for numbers, problem in [
        ([0, 1 << 22], "4194304 numbers where 4096 are the most"),
        ([0, 0, 1 << 22], "4194304 numbers where 2097152"),
        ([0, 0, 0, 1 << 22], "4194304 numbers where 1048576"),
        ([0, 0, 0, 0, 1 << 22], "4194304 numbers where 0"),
        ([0, 0, 0, 1 << 20], "the data ends"),
    ]:
        packed = b"".join(map(pack_varint, numbers)) + bytes(1 << 16)
        with pytest.raises((ValueError, FormatError), match=problem):
            archive_format._parse_index(archive_format._IndexReader(packed), b"1234")


def test_an_archive_takes_so_many_images_and_no_more(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_IMAGES", 2)
    with pytest.raises(ImageError, match=r"photo-002\.png: an archive holds 2 images at most"):
        create(crops(3), model)


@pytest.mark.parametrize(("run", "rest"), [(Run(0), (Run(2), Run(1))), (Run(2, 5), (Run(1),)), (Run(3), ())])
def test_runs_that_cannot_be_are_refused(run: Run, rest: tuple[Run, ...]) -> None:
    entries = (Entry("a", "RGB", 4, 4, True), Entry("b", "RGB", 4, 4, True), Entry("c", "RGB", 5, 4, True))
    index = Index(b"1234", (5,), entries=entries, blocks=(archive_format.Block((run, *rest), 3),))
    with pytest.raises(FormatError, match=f"a run of {run.images} images and {run.file_bytes} bytes"):
        split(assemble(index, [], [b""] * 3, [bytes(12)]))
