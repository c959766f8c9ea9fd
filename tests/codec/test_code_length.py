"""What the embedded models take for three small pictures, to the byte.

A change of the coder or of training that costs bytes shows here. After a model is replaced on purpose, the table that
the assertion prints takes the place of `BYTES`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ddpmcodec

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
CROPS = {  # top, left, height, width; of the small ones the encoder tries both models
    "thumbnail": (120, 80, 32, 32),
    "small": (40, 200, 64, 64),
    "photo": (96, 96, 80, 96),
}
CODINGS = [(effort, levels) for effort in (1, 2, 3) for levels in (0, 2)]
BYTES = {
    "thumbnail": [1350, 1476, 1307, 1409, 1303, 1405],
    "small": [3430, 3768, 3345, 3552, 3332, 3552],
    "photo": [7450, 8056, 7231, 7780, 7205, 7672],
}


def crop(name: str) -> NDArray[np.uint8]:
    top, left, height, width = CROPS[name]
    return np.asarray(Image.open(PHOTO).convert("RGB"))[top : top + height, left : left + width]


@pytest.mark.parametrize("name", CROPS)
def test_files_take_as_many_bytes_as_before(name: str) -> None:
    sizes = [len(ddpmcodec.encode(crop(name), effort=e, levels=n, verify=False)) for e, n in CODINGS]
    assert sizes == BYTES[name], f"by (effort, levels) {CODINGS}: {sizes}"
