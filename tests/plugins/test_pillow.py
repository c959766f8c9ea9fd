"""`.ddpm` files in Pillow, by the cases in which Pillow tests its own formats."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from written_files import pack_header
from written_headers import Header, Index

import ddpmcodec
import ddpmcodec.plugins.pillow
from ddpmcodec._native import parse_header
from ddpmcodec.models.context import ContextModel
from ddpmcodec.plugins.pillow import MIME_TYPE, DdpmImageFile

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "docs" / "photo.png"
MODES = ("1", "L", "LA", "RGB", "RGBA")


def picture(mode: str = "RGB", width: int = 24, height: int = 20) -> Image.Image:
    with Image.open(ROOT / "docs" / "photo.png") as photo:
        crop = photo.convert("RGB").crop((120, 80, 120 + width, 80 + height))
    if mode in ("LA", "RGBA"):
        crop.putalpha(crop.getchannel("G"))
    return crop.convert(mode, dither=Image.Dither.NONE)


def saved(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "DDPM", **{"effort": 1, "levels": 0, **options})
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def same(a: Image.Image, b: Image.Image) -> bool:
    return (a.mode, a.size) == (b.mode, b.size) and a.tobytes() == b.tobytes()


@pytest.fixture(scope="module")
def data() -> bytes:
    """A file of one stream with alpha, ICC profile and EXIF."""
    image, exif = picture("RGBA"), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return saved(image, exif=exif, icc_profile=b"a profile")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_restored(mode: str, tmp_path: Path) -> None:
    image, path = picture(mode), tmp_path / "image.ddpm"
    image.save(path, effort=1, levels=0)
    with Image.open(path) as found:
        assert (found.format, found.mode, found.size) == ("DDPM", mode, image.size)
        assert same(found, image)
    assert saved(image) == path.read_bytes()


def test_palettes_become_colours() -> None:
    image = picture().quantize(8)
    with opened(saved(image)) as found:
        assert same(found, image.convert("RGB"))


@pytest.mark.parametrize("mode", ["CMYK", "I;16", "F", "LAB"])
def test_other_modes_are_not_saved(mode: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="convert it to"):
        Image.new(mode, (8, 8)).save(tmp_path / "image.ddpm")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("option", [{"effort": 9}, {"levels": "2"}, {"tile": 3}], ids=str)
def test_a_wrong_option_leaves_no_new_file(option: dict[str, Any], tmp_path: Path) -> None:
    """Nor anything in a file that the caller opened. What has the name already, Pillow has emptied."""
    with pytest.raises((TypeError, ValueError), match="must be"):
        picture().save(tmp_path / "image.ddpm", **option)
    assert os.listdir(tmp_path) == []
    file = io.BytesIO()
    with pytest.raises((TypeError, ValueError), match="must be"):
        picture().save(file, "DDPM", **option)
    assert file.getvalue() == b""


def test_names_and_types_are_registered(data: bytes) -> None:
    assert Image.registered_extensions()[".ddpm"] == "DDPM"
    with opened(data) as image:
        assert isinstance(image, DdpmImageFile)
        assert image.get_format_mimetype() == MIME_TYPE


OPEN = """
import sys
from PIL import Image
import ddpmcodec.plugins.pillow
with Image.open(sys.argv[1]) as image:
    print(image.mode, image.size, image.info["icc_profile"], {"torch"} & set(sys.modules))
"""


def test_opening_imports_no_network(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.ddpm"
    path.write_bytes(data)
    found = subprocess.run([sys.executable, "-c", OPEN, path], capture_output=True, text=True, check=True)
    assert found.stdout == "RGBA (24, 20) b'a profile' set()\n"


class Watched(io.BytesIO):
    """Counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.count += len(found)
        return found


def test_opening_reads_head_and_metadata_only() -> None:
    image = picture(width=64, height=64)
    file = Watched(saved(image, exif=b"Exif\0\0MM"))
    with Image.open(file, formats=["DDPM"]) as found:
        assert found.info["exif"] == b"Exif\0\0MM"
        assert file.count < 200 < len(file.getvalue())
        assert same(found, image)


def test_decompression_bombs_are_refused_by_their_heads() -> None:
    chunks = 16 * 8 * 8  # tiles, and segments of each
    index = Index(1024, 2048, (9,) * chunks, (0,) * chunks)
    head = pack_header(Header("RGB", 16383, 16383, 1, 0, 1, index=index))
    with pytest.raises(Image.DecompressionBombError, match="268402689"):
        opened(head + bytes(9))


def test_metadata_are_in_info_before_the_pixels_are_decoded(data: bytes) -> None:
    with opened(data) as image:
        assert image.info["icc_profile"] == b"a profile"
        assert image.getexif()[ExifTags.Base.Orientation] == 6
        image.load()
        assert sorted(image.info) == ["exif", "icc_profile"]


