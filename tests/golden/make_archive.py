"""Makes the golden archive of a version: python tests/golden/make_archive.py archive-v1 v1 [T|icons]

Arguments: the new folder, the golden folder whose tiny model codes the archive, and for bits back the number of noise
levels of the embedded Gaussian model, or `icons` for images whose runs code alpha. The
folder gets the archive and a manifest with the sha256 of every image's
pixels. It is append-only: tests/archive/test_golden_archive.py decodes it for ever.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import make
import numpy as np
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.models.registry import find

EFFORT, LEVELS = 2, 2
ARCHIVE, ICONS = "images.ddpma", "icons"
LEFT_OUT = (
    "tiles",
    "lanes",
    "learning",
    "colourful",
    "slopes",
    "cutout",
    "stencil",
    "squares",
)  # large, or later


def pictures() -> dict[str, Image.Image]:
    """Every mode, several sizes, metadata, and enough small images for runs of several."""
    found = {f"modes/{name}.png": image for name, image in make.pictures().items() if name not in LEFT_OUT}
    whole = make.pictures()["photo"]
    found |= {f"{i:02}.jpg": whole.crop((i, i // 2, i + 9, i // 2 + 7)) for i in range(16)}
    found["modes/alpha.png"].info.update(icc_profile=b"no profile, but bytes", exif=b"Exif\0\0MM of one")
    found["03.jpg"].info.update(icc_profile=b"no profile, but bytes")
    return found


def icons() -> dict[str, Image.Image]:
    """Small images with alpha of few values among others without, of two sizes, grey and in colour."""
    found, page = dict[str, Image.Image](), np.asarray(make.page().convert("L"))
    whole = make.pictures()["photo"].resize((80, 48))
    for n in range(30):
        height, width = (12, 10) if n < 24 else (7, 9)
        colours = whole.crop((n, n // 2, n + width, n // 2 + height)).convert("L" if n % 5 == 4 else "RGB")
        if n % 7 != 3:
            colours.putalpha(Image.fromarray(page[n : n + height, 3 * n % 40 :][:, :width]))
        found[f"{n:02}.png"] = colours
    return found


def pictures_of(what: str | None) -> dict[str, Image.Image]:
    return icons() if what == ICONS else pictures()


def facts(name: str, image: Image.Image) -> dict[str, Any]:
    """What an image must still be when it comes out."""
    kept = {key: image.info.get(key, b"").hex() for key in ("icc_profile", "exif")}
    pixels = hashlib.sha256(image.tobytes()).hexdigest()
    return {"name": name, "mode": image.mode, "size": list(image.size), "sha256": pixels, **kept}


def create(images: dict[str, Image.Image], source: Path, bits_back: int | None) -> bytes:
    """By bits back initial bits are coded by the embedded model."""
    model = find(source / make.MODEL) if bits_back is None else None
    return archive.create(images.items(), bits_back=bits_back, effort=EFFORT, levels=LEVELS, model=model)


def main(target: str, source: str, what: str | None = None) -> None:
    folder, count = make.GOLDEN / target, int(what) if what and what != ICONS else None
    if folder.exists():
        sys.exit(f"{folder} exists: golden files are never changed; name a new folder")
    images = pictures_of(what)
    data = create(images, folder.parent / source, count)
    folder.mkdir()
    make.write(folder, ARCHIVE, data)
    manifest = {
        "model": source,
        "pictures": what if what == ICONS else None,
        "bits_back": count,
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
