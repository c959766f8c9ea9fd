"""The files of the demo page: the photograph as .ddpm, and JPEG and WebP of the bytes of each of its steps.

python web/build.py --demo             calls this
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

import ddpmcodec
from ddpmcodec._native import Container
from ddpmcodec.codec.efforts import segments_of_steps
from ddpmcodec.comparison import CODECS, encode_within, psnr_of

DEMO = Path(__file__).resolve().parent
PHOTO = DEMO.parents[1] / "docs" / "photo.png"
EVERY = 4  # segments of the exact step that make a picture: each takes a second of the page's time
PAGE = ("index.html", "demo.css", "demo.js", "worker.js")


def ends_of_pictures(data: bytes) -> list[int]:
    """How many bytes there are of each picture: all segments of noise levels, and a few of the exact step."""
    file = Container(data)
    ends = [file.end_of_segment(segment) for segment in range(1, file.header.segments + 1)]
    levels = segments_of_steps(file.header, file.header.steps - 1)
    return [*ends[:levels], *ends[levels + EVERY - 1 :: EVERY]]


def smaller_file(image: Image.Image, name: str, limit: int, out: Path) -> dict[str, object] | None:
    """The best file of another codec that takes at most `limit` bytes, which is written; None where there is none."""
    data = encode_within(image, CODECS[name], limit, lambda share: None)
    if len(data) > limit:
        return None
    path = out / f"{len(data)}.{name}"
    path.write_bytes(data)
    shown = Image.open(path).convert("RGB")
    quality = psnr_of(shown, image)
    return {"file": path.name, "bytes": len(data), "psnr": None if quality is None else round(quality, 2)}


def make(out: Path) -> None:
    """Writes everything that the page needs into a folder, which is made."""
    out.mkdir(parents=True, exist_ok=True)
    for name in PAGE:
        (out / name).write_bytes((DEMO / name).read_bytes())
    image = Image.open(PHOTO).convert("RGB")
    data = ddpmcodec.encode(image)
    assert np.array_equal(ddpmcodec.decode(data, as_array=True), np.asarray(image))
    (out / "photo.ddpm").write_bytes(data)
    steps = [
        {"bytes": end, **{name: smaller_file(image, name, end, out) for name in CODECS}}
        for end in ends_of_pictures(data)
    ]  # fmt: skip
    (out / "rates.json").write_text(json.dumps(steps, indent=1) + "\n")
