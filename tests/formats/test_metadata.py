"""ICC profile, EXIF and XMP: kept, left out, written to files; and what is said of other descriptions of colours."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin, TiffTags
from samples import ICC, XMP, exif, picture, stored

from ddpmcodec.errors import ImageError
from ddpmcodec.format.sections import NO_METADATA, Metadata
from ddpmcodec.formats.image_files import load_image, lost_metadata, save_image
from ddpmcodec.formats.images import to_image, to_planes
from ddpmcodec.formats.metadata import upright


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_icc_profile_and_exif_are_kept(file_format: str) -> None:
    image = load_image(stored(picture("RGB"), file_format, icc_profile=ICC, exif=exif()), "x")
    found = to_image(to_planes(image))
    assert found.info["icc_profile"] == ICC
    assert found.getexif()[ExifTags.Base.Make] == "Maker"
    assert found.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 200


def test_exif_of_a_jpeg_is_kept_byte_by_byte() -> None:
    image = load_image(stored(picture("RGB"), "JPEG", exif=exif()), "x")
    assert to_planes(image).metadata.exif == image.info["exif"] != b""


def test_exif_of_a_tiff_does_not_describe_the_file() -> None:
    image = load_image(stored(picture("RGB"), "TIFF", exif=exif()), "x")
    assert ExifTags.Base.StripOffsets not in to_image(to_planes(image)).getexif()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of the tag's type
def test_exif_that_pillow_cannot_write_is_an_error_of_the_image() -> None:
    """A maker that is a fraction: AttributeError in Pillow."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[ExifTags.Base.Make] = TiffTags.RATIONAL
    tags[ExifTags.Base.Make] = 1.5
    image = load_image(stored(picture("RGB"), "TIFF", tiffinfo=tags), "x")
    with pytest.raises(ImageError, match="EXIF"):
        to_planes(image)
    assert to_planes(image, strip=True).metadata.exif == b""


def test_metadata_can_be_left_out_and_the_orientation_stays() -> None:
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for given, kept in ((exif(), NO_METADATA.exif), (turned.tobytes(), turned.tobytes())):
        image = load_image(stored(picture("RGB"), "WEBP", icc_profile=ICC, exif=given, xmp=XMP), "x")
        planes = to_planes(image, strip=True)
        assert planes.metadata == Metadata(exif=kept)
        assert not {"icc_profile", "xmp"} & set(to_image(planes).info)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_xmp_is_kept(file_format: str) -> None:
    image = picture("RGB")
    image.info["xmp"] = XMP
    read = load_image(save_image(image, file_format), "x")
    assert to_planes(read).metadata.xmp == XMP
    assert to_image(to_planes(read)).info["xmp"] == XMP


def test_a_picture_that_was_turned_is_turned_no_further_by_its_xmp() -> None:
    image, turned = picture("RGB"), Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    image.info["exif"] = turned.tobytes()
    orientations = b"""tiff:Orientation="6" tiff:Orientation='6' a="b"><tiff:Orientation>6</tiff:Orientation>"""
    image.info["xmp"] = b"<rdf " + orientations
    assert upright(image).info["xmp"] == b'<rdf   a="b">'


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_metadata_is_written_to_image_files(file_format: str) -> None:
    image = to_image(to_planes(load_image(stored(picture("RGB"), "WEBP", icc_profile=ICC, exif=exif()), "x")))
    found = Image.open(BytesIO(save_image(image, file_format)))
    assert found.info["icc_profile"] == ICC
    assert found.getexif()[ExifTags.Base.Make] == "Maker"


def test_metadata_that_are_no_bytes_are_taken_or_refused() -> None:
    image, exif = picture("RGB"), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.info["exif"] = exif
    assert to_planes(image).metadata.exif == exif.tobytes()
    for key, wrong in (("exif", "text"), ("icc_profile", "text")):
        image.info = {key: wrong}
        with pytest.raises(ImageError, match=r"not bytes.*strip"):
            to_planes(image)
        assert to_planes(image, strip=True).metadata.exif == b""


ITU_2020 = (b"cICP", bytes([9, 16, 0, 1]))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_xmp_that_is_not_utf_8_is_kept_beside_exif(file_format: str) -> None:
    image = picture("RGB")
    image.info.update(xmp=b"<x>\xe9\xff</x>", exif=exif())
    content = save_image(image, file_format)
    found = to_image(to_planes(load_image(content, "x")))
    assert (found.info["xmp"], lost_metadata(image, content)) == (image.info["xmp"], [])
    assert found.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 200


def test_xmp_that_a_tiff_calls_text_is_kept() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[ExifTags.Base.XMLPacket] = TiffTags.ASCII
    tags[ExifTags.Base.XMLPacket] = "<x/>"
    assert to_planes(load_image(stored(picture("RGB"), "TIFF", tiffinfo=tags), "x")).metadata.xmp == b"<x/>"


def test_what_a_format_drops_is_named() -> None:
    image = picture("RGB")
    image.info.update(xmp=XMP, exif=exif(), icc_profile=ICC)
    assert lost_metadata(image, save_image(image, "BMP")) == ["ICC profile", "EXIF", "XMP"]


def test_a_large_profile_is_read_from_a_png_again() -> None:
    image = picture("RGB")
    image.info["icc_profile"] = ICC + bytes(2_000_000)
    limit = PngImagePlugin.MAX_TEXT_CHUNK
    assert to_planes(load_image(save_image(image, "PNG"), "x")).metadata.icc_profile == image.info["icc_profile"]
    assert limit == PngImagePlugin.MAX_TEXT_CHUNK


def test_more_metadata_than_a_file_holds_is_refused_before_the_work() -> None:
    image = picture("RGB")
    image.info["xmp"] = bytes(9_000_000)
    with pytest.raises(ImageError, match=r"^9000005 bytes .*strip"):
        to_planes(image)
    assert to_planes(image, strip=True).metadata == NO_METADATA
