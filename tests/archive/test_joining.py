"""Archives become one without being decoded: how images are added."""

from __future__ import annotations

from typing import Any

import pytest

from ddpmcodec import archive
from ddpmcodec.errors import ChecksumError, FormatError, ImageError, TruncatedError
from ddpmcodec.format import ddpma
from ddpmcodec.format.ddpma import MARK
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
    with pytest.raises(ImageError, match=r"^archive 1 and archive 2 both hold photo-000\.png and \d+ more: leave one"):
        archive.join([data, data])


def test_what_is_not_whole_is_refused(data: bytes) -> None:
    at = data.index(MARK) + 8  # in the head of the first block
    damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    wrong: list[tuple[bytes, type[FormatError], str]] = [
        (data[:-5], TruncatedError, "archive 2: 5 bytes are missing at its end: get the file again"),
        (data + b"x", FormatError, "archive 2: 1 bytes follow the end of the archive: cut them off"),
        (data[:12] + bytes([data[12] ^ 1]) + data[13:], ChecksumError, "archive 2: the index is damaged"),
        (damaged, FormatError, "archive 2: the head of a block is damaged"),
        (b"\xdd\n", FormatError, "archive 2: not an archive"),
    ]
    for second, kind, text in wrong:
        with pytest.raises(kind, match=text):
            archive.join([create(renamed(crops(2), "a/"), "cifar10"), second])


@pytest.mark.parametrize(
    ("wrong", "text"),
    [(b"data", "a list of archives, not bytes"), ([7], "expected a path, bytes or a binary file, not int")],
)
def test_it_takes_a_list_of_bytes(wrong: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        archive.join(wrong)


def test_there_must_be_one() -> None:
    with pytest.raises(ImageError, match="there is no archive to join: name one at least"):
        archive.join([])


def test_more_than_an_archive_may_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [create(renamed(crops(2), prefix), "cifar10") for prefix in ("a/", "b/")]
    monkeypatch.setattr(ddpma, "MAX_IMAGES", 3)
    with pytest.raises(FormatError, match="the index has more than 3 images"):
        archive.join(both)