def test_saving_keeps_metadata_unless_others_are_given_or_none_are_wanted(data: bytes) -> None:
    with opened(data) as image:
        again, bare = opened(saved(image)), opened(saved(image, strip=True))
        other = opened(saved(image, icc_profile=b"another", exif=b""))
        replaced = opened(saved(image, strip=True, exif=b"Exif\0\0others"))
        assert again.info == image.info
    assert [*bare.info, *bare.getexif().items()] == ["exif", (ExifTags.Base.Orientation, 6)]
    assert other.info == {"icc_profile": b"another"}
    assert replaced.info == {"exif": b"Exif\0\0others"}


def test_saving_takes_effort_levels_and_model(context_path: Path, context_model: ContextModel) -> None:
    facts = ddpmcodec.info(saved(picture(), effort=3, levels=5, model=context_path))
    assert (facts["effort"], facts["levels"], facts["model_id"]) == (3, 5, context_model.id[:4].hex())
    with pytest.raises(ValueError, match=r"effort.* 9"):
        saved(picture(), effort=9)
    with pytest.raises(ValueError, match=r"levels.* 3"):
        saved(picture(), levels=3)


def test_saving_takes_other_options_of_encode() -> None:
    image = picture(width=100, height=80)
    assert saved(image, tile=64) == ddpmcodec.encode(image, effort=1, levels=0, tile=64)
    assert (ddpmcodec.info(saved(image, tile=64))["tiles"], ddpmcodec.info(saved(image))["tiles"]) == (4, 1)


def test_a_model_that_is_not_embedded_is_named_before_loading(context_path: Path) -> None:
    image = picture()
    with opened(saved(image, model=context_path)) as found:
        with pytest.raises(OSError, match="embedded models"):
            found.load()
        found.model = context_path  # type: ignore[attr-defined]
        assert same(found, image)


def test_a_cut_head_is_not_identified(data: bytes) -> None:
    start = parse_header(data).size
    for size in range(start):
        with pytest.raises(UnidentifiedImageError):
            opened(data[:size])
    with opened(data[:start]) as image:
        assert (image.size, image.info) == ((24, 20), {})


@pytest.mark.parametrize("flipped", [0, 1, 2, 4, 9])
def test_a_head_whose_checksum_does_not_match_is_not_identified(data: bytes, flipped: int) -> None:
    broken = bytearray(data)
    broken[flipped] ^= 4
    with pytest.raises(UnidentifiedImageError):
        opened(bytes(broken))
    with pytest.raises(SyntaxError):
        DdpmImageFile(io.BytesIO(broken))


def test_other_formats_are_not_taken() -> None:
    with pytest.raises(SyntaxError, match="not a ddpmcodec file"):
        DdpmImageFile(ROOT / "docs" / "photo.png")
    with Image.open(ROOT / "docs" / "photo.png") as image:
        assert image.format == "PNG"


