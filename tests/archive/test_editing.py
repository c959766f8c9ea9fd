"""Archives become others: how images are added, without decoding any, and taken out."""

from __future__ import annotations

from typing import Any

import pytest

from ddpmcodec import archive
from ddpmcodec._native import BLOCK_MARK
from ddpmcodec.errors import ChecksumError, DdpmError, FormatError, ImageError, TruncatedError
from ddpmcodec.format.ddpma import split
from ddpmcodec.models.context import ContextModel
from pictures import Pictures, create, crops, drawing, whole

pytestmark = pytest.mark.usefixtures("one_thread")


def renamed(pictures: Pictures, prefix: str) -> Pictures:
    return {f"{prefix}{name}": image for name, image in pictures.items()}


def test_all_images_are_there_in_order(pictures: Pictures, data: bytes, model: ContextModel) -> None:
    more = renamed(crops(5, 70, 66) | {"drawn.png": drawing()}, "more/")  # files, too
    other = create(more, "photo", effort=2)
    joined = archive.join([other, data])
    assert archive.names(joined) == [*more, *pictures]
    assert whole(more, archive.extract(joined, [*more]))
    assert whole(pictures, archive.extract(joined, [*pictures], model=model))
    assert len(joined) < len(other) + len(data) + 20
    last = archive.join(archive.create({name: image}) for name, image in crops(3).items())
    assert archive.test(archive.join([other, last])) == len(more) + 3


def test_one_alone_is_as_it_was(data: bytes) -> None:
    assert archive.join([data]) == archive.join([archive.join([data])]) == data


def test_names_must_differ(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^archive 1 and archive 2 .*photo-000"):
        archive.join([data, data])


def test_what_is_not_whole_is_refused(data: bytes) -> None:
    at = data.index(BLOCK_MARK) + 8  # in the header of the first block
    damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    wrong: list[tuple[bytes, type[FormatError], str]] = [
        (data[:-5], TruncatedError, "archive 2: 5 bytes are missing at its end: get the file again"),
        (data + b"x", FormatError, "archive 2: 1 byte follows the end of the archive: keep what precedes it"),
        (data[:12] + bytes([data[12] ^ 1]) + data[13:], ChecksumError, "archive 2: the index is damaged"),
        (damaged, FormatError, "archive 2: the header of a block is damaged"),
        (b"\xdd\n", FormatError, "archive 2: not an archive"),
    ]
    for second, kind, text in wrong:
        with pytest.raises(kind, match=text):
            archive.join([create(renamed(crops(2), "a/"), "cifar10"), second])


@pytest.mark.parametrize(
    ("wrong", "text"),
    [(b"data", "not bytes"), ([7], "not int")],
)
def test_it_takes_a_list_of_bytes(wrong: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        archive.join(wrong)


def test_there_must_be_one() -> None:
    with pytest.raises(ImageError, match="join"):
        archive.join([])


# --- taken out


def test_files_and_runs_that_stay_are_copied(model: ContextModel) -> None:
    """Here two blocks: one of files, one of a run of each size."""
    large, small = crops(3, 70, 66), renamed(crops(4), "small/") | renamed(crops(3, 12, 10), "other/")
    data = create(large | small, model)
    left = archive.remove(data, ["photo-001.png"], model=model)
    kept = {name: image for name, image in (large | small).items() if name != "photo-001.png"}
    assert archive.names(left) == [*kept]
    assert whole(kept, archive.extract(left, model=model))
    assert archive.remove(left, [*small], model=model) == create({n: i for n, i in kept.items() if n in large}, model)
    (coded,) = (parts.streams for parts in split(data).parts if parts.streams)
    assert coded == next(parts.streams for parts in split(left).parts if parts.streams)


def test_images_of_a_stream_are_coded_again_without_one(pictures: Pictures, data: bytes, model: ContextModel) -> None:
    """With their metadata, in their order, and as if it had never been there."""
    gone = [name for number, name in enumerate(pictures) if number % 5 == 3]
    kept = {name: image for name, image in pictures.items() if name not in gone}
    left = archive.remove(data, gone, model=model)
    assert archive.names(left) == [*kept]
    assert whole(kept, archive.extract(left, model=model))
    assert len(left) < len(data)
    assert archive.describe(left)["settings"] == archive.describe(data)["settings"]


def test_by_bits_back_images_are_taken_out_too() -> None:
    images = renamed(crops(24, 12, 12), "")
    data = archive.create(images.items(), bits_back=2)
    left = archive.remove(data, ["photo-020.png"])
    kept = {name: image for name, image in images.items() if name != "photo-020.png"}
    assert whole(kept, archive.extract(left))
    assert archive.describe(left)["latent_levels"] == archive.describe(data)["latent_levels"] != []


def test_what_cannot_be_taken_out(data: bytes, pictures: Pictures, model: ContextModel) -> None:
    with pytest.raises(DdpmError, match="no image 'x'"):
        archive.remove(data, ["x"])
    with pytest.raises(ImageError, match="no image"):
        archive.remove(data, [*pictures], model=model)
    with pytest.raises(TypeError, match=r"list of names.*'x'"):
        archive.remove(data, "x")
    with pytest.raises(TruncatedError, match="missing"):
        archive.remove(data[:-5], [next(iter(pictures))])
