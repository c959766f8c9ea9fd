"""Archives in the decoder for browsers: what they hold, and its images. In Node.js."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive
from node_decoder import GOLDEN, ROOT, Node, error_of, pixels_of

DATA = (GOLDEN.parent / "archive-v1" / "images.ddpma").read_bytes()
MODEL: Path = GOLDEN.parent / "v1" / "model.safetensors"
NAMES = ["modes/photo.png", "modes/grey-alpha.png", "modes/bilevel.png", "05.jpg", "07.jpg"]


def test_images_are_listed_as_natively(node: Node) -> None:
    found = node.ask("archive", DATA, names=[])["images"]
    assert found == [{key: image[key] for key in found[0]} for image in archive.describe(DATA)["images"]]
    assert {"name", "width", "height", "mode", "bytes"} == set(found[0])


def test_images_decode_to_their_pixels(node: Node) -> None:
    found = node.ask("archive", DATA, names=NAMES, model=str(MODEL))
    expected = dict(archive.extract(DATA, NAMES, model=MODEL))
    for name, picture in zip(NAMES, found["pictures"], strict=True):
        assert (picture["mode"], picture["exact"]) == (expected[name].mode, True)
        scale = np.uint8(255 if expected[name].mode == "1" else 1)
        assert np.array_equal(pixels_of(picture), np.asarray(expected[name]) * scale)
    assert (found["missing"], found["closed"], found["kept"]) == ("DdpmError", "DdpmError", 0)


def test_a_file_of_the_embedded_model_and_its_parts(node: Node) -> None:
    with Image.open(ROOT / "docs" / "photo.png") as photo:
        data = archive.create([("photo 'ä\".png", photo.crop((0, 0, 300, 220)))], effort=1)
    box = {"left": 3, "top": 4, "width": 20, "height": 10}
    ((name, exact),) = archive.extract(data)
    answer = node.ask("archive", data, names=[name], box=box)
    assert np.array_equal(pixels_of(answer["pictures"][0]), np.asarray(exact)[4:14, 3:23])


@pytest.mark.parametrize("data", [b"", b"junk", (GOLDEN / "photo-1.ddpm").read_bytes()])
def test_what_is_no_archive_is_refused(node: Node, data: bytes) -> None:
    assert error_of(node.ask("archive", data, names=[])) in ("FormatError", "TruncatedError")
