"""Damage is found, costs what it hits, and is reported by name."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec._native import BLOCK_MARK
from ddpmcodec.archive import packing, writer
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, ImageError, TruncatedError
from ddpmcodec.format.ddpma import split
from ddpmcodec.models.context import ContextModel
from pictures import Pictures, create, crops, drawing, same, survivors

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def small(model: ContextModel) -> tuple[Pictures, bytes]:
    """Two blocks of six images, one image with alpha and a profile, and a block of two files."""
    pictures = crops(11, 6, 6)
    pictures["alpha.png"] = pictures["photo-005.png"].copy()
    pictures["alpha.png"].putalpha(77)
    pictures["alpha.png"].info["icc_profile"] = b"a profile"
    pictures["large.png"] = crops(1, 70, 60)["photo-000.png"]
    pictures["drawing.png"] = drawing()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "BLOCK_IMAGES", 6)
        return pictures, create(pictures, model)


def account(pictures: Pictures, data: bytes, model: ContextModel) -> tuple[Pictures, FormatError | None]:
    """What survives, which must be right; what is lost must be reported by name, or by number where names are lost."""
    found, error = survivors(data, model)
    assert all(same(image, pictures[name]) for name, image in found.items())
    lost = pictures.keys() - found.keys()
    assert all(name in str(error) for name in lost) or not found or "whose names are lost" in str(error)
    return found, error


def flipped(data: bytes, place: int) -> bytes:
    damaged = bytearray(data)
    damaged[place] ^= 1 << place % 8
    return bytes(damaged)


def test_every_byte_of_the_index_may_be_damaged(small: tuple[Pictures, bytes], model: ContextModel) -> None:
    pictures, data = small
    for place in range(split(data).index_bytes):
        assert archive.names(flipped(data, place)) == list(pictures), place
    for place in range(0, split(data).index_bytes, 17):
        found, error = account(pictures, flipped(data, place), model)
        assert found.keys() == pictures.keys()
        assert isinstance(error, ChecksumError)
        assert str(error).count("the index is damaged") == 1
        assert "found without it" in str(error)


def test_every_byte_of_the_index_may_be_damaged_where_the_tail_is_cut(
    small: tuple[Pictures, bytes], model: ContextModel
) -> None:
    pictures, data = small
    alone, _ = account(pictures, data[:-30], model)
    for place in range(0, split(data).index_bytes, 17):
        found, error = account(pictures, flipped(data, place)[:-30], model)
        assert isinstance(error, TruncatedError)
        assert found.keys() == alone.keys()
        assert len(found) == len(pictures) - 1


def test_the_index_may_be_gone(small: tuple[Pictures, bytes], model: ContextModel) -> None:
    pictures, data = small
    found, error = account(pictures, data[data.find(BLOCK_MARK) :], model)
    assert found.keys() == pictures.keys()
    assert isinstance(error, ChecksumError)


def test_a_head_may_be_damaged_where_the_index_is_not(small: tuple[Pictures, bytes], model: ContextModel) -> None:
    pictures, data = small
    for place in range(split(data).index_bytes, split(data).index_bytes + 40, 5):
        found, error = account(pictures, flipped(data, place), model)
        assert found.keys() == pictures.keys()
        assert isinstance(error, ChecksumError)
        assert "headers of 1 of 3 blocks" in str(error)


def test_index_and_a_head_may_both_be_damaged(small: tuple[Pictures, bytes], model: ContextModel) -> None:
    """The block that nothing describes is lost, and its images are reported by their numbers."""
    pictures, data = small
    second = data.find(BLOCK_MARK, data.find(BLOCK_MARK) + 1)
    found, error = account(pictures, flipped(flipped(data, 9), second + 12), model)
    assert len(found) == len(pictures) - 6
    assert "6 of 14 images are lost (number 7 to 12," in str(error)


def test_every_flipped_bit_is_found_and_what_it_does_not_hit_survives(
    small: tuple[Pictures, bytes], model: ContextModel
) -> None:
    pictures, data = small
    saved = []
    for place in range(split(data).index_bytes, len(data), 131):
        found, error = account(pictures, flipped(data, place), model)
        saved.append(len(found))
        assert isinstance(error, (ChecksumError, CorruptError)), f"byte {place}: {error!r}"
    assert max(saved) == len(pictures)  # a header
    assert min(saved) >= len(pictures) - 6


def test_every_prefix_is_an_error_that_says_what_is_lost(small: tuple[Pictures, bytes], model: ContextModel) -> None:
    pictures, data = small
    counts = []
    for size in [*range(0, len(data), 131), len(data) - 1]:
        found, error = account(pictures, data[:size], model)
        counts.append(len(found))
        assert isinstance(error, TruncatedError)
    assert counts == sorted(counts)
    assert len(set(counts)) > 3


def test_a_cut_archive_is_a_truncated_one(small: tuple[Pictures, bytes], model: ContextModel) -> None:
    _, data = small
    with pytest.raises(TruncatedError, match=r"1 of 14 .*drawing.* 20 bytes"):
        archive.test(data[:-20], model=model)
    assert len(archive.names(data[:-20])) == 14


def test_damage_stays_in_its_block(small: tuple[Pictures, bytes], model: ContextModel) -> None:
    pictures, data = small
    second = data.find(BLOCK_MARK, data.find(BLOCK_MARK) + 1)
    found, error = account(pictures, flipped(data, second - 20), model)
    assert pictures.keys() - found.keys() <= {f"photo-{i:03}.png" for i in range(6)}
    assert isinstance(error, ChecksumError)
    assert "images are lost (photo-000.png" in str(error)


@pytest.mark.parametrize("change", [b"", b"more"], ids=["missing", "in between"])
def test_blocks_that_have_moved_are_found(small: tuple[Pictures, bytes], model: ContextModel, change: bytes) -> None:
    pictures, data = small
    first = data.find(BLOCK_MARK)
    place = data.find(BLOCK_MARK, first + 1) - 9
    found, error = account(pictures, data[:place] + change + data[place + 4 * (not change) :], model)
    assert set(list(pictures)[6:]) <= found.keys()
    assert error is not None


@pytest.mark.parametrize("junk", [b"\0", b"more"])
def test_bytes_after_the_end_are_reported_when_all_is_extracted(
    small: tuple[Pictures, bytes], model: ContextModel, junk: bytes
) -> None:
    pictures, data = small
    found, error = account(pictures, data + junk, model)
    assert found.keys() == pictures.keys()
    assert type(error) is FormatError
    count = "1 byte follows" if len(junk) == 1 else f"{len(junk)} bytes follow"
    assert str(error).startswith(count)
    assert f"`head -c {len(data)}`" in str(error)


def test_a_file_is_the_one_that_the_archive_speaks_of(model: ContextModel) -> None:
    """Two files that change their places."""
    pictures = {"a": drawing(71), "b": drawing(72)}
    data = create(pictures, model)
    first, second = (split(data).parts[0].sections[i] for i in range(2))
    swapped = data.replace(first + second, second + first)
    found, error = survivors(swapped, model)
    assert not found
    assert error is not None


def test_other_files_are_no_archives(model: ContextModel) -> None:
    with pytest.raises(FormatError, match=r"dd 0a .*dd 41 0d 0a"):
        archive.names(codec.encode(Image.new("L", (2, 2)), effort=1, model=model))
    with pytest.raises(TruncatedError, match="header"):
        archive.names(b"")
    with pytest.raises(FormatError, match="version 9"):
        archive.names(b"\xddA\r\n\x09" + bytes(40))


edits = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=5), st.integers(0, 9)), min_size=1, max_size=3)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=edits)
def test_only_errors_of_the_project_escape(
    small: tuple[Pictures, bytes], model: ContextModel, changes: list[tuple[float, bytes, int]]
) -> None:
    pictures, data = small
    for where, new, gone in changes:
        place = int(where * len(data))
        data = data[:place] + new + data[place + gone :]
    account(pictures, data, model)


def test_an_archive_takes_so_many_images_and_no_more(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_IMAGES", 2)
    with pytest.raises(ImageError, match=r"photo-002\.png.* 2 images"):
        create(crops(3), model)
