"""Archives of images by the context model are made and read without PyTorch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ddpmcodec import archive
from ddpmcodec.archive import dataset, loading
from pictures import PHOTO

THERE_AND_BACK = """
import sys
import numpy as np
from PIL import Image
from ddpmcodec import archive

photo = Image.open(sys.argv[1])
pictures = {f"{n}.png": photo.crop((9 * n, 5 * n, 9 * n + 8, 5 * n + 8)) for n in range(6)}
pictures["large.png"] = photo.crop((20, 20, 90, 80))
pictures["alpha.png"] = pictures["0.png"].convert("RGBA")
data = archive.create(pictures.items(), effort=1, levels=0)
found = dict(archive.extract(data))
with archive.open(data) as images:
    same = [images[name].tobytes() == found[name].tobytes() == picture.tobytes() for name, picture in pictures.items()]
print(archive.test(data), all(same), len(archive.names(data)), archive.describe(data)["images_on_stacks"] > 0)
print(sorted({"torch"} & set(sys.modules)))
"""


def test_neither_is_imported_to_make_and_read_an_archive() -> None:
    command = [sys.executable, "-c", THERE_AND_BACK, PHOTO]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["8 True 8 True", "[]"]


def test_data_sets_are_there_when_they_are_asked_for() -> None:
    assert archive.ArchiveDataset is dataset.ArchiveDataset
    assert archive.loader is loading.loader
    with pytest.raises(AttributeError, match="Nothing"):
        _ = archive.Nothing
