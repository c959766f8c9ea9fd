"""What image files hold and no file keeps: a sentence for each, a warning from the library, and no file is removed."""

from __future__ import annotations

import warnings
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from samples import ICC, LINEAR, bmp_with_profile, described, picture, stored

from ddpmcodec import archive, codec
from ddpmcodec.codec.reading import unkept

DAMAGED = (b"iCCP", b"a\0\0" + zlib.compress(ICC)[:-1])
FILES = {
    "after its pixels": described((b"IDAT", zlib.compress(bytes(20 * 73) + b"x"))),
    "1 byte after its end is": stored(picture("RGB"), "QOI") + b"x",
    "5211 bytes after its end are": stored(picture("RGB"), "WEBP") + bytes(5211),
    "after its end": 3 * stored(picture("RGB"), "GIF"),
    "2 bytes after": stored(picture("RGB"), "BMP") + b"BM",
    "8 bytes after": stored(picture("RGB"), "QOI") + bytes(8),
    "4 bytes after": stored(picture("RGB"), "PPM") + b"text",
    "profile that it links to": bmp_with_profile(b"KNIL", b"a.icc\0"),
    "damaged ICC profile": bmp_with_profile(b"DEBM", b"no profile"),
}


@pytest.mark.parametrize("words", FILES)
def test_whatever_is_not_kept_is_named_once(words: str) -> None:
    (sentence,) = unkept(FILES[words])
    assert words in sentence


@pytest.mark.parametrize("words", ["profile that it links to", "after its end"])
def test_the_library_warns_of_it_wherever_it_reads_files(tmp_path: Path, words: str) -> None:
    path = tmp_path / "photo"
    path.write_bytes(FILES[words])
    with pytest.warns(UserWarning, match=f"photo: .*{words}"):
        codec.encode(path, effort=1)
    with pytest.warns(UserWarning, match=f"the file: .*{words}"):
        codec.encode_many([BytesIO(FILES[words])], effort=1)
    with pytest.warns(UserWarning, match=words), archive.Writer(effort=1) as writer:
        writer.add("photo", path)


def test_of_files_that_are_kept_whole_nothing_is_said(tmp_path: Path) -> None:
    profile = bmp_with_profile(b"DEBM", ICC)
    png = described(LINEAR, DAMAGED) + b"kept with its chunks"
    for data in (png, stored(picture("RGB"), "JPEG") + b"stored with the file", profile):
        assert unkept(data) == []
    path = tmp_path / "photo"
    path.write_bytes(described(LINEAR, DAMAGED))
    assert unkept(path.read_bytes(), strip=True) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec.encode(path, effort=1, strip=True)