def test_a_cut_file_does_not_load(data: bytes) -> None:
    for size in (len(data) - 1, len(data) // 2):
        with opened(data[:size]) as image:
            for _ in range(2):
                with pytest.raises(OSError, match=f"{size} of {len(data)} bytes"):
                    image.load()


def test_a_cut_file_loads_as_a_preview_where_pillow_is_asked_to(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with opened(data[: len(data) // 2]) as image:
        assert same(image, ddpmcodec.decode(data, max_bytes=len(data) // 2))


def test_a_damaged_file_does_not_load(data: bytes) -> None:
    broken = bytearray(data)
    broken[len(data) // 2] ^= 1
    with opened(bytes(broken)) as image, pytest.raises(OSError, match="damaged"):
        image.load()


class Unseekable(io.RawIOBase):
    """A pipe."""

    def __init__(self, data: bytes = b"") -> None:
        self.content = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self.content.read(size)

    def write(self, data: Any, /) -> int:
        return self.content.write(data)


def test_pipes_are_read_and_written(data: bytes) -> None:
    with Image.open(Unseekable(data)) as image:  # type: ignore[arg-type]
        assert same(image, ddpmcodec.decode(data))
        pipe = Unseekable()
        image.save(pipe, "DDPM", effort=1, levels=0)  # type: ignore[arg-type]
    assert same(ddpmcodec.decode(pipe.content.getvalue()), image)


def test_loaded_images_are_pickled_and_copied(data: bytes) -> None:
    with opened(data) as image:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            found = pickle.loads(pickle.dumps(image, protocol))
            assert same(found, image)
            assert found.info == image.info
        assert same(image.copy(), image)


def test_the_file_is_closed(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.ddpm"
    path.write_bytes(data)
    with Image.open(path) as image:
        file = image.fp
        image.load()
        assert file is not None
        assert file.closed
    with Image.open(path) as image:
        pass
    with pytest.raises(ValueError, match="closed"):
        image.load()
    stream = io.BytesIO(data)
    Image.open(stream).load()
    assert not stream.closed  # it is the caller's


def test_a_file_is_verified_without_decoding_it(data: bytes) -> None:
    opened(data).verify()
    with pytest.raises(OSError, match="truncated"):
        opened(data[:-1]).verify()
    for place in (len(data) - 1, parse_header(data).size):
        broken = bytearray(data)
        broken[place] ^= 1
        with pytest.raises(OSError, match="damaged"):
            opened(bytes(broken)).verify()
    image = opened(data)
    image.verify()
    with pytest.raises(ValueError, match="closed"):
        image.load()


@pytest.mark.parametrize("mode", ["L", "RGBA"])
@pytest.mark.parametrize("width", [24, 120], ids=["plain", "with lengths"])
def test_a_lossy_file_says_so_and_loads_as_what_it_shows(mode: str, width: int) -> None:
    data = saved(picture(mode, width, 100), levels=2, icc_profile=b"a profile")
    lossy = ddpmcodec.truncate(data, bytes=2 * len(data) // 3, mark=True)
    opened(lossy).verify()
    with opened(lossy) as found:
        assert found.info == {"lossy": True}
        assert same(found, ddpmcodec.decode(lossy))
        assert pickle.loads(pickle.dumps(found)).info["lossy"]
        again = opened(saved(found))
    assert "lossy" not in again.info
    assert same(again, found)


def test_only_lossy_files_say_so() -> None:
    data = saved(picture())
    lossy = ddpmcodec.truncate(data, bytes=len(data) // 2, mark=True)
    for other in (data, lossy[:-1], lossy[:-6], data + lossy[-6:]):
        assert "lossy" not in opened(other).info
    damaged = bytearray(lossy)
    damaged[len(lossy) // 2] ^= 1
    with opened(bytes(damaged)) as found:
        assert "lossy" not in found.info
        with pytest.raises(OSError, match="truncated"):
            found.load()


def error(a: Image.Image, b: Image.Image) -> float:
    """Standard deviation, grey levels."""
    return float(np.sqrt(np.square(np.asarray(a, np.float64) - np.asarray(b)).mean()))


@pytest.mark.parametrize("levels", [2, 5])
@pytest.mark.parametrize(("scale", "asked"), [(2, (47, 32)), (4, (20, 16)), (8, (1, 1))])
def test_a_draft_takes_the_first_steps_only(scale: int, asked: tuple[int, int], levels: int) -> None:
    image = picture(width=95, height=65)
    with opened(saved(image, levels=levels)) as found:
        assert found.draft(None, asked) == ("RGB", (0, 0, 95 / scale, 65 / scale))
        assert found.size == image.reduce(scale).size
        assert 0 < error(found, image.reduce(scale)) < 4


def test_without_noise_levels_a_draft_is_the_image_at_that_size() -> None:
    image = picture(width=95, height=65)
    with opened(saved(image)) as found:
        found.draft(None, (20, 16))
        assert same(found, image.reduce(4))


def test_a_draft_of_the_whole_size_or_of_a_bilevel_image_is_the_image() -> None:
    for image, size in ((picture(), (13, 11)), (picture("1"), (2, 2))):
        with opened(saved(image)) as found:
            assert found.draft(None, size) is None
            assert same(found, image)


def test_thumbnails_are_made_of_drafts() -> None:
    image = picture(width=95, height=65)
    with opened(saved(image, levels=2)) as found:
        found.thumbnail((15, 15))
        image.thumbnail((15, 15))
        assert found.size == image.size
        assert 0 < error(found, image) < 4


def test_a_parser_is_fed_piece_by_piece(data: bytes) -> None:
    parser = ImageFile.Parser()
    for start in range(0, len(data), 100):
        parser.feed(data[start : start + 100])
    assert same(parser.close(), ddpmcodec.decode(data))


@pytest.mark.skipif(shutil.which("file") is None, reason="there is no file(1) here")
def test_file_knows_the_formats(data: bytes, tmp_path: Path) -> None:
    together = ddpmcodec.archive.create([("a", picture())], effort=1, levels=0)
    graphics_file = saved(Image.new("RGB", (40, 40)))
    for name, content in (("a", data), ("b", graphics_file), ("c", together), ("d", b"\xdd\n\x11\xff")):
        (tmp_path / name).write_bytes(content)
    rules = ROOT / "packaging" / "ddpm.magic"
    found = subprocess.run(
        ["file", "-b", "-m", rules, "--mime-type", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [MIME_TYPE, MIME_TYPE, "application/x-ddpma", "application/octet-stream"]


def test_a_draft_reads_no_more_than_the_bands_that_it_needs() -> None:
    class Counted(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            content = super().read(size)
            self.count += len(content)
            return content

    with Image.open(PHOTO) as photo:
        file = Counted(saved(photo, levels=2))
    with Image.open(file) as image:
        image.thumbnail((60, 60))
    assert file.count < len(file.getvalue()) / 3


@pytest.mark.parametrize("given", [{}, {"icc_profile": b"a profile"}, {"exif": Image.Exif()}])
def test_a_tiff_keeps_what_is_not_given_in_its_place(given: dict[str, Any], tmp_path: Path) -> None:
    image, exif = picture(), Image.Exif()
    exif[ExifTags.Base.Artist] = "nobody"
    image.save(tmp_path / "a.tif", exif=exif, icc_profile=b"its own")
    with Image.open(tmp_path / "a.tif") as tiff:
        found = opened(saved(tiff, **given))
    assert found.info["icc_profile"] == given.get("icc_profile", b"its own")
    assert found.getexif().get(ExifTags.Base.Artist) == (None if "exif" in given else "nobody")
