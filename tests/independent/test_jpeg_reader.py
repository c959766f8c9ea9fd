"""docs/format.md says all that a reader needs to rebuild a JPEG file from its coefficients."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import jpeg_reader
import numpy as np
import pytest
from PIL import Image

from ddpmcodec._native import parse_jpeg

GOLDEN = sorted((Path(__file__).parents[1] / "golden/v1").glob("jpeg-[!a]*.jpg"))
RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (9, 11, 4), np.uint8), "CMYK").resize((75, 53), Image.Resampling.BICUBIC)


def written(mode: str, after: bytes = b"", **options: Any) -> bytes:
    out = io.BytesIO()
    NOISE.convert("RGB").convert(mode).save(out, "JPEG", **options)
    return out.getvalue() + after


FILES = {
    **{path.stem: path.read_bytes() for path in GOLDEN},
    "standard tables": written("RGB"),
    "optimal tables": written("RGB", optimize=True, subsampling=0, quality=99),
    "progressive": written("RGB", progressive=True, quality=95),
    "progressive grey": written("L", progressive=True),
    "progressive CMYK": written("CMYK", progressive=True, quality=60),
    "RGB": written("RGB", keep_rgb=True, optimize=True),
    "restarts": written("RGB", restart_marker_blocks=2, quality=30),
    "restarts, progressive": written("RGB", restart_marker_rows=1, progressive=True),
    "4:2:2, own tables": written("RGB", qtables=[[*range(1, 65)], [7] * 64], subsampling=1),
    "a comment and more": written("L", b"\xff\xd8 and more" * 9, comment=b"words " * 40),
}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_is_rebuilt_from_the_page_alone(file: bytes) -> None:
    from native_testing import testing

    image, frame, recipe = parse_jpeg(file)
    values = [image.values(component) for component in range(len(image.factors))]
    read = jpeg_reader.read_frame(frame, image.width, image.height)
    assert (read.colour, [divmod(each, 16) for each in read.factors]) == (image.colour, image.factors)
    assert [(columns, rows) for columns, rows in (read.blocks(k, False) for k in range(len(values)))] == [
        (each.shape[1], each.shape[0]) for each in values
    ]
    for section in (recipe, testing.pack_recipe(recipe)):
        assert jpeg_reader.rebuilt(read, section, values) == file


def test_the_last_bits_of_a_scan_are_those_of_the_recipe() -> None:
    file = written("L", quality=40)
    *_, last = file[: file.rindex(b"\xff\xd9")]
    assert last & 1  # ones are usual
    changed = file[:-3] + bytes([last - 1]) + file[-2:]
    image, frame, recipe = parse_jpeg(changed)
    read = jpeg_reader.read_frame(frame, image.width, image.height)
    assert jpeg_reader.rebuilt(read, recipe, [image.values(0)]) == changed
