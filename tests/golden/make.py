"""Makes golden files, and never changes one: tests/test_golden.py decodes all of them for ever.

    python tests/golden/make.py v1           tests/golden/v1 with a tiny model, pictures, their streams, and a manifest
    python tests/golden/make.py v1 photo     adds streams of the embedded model `photo`

A folder, a picture or a stream that exists is never touched. The tiny model's weights come from a seed, not from
training: its prediction is a slope of the coarse image, with random networks around it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.codec import graphics
from ddpmcodec.codec.efforts import EFFORTS
from ddpmcodec.format import tiles
from ddpmcodec.networks.context import adaptation, model_file, shape
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.window import COARSE_PLACES, INPUTS, PLACES

GOLDEN = Path(__file__).parent
MODEL, MANIFEST = "model.safetensors", "manifest.json"
TILE_PIXELS = 320
KEPT = 0.06  # share of weights that are not zero: the file compresses well, and sums stay small
# How much the random networks move each kind of output, in its units.
DEVIATIONS = {shape.OFFSET: 12.0, shape.SCALE: 2.0, shape.CROSS_CHANNEL: 8.0, shape.WEIGHTS: 3.0}


def draw(rng: np.random.Generator, outputs: int, inputs: int) -> NDArray[np.int8]:
    """Weights, most of them zero."""
    weights = rng.integers(-99, 100, (outputs, inputs))
    return np.where(rng.random(weights.shape) < KEPT, weights, 0).astype(np.int8)


def last_bias() -> NDArray[np.float32]:
    """What the tiny model predicts without its networks, [SITUATIONS, OUTPUTS]: a quarter of the coarse image's slope,
    and scales that double every other band."""
    bias = np.zeros((shape.SITUATIONS, shape.OUTPUTS), np.float32)
    band = 1 + np.arange(shape.SITUATIONS) % shape.LAST_BAND
    for channel in range(3):
        bias[:, shape.SCALE + channel] = 56 + 4 * np.minimum(band, 9) - 8 * (channel > 0)
    for first in (shape.WEIGHTS, shape.WEIGHTS + PLACES):
        bias[:, first + COARSE_PLACES.index((0, -1))] = shape.WEIGHT_UNIT / 4
        bias[:, first + COARSE_PLACES.index((0, 1))] = -shape.WEIGHT_UNIT / 4
    return bias


def tensors(seed: int) -> dict[str, NDArray[Any]]:
    """A whole model. Floats are short binary fractions."""
    rng = np.random.Generator(np.random.Philox(seed))
    size = (adaptation.KINDS, adaptation.CHANNELS, adaptation.CONTEXTS + adaptation.WEIGHTS)
    initial = rng.integers(-(1 << 16), 1 << 16, size).astype(np.int32)
    initial[..., adaptation.CONTEXTS :] <<= 3
    found: dict[str, NDArray[Any]] = {"adaptation": initial}
    for band in range(shape.BAND_KINDS):
        for layer, (outputs, inputs) in shape.SHAPE.layers().items():
            name, factor = f"band{band}.{layer}", np.full(outputs, 1 / 128 if inputs == INPUTS else 1 / 256)
            if layer == "leave":
                edges = [*DEVIATIONS, shape.OUTPUTS]
                for (first, deviation), end in zip(DEVIATIONS.items(), edges[1:], strict=True):
                    factor[first:end] = deviation / 8192
                found[f"{name}.bias"] = last_bias() + rng.integers(-3, 4, (1, outputs)).astype(np.float32)
            elif layer == "enter":
                found[f"{name}.bias"] = rng.integers(-40, 41, (shape.SITUATIONS, outputs)).astype(np.float32)
            found[f"{name}.weight"] = draw(rng, outputs, inputs)
            found[f"{name}.factor"] = (factor * rng.integers(2, 7, outputs) / 4).astype(np.float32)
    return found


def pictures() -> dict[str, Image.Image]:
    """By name: every mode, small; `tiles` is cut into tiles, weights learn from `learning`, `graphics` is stored as
    WebP."""
    y, x = np.mgrid[:64, :64]
    planes = [3 * x + y, 250 - 4 * y, np.where(x > y, 60, 190), np.where(x + y > 12, 255, 9 * y)]
    whole = Image.fromarray(np.stack(planes, -1).astype(np.uint8))
    photo = Image.open(GOLDEN.parents[1] / "docs" / "photo.png").convert("RGB")
    noise = np.random.Generator(np.random.Philox(1)).integers(0, 256, (11, 13, 3), dtype=np.uint8)
    return {
        "photo": photo.crop((160, 90, 200, 114)),
        "grey": photo.convert("L").crop((7, 0, 24, 9)),
        "alpha": whole.crop((0, 0, 20, 20)),
        "grey-alpha": whole.convert("LA").crop((0, 0, 6, 7)),
        "bilevel": photo.crop((0, 0, 13, 5)).convert("1"),
        "pixel": photo.crop((9, 9, 10, 10)),
        "column": photo.crop((30, 30, 31, 53)),
        "noise": Image.fromarray(noise),
        "tiles": photo.crop((100, 80, 140, 104)),
        "learning": photo.crop((40, 40, 168, 168)),
        "graphics": whole.crop((4, 4, 40, 28)),
    }


EFFORTS_OF = {"graphics": [2]}  # of others: all


@contextmanager
def settings(tiled: bool, webp: bool) -> Iterator[None]:
    """tiled: into tiles of at most TILE_PIXELS. webp: WebP is chosen where it is smaller; otherwise never."""
    before = tiles.SINGLE_STREAM_PIXELS, tiles.TILE_PIXELS, graphics.may_be_graphics
    if tiled:
        tiles.SINGLE_STREAM_PIXELS = tiles.TILE_PIXELS = TILE_PIXELS
    if not webp:
        graphics.may_be_graphics = lambda planes: False
    try:
        yield
    finally:
        tiles.SINGLE_STREAM_PIXELS, tiles.TILE_PIXELS, graphics.may_be_graphics = before


def write(folder: Path, name: str, data: bytes) -> str:
    """Write a new file and return its sha256."""
    with (folder / name).open("xb") as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def write_picture(folder: Path, name: str, image: Image.Image) -> Image.Image:
    """The picture as PNG, unless it is there, with an ICC profile where there is alpha in colour."""
    path = folder / f"{name}.png"
    if not path.exists():
        image.save(path, icc_profile=b"no profile, but bytes" if image.mode == "RGBA" else b"")
    return Image.open(path)


def write_streams(folder: Path, model: ContextModel, name: str, prefix: str) -> list[dict[str, Any]]:
    """The picture's stream at every effort, and the manifest's entries."""
    image = write_picture(folder, name, pictures()[name])
    found: list[dict[str, Any]] = []
    for effort in EFFORTS_OF.get(name, EFFORTS):
        with settings(name == "tiles", name == "graphics"):
            data = codec.encode(image, effort=effort, model=model)
        assert codec.info(data)["coding"] == ("lossless WebP" if name == "graphics" else "context model")
        file = f"{prefix}{name}-{effort}.ddpm"
        entry = {"file": file, "picture": f"{name}.png", "effort": effort, "model": prefix.removesuffix("-")}
        found.append(entry | {"sha256": write(folder, file, data)})
    return found


def new_version(folder: Path) -> dict[str, Any]:
    """Writes the tiny model and its streams; the manifest."""
    if folder.exists():
        sys.exit(f"{folder} exists: golden files are never changed; name a new version, or a model whose files to add")
    folder.mkdir()
    exported = model_file.pack(tensors(20061123), "golden")
    model = model_file.parse(exported, MODEL)
    digest = write(folder, MODEL, exported)
    streams = [entry for name in pictures() for entry in write_streams(folder, model, name, "")]
    return {"models": {"": digest}, "streams": streams}


def more_streams(folder: Path, name: str) -> dict[str, Any]:
    """Writes the streams of an embedded model; the manifest with them."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    if name in manifest["models"]:
        sys.exit(f"{folder} has streams of {name}: golden files are never changed")
    model = model_file.load_model(name)
    chosen = [picture for picture in pictures() if picture != "graphics"]
    streams = [entry for picture in chosen for entry in write_streams(folder, model, picture, f"{name}-")]
    models = manifest["models"] | {name: model.id.hex()}
    return {"models": models, "streams": manifest["streams"] + streams}


def main(version: str, model: str | None = None) -> None:
    folder = GOLDEN / version
    manifest = new_version(folder) if model is None else more_streams(folder, model)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{folder}: {len(manifest['streams'])} streams; commit them, and never change them")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
