"""Makes the golden files of a new version: python tests/golden/make.py v3

A tiny model, pictures and their streams, and a manifest of their hashes. Golden files are append-only: every one ever
written must decode for ever (tests/test_golden.py), so a folder that exists is never touched.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ddpmcodec import codec, container
from ddpmcodec.container import PROGRESSIVE
from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.exact import Architecture
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.local import Shape
from ddpmcodec.networks.model import Model
from ddpmcodec.presets import PRESETS, REFINED, REFINED_PROGRESSIVE, refined_steps
from ddpmcodec.training.local import LatentLocal

EFFORTS = (1, 5, 7, PROGRESSIVE)
MODEL = "tiny.safetensors.xz"  # its tables compress well
MANIFEST = "manifest.json"
SMALL_GROUP = 256
SHAPE = Shape(width=32, depth=2)  # of local networks


def model_bytes() -> bytes:
    """A network with random weights that mean something: their answers are near what is known."""
    torch.manual_seed(20061123)
    network = LatentNetwork(Architecture(width=8, inner_width=16, down=1, bottom=1, up=1))
    torch.nn.init.normal_(network.weights["leave"], std=0.05)
    exported = checkpoint.export(network, PRESETS, name="golden")
    lists = {effort: (REFINED | {PROGRESSIVE: REFINED_PROGRESSIVE})[effort] for effort in EFFORTS}
    steps = [*refined_steps(), *refined_steps(progressive=True)]
    networks = {step: local_network() for step in steps}
    return checkpoint.with_local(exported, networks, SHAPE, lists)


def local_network() -> dict[str, torch.Tensor]:
    """Random as well; most weights are zero, so that they compress well."""
    network = LatentLocal(SHAPE)
    torch.nn.init.normal_(network.weights["leave"], std=0.05)
    found = network.exported()
    kept = {key: (torch.rand(value.shape) < 0.1).to(value.dtype) for key, value in found.items()}
    found["law"] = torch.randint(-(1 << 19), 1 << 19, found["law"].shape, dtype=torch.int32)
    return {key: value * kept[key] if key.endswith(".weight") else value for key, value in found.items()}


def pictures() -> dict[str, Image.Image]:
    """By name, every mode; `chunked` is large enough for a chunk a step, `groups` is cut into groups of pixels."""
    y, x = np.mgrid[:256, :264]
    planes = [3 * x + y, 250 - 4 * y, np.where(x > y, 60, 190), np.where(x + y > 12, 255, 9 * y)]
    whole = Image.fromarray(np.stack(planes, -1).astype(np.uint8))
    colour = whole.convert("RGB")
    return {
        "colour": colour.crop((0, 0, 40, 24)),
        "grey": colour.convert("L").crop((7, 0, 24, 9)),
        "alpha": whole.crop((0, 0, 20, 20)),
        "grey-alpha": whole.convert("LA").crop((0, 0, 6, 7)),
        "bilevel": colour.crop((0, 0, 13, 5)).convert("1"),
        "pixel": colour.crop((9, 9, 10, 10)),
        "chunked": Image.fromarray(((x + y) // 4).astype(np.uint8)),
        "grey-more": colour.convert("L").crop((0, 0, 48, 40)),
        "groups": colour.crop((100, 80, 140, 104)),
    }


def write(folder: Path, name: str, data: bytes) -> str:
    """Write a file and return its sha256."""
    (folder / name).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def write_streams(folder: Path, model: Model, name: str, image: Image.Image) -> list[dict[str, object]]:
    """The picture as PNG, and its stream at every effort, with an ICC profile where there is alpha."""
    profile = b"no profile, but bytes" if image.mode == "RGBA" else b""
    image.save(folder / f"{name}.png", icc_profile=profile)
    limit = SMALL_GROUP if name == "groups" else None
    found: list[dict[str, object]] = []
    for effort in EFFORTS[:1] if name == "chunked" else EFFORTS:
        with groups_of(limit):
            stream = codec.encode(Image.open(folder / f"{name}.png"), effort=effort, model=model)
        entry = {"file": f"{name}-{effort}.ddpm", "picture": f"{name}.png", "effort": effort, "group_pixels": limit}
        found.append(entry | {"sha256": write(folder, f"{name}-{effort}.ddpm", stream)})
    return found


@contextmanager
def groups_of(pixels: int | None) -> Iterator[None]:
    """Images larger than this are cut into groups of at most this size; None: as they always are."""
    before = container.SINGLE_STREAM_PIXELS, container.GROUP_PIXELS
    if pixels:
        container.SINGLE_STREAM_PIXELS = container.GROUP_PIXELS = pixels
    yield
    container.SINGLE_STREAM_PIXELS, container.GROUP_PIXELS = before


def main(version: str) -> None:
    folder = Path(__file__).parent / version
    if folder.exists():
        sys.exit(f"{folder} exists: golden files are never changed, name a new version")
    folder.mkdir()
    exported = model_bytes()
    model = checkpoint.parse(exported, MODEL)
    streams = [entry for name, image in pictures().items() for entry in write_streams(folder, model, name, image)]
    manifest = {"model": MODEL, "sha256": hashlib.sha256(exported).hexdigest(), "streams": streams}
    write(folder, MODEL, lzma.compress(exported, preset=9))
    write(folder, MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")
    print(f"{folder}: {len(streams)} streams; commit them, and never change them")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
