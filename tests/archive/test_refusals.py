"""What cannot become an archive is refused, and names that lead out of a folder are."""

from __future__ import annotations

import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.archive_format import Entry, Index, assemble, check_name, split
from ddpmcodec.channels import bits_back
from ddpmcodec.errors import ChecksumError, FormatError, ImageError
from ddpmcodec.networks.model import Model
from pictures import LEVELS, create, crops

pytestmark = pytest.mark.usefixtures("one_thread")


def test_no_images_are_no_archive(model: Model) -> None:
    with pytest.raises(ImageError, match="there is no image to put into the archive"):
        create({}, model)


def test_names_are_taken_once(model: Model) -> None:
    image = crops(1)["photo-000.png"]
    with pytest.raises(ImageError, match=r"a\.png: there is an image of this name already"):
        archive.create([("a.png", image), ("a.png", image)], levels=LEVELS, model=model)


PATHS = ["", "/etc/passwd", "../up.png", "a/../../up.png", "a//b", "a/.", "C:/x.png", "c:x.png"]
HOSTILE = [*PATHS, "a\\b.png", "a\0b", "a\nb"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_out_of_a_folder_are_refused(data: bytes, model: Model, name: str) -> None:
    with pytest.raises(ImageError, match="cannot be the name of an image in an archive"):
        create({name: crops(1)["photo-000.png"]}, model)
    with pytest.raises(FormatError, match="it is not extracted"):
        archive.extract(renamed(data, name), model=model)


def renamed(data: bytes, name: str) -> bytes:
    """The archive of a writer that does not care what it calls its last image."""
    cut = split(data)
    *others, last = cut.index.entries
    index = Index(**{**vars(cut.index), "entries": (*others, Entry(**{**vars(last), "name": name}))})
    return assemble(index, cut.values, cut.sections, cut.stacks)


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "ä b/日本.jpg", "..png", "a..b", "-", "10:30", ".hidden"])
def test_other_names_are_good(name: str) -> None:
    assert check_name(name) is None


def test_what_cannot_be_coded_is_refused(model: Model) -> None:
    with pytest.raises(ImageError, match="8 bits"):
        create({"deep.png": Image.new("I", (4, 4))}, model)


def test_a_result_that_does_not_decode_is_not_returned(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = bits_back.encode
    monkeypatch.setattr(bits_back, "encode", lambda stack, pixels, *rest: encode(stack, pixels ^ 1, *rest))
    with pytest.raises(ChecksumError, match="a block does not decode to what was encoded"):
        create(crops(10), model)
    assert create(crops(10), model, verify=False)
