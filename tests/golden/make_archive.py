"""Makes the golden archive of a new version: python tests/golden/make_archive.py archive-v1 v1 [uniform]

Arguments: the new folder, and the golden folder whose tiny model the archive is coded with, by bits back unless by the
uniform channel. The folder gets the archive
and a manifest with the sha256 of every image's pixels. It is append-only (tests/archive/test_golden_archive.py).
"""

from __future__ import annotations

import hashlib
import json
import lzma
import sys
from pathlib import Path
from typing import Any

import make
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.model import Model

LEVELS = [1.5, 6.0, 30.0, 200.0]  # grey levels
EFFORT = 1
ARCHIVE = "images.ddpma"


def model_of(folder: Path) -> Model:
    return checkpoint.parse(lzma.decompress((folder / make.MODEL).read_bytes()), folder.name)


def pictures() -> dict[str, Image.Image]:
    """Every mode, several sizes, metadata, and enough small images for batches of bits back."""
    found = {f"modes/{name}.png": image for name, image in make.pictures().items() if name != "chunked"}
    whole = make.pictures()["groups"]
    found |= {f"{i:02}.jpg": whole.crop((i, i // 2, i + 9, i // 2 + 7)) for i in range(16)}
    found["modes/alpha.png"].info.update(icc_profile=b"no profile, but bytes", exif=b"Exif\0\0MM of one")
    found["03.jpg"].info.update(icc_profile=b"no profile, but bytes")
    return found


def facts(name: str, image: Image.Image) -> dict[str, Any]:
    """What an image must still be when it comes out."""
    kept = {key: image.info.get(key, b"").hex() for key in ("icc_profile", "exif")}
    pixels = hashlib.sha256(image.tobytes()).hexdigest()
    return {"name": name, "mode": image.mode, "size": list(image.size), "sha256": pixels, **kept}


def main(target: str, source: str, channel: str = "bits back") -> None:
    folder = Path(__file__).parent / target
    if folder.exists():
        sys.exit(f"{folder} exists: golden files are never changed, name a new version")
    images, levels = pictures(), None if channel == "uniform" else LEVELS
    data = archive.create(images.items(), levels=levels, effort=EFFORT, model=model_of(folder.parent / source))
    folder.mkdir()
    (folder / ARCHIVE).write_bytes(data)
    manifest = {
        "model": source,
        "levels": levels,
        "effort": EFFORT,
        "sha256": hashlib.sha256(data).hexdigest(),
        "images": [facts(name, image) for name, image in images.items()],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{folder}: {len(images)} images, {len(data)} bytes; commit them, and never change them")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
