"""JPEG files to be stored."""

from __future__ import annotations

import base64
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from ddpmcodec import codec

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYV"
    "pQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//yQAR"
    "CAAYACADASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwDRmu4oWIHgA/YN0DSKu/g9b+MsULMJJLahmvOY3O3evdZMbnoGAaxYu6"
    "WFUQ0ihwGD31mzvY0fEka26Ca8D5UbGNOx9zC9hXUOw60QeFwJaGdkBWtIfbLnMHXuCSiyOPc0ec3bxgrpXnZywAZjNm2sdSW5EI8lZKtraekU"
    "UtqnCUOsnqp+iKNlXF4+rLPs0OwL1+B3PNwrsFLNym17iysnlSzfc9eJ/G4k+Q1vLKqq5IaPTPT3YE0XYUdT83a9R2JF9xSruBECdDgq8NWh4b"
    "Y8gUyAay5HSDmBX9L/AIgD3f/Z"
)  # 32 x 24; made with jpegtran -arithmetic


@cache
def photo() -> Image.Image:
    with Image.open(PHOTO) as image:
        return image.convert("RGB")


def jpeg_of(mode: str = "RGB", size: tuple[int, int] = (200, 150), **options: object) -> bytes:
    stream = BytesIO()
    photo().crop((20, 10, 20 + size[0], 10 + size[1])).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def encoded(jpeg: bytes, **options: object) -> bytes:
    return codec.encode(BytesIO(jpeg), **options)  # type: ignore[arg-type]


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = orientation, "A maker"
    return exif
