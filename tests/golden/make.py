"""Makes golden files, and never changes one: tests/test_golden.py decodes all of them for ever.

    python tests/golden/make.py v3           tests/golden/v3 with a tiny model, pictures, their streams, and a manifest
    python tests/golden/make.py v3 fast      tests/golden/v3 with a tiny model that knows effort 0, and its streams
    python tests/golden/make.py v1 photo     adds streams of the embedded model `photo`
    python tests/golden/make.py v2 repeats   adds streams of one more picture
    python tests/golden/make.py v1 jpegs     adds files of JPEG files, with a list of their own
    python tests/golden/make.py v1 files     adds files of more than 8 bits and those that are kept whole, likewise

A folder, a picture or a stream that exists is never touched. (Until 0.1.0 is released, a commit that changes the format
makes the streams anew that it concerns, with the model of their folder, and says which.) The tiny model's weights come
from a seed, not from training: its mean is what a position is seen from, with random networks around it. Positions show
activations to others; in v1 they do not, and no band learns. Some files are only decoded, as
encoders do not write them any more: in v1 to v3, `tiles`, `lanes` and `cutout` have smaller tiles than any that are made
now, and zlib deflated `grey-alpha`.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import _native, codec
from ddpmcodec.formats import deep
from ddpmcodec.models import context, registry
from ddpmcodec.models.context import EFFORTS, FASTEST, ROLES, ContextModel, contract_role

GOLDEN = Path(__file__).parent
MODEL, MANIFEST, JPEGS, FILES = "model.safetensors", "manifest.json", "jpegs.json", "files.json"
TILES = {"tiles": 64, "lanes": 64, "cutout": 64, "squares": 64}  # pixels a side, of pictures that are cut into tiles
DEPTH, COMPONENTS, SHOWN = 2, 3, 16
WIDTH, WIDE = 32, 96  # networks of bands learn where they are wide
KEPT = 0.06  # share of weights that are not zero: the file compresses well, and sums stay small
SCALES = {"direct": 60, "last": 56}  # indices; of bands 64
FAST = "photo", "grey", "alpha", "column", "noise", "tiles", "lanes", "learning", "repeats"  # coded at effort 0
CODINGS = ((1, 0), (2, 1), (3, 5))  # effort and noise levels


def draw(rng: np.random.Generator, outputs: int, inputs: int) -> NDArray[np.int8]:
    """Weights, most of them zero."""
    weights = rng.integers(-99, 100, (outputs, inputs))
    return np.where(rng.random(weights.shape) < KEPT, weights, 0).astype(np.int8)


def network(
    rng: np.random.Generator, role: str, shown: int, width: int, k: int = COMPONENTS
) -> dict[str, NDArray[Any]]:
    """Of a role: what its position is seen from is the mean, with random networks around it. Floats are short binary
    fractions. k: components."""
    inputs, outputs, conditions = _native.contract(contract_role(role), k)
    blocks = {f"block{n}": (width, width + 3 * shown) for n in range(DEPTH)}
    layers = {"stem": (width, inputs), **blocks, "head": (outputs, width), "skip": (outputs, inputs)}
    found: dict[str, NDArray[Any]] = {}
    for layer, (rows, columns) in layers.items():
        factor = {"stem": 1 / 128, "head": 1 / 64, "skip": 1 / 64}.get(layer, 1 / 256)
        found[f"{layer}.weight"] = draw(rng, rows, columns)
        found[f"{layer}.factor"] = (factor * rng.integers(2, 7, rows) / 4).astype(np.float32)
    found["stem.bias"] = rng.integers(-40, 41, (conditions, width)).astype(np.float32)
    head = rng.integers(-3, 4, (conditions, outputs)).astype(np.float32)
    head[:, 4 * k : 7 * k] += SCALES.get(contract_role(role), 64)
    head[:, 7 * k :] += 32 if role == "direct" else 0
    return found | {"head.bias": head}


def tensors(seed: int, shown: int = SHOWN, band3: int = WIDE) -> dict[str, NDArray[Any]]:
    """A whole model; efforts are alike but for their weights. shown: activations that a position shows; band3: the
    width of networks of coarse bands."""
    rng = np.random.Generator(np.random.Philox(seed))
    keys = [(effort, role) for effort in EFFORTS for role in ROLES]
    made = {(e, role): network(rng, role, shown, band3 if role == "band3" else WIDTH) for e, role in keys}
    return {f"{e}.{role}.{name}": tensor for (e, role), own in made.items() for name, tensor in own.items()}


def page() -> Image.Image:
    """Words that repeat themselves, of blocks of 3x5 pixels."""
    words = np.random.Generator(np.random.Philox(3)).integers(0, 2, (4, 5, 12)).repeat(2, 2)
    pixels = np.full((72, 96, 3), 250, np.uint8)
    for line in range(9):
        for column in range(3):
            box = slice(8 * line + 1, 8 * line + 6), slice(30 * column + 4, 30 * column + 28)
            pixels[box][words[line * column % 4] > 0] = (20, 60, 130)
    return Image.fromarray(pixels)


def pictures() -> dict[str, Image.Image]:
    """By name: every mode, small; `tiles` is cut into tiles, `lanes` is one whose waves have parts; weights learn from
    `learning`; colours of `colourful` save nothing and rest, those of `lattice` save much; `repeats` is a page of words
    that are coded by repeats, and so are `slopes`, of which no two pixels are alike. Alpha of `cutout` and
    `squares` is coded in tiles, that of `stencil` by repeats."""
    y, x = np.mgrid[:64, :64]
    planes = [3 * x + y, 250 - 4 * y, np.where(x > y, 60, 190), np.where(x + y > 12, 255, 9 * y)]
    whole = Image.fromarray(np.stack(planes, -1).astype(np.uint8))
    photo = Image.open(GOLDEN.parents[1] / "docs" / "photo.png").convert("RGB")
    noise = np.random.Generator(np.random.Philox(1)).integers(0, 256, (11, 13, 3), dtype=np.uint8)
    rough = np.random.Generator(np.random.Philox(2)).integers(-3, 4, (3, 160, 120, 3)).sum(0)
    ramps = np.stack([*np.mgrid[20:180, 30:150], np.mgrid[140:300, :120].sum(0) // 2], -1)
    cutout, stencil = photo.convert("L").crop((100, 80, 180, 160)), page()
    cutout.putalpha(photo.convert("L").crop((40, 40, 120, 120)))
    squares = photo.crop((120, 60, 216, 132))
    squares.putalpha(photo.convert("L").crop((20, 30, 116, 102)))
    stencil.putalpha(stencil.convert("L"))
    return {
        "photo": photo.crop((160, 90, 200, 114)),
        "grey": photo.convert("L").crop((7, 0, 24, 9)),
        "alpha": whole.crop((0, 0, 20, 20)),
        "grey-alpha": whole.convert("LA").crop((0, 0, 6, 7)),
        "bilevel": photo.crop((0, 0, 13, 5)).convert("1"),
        "pixel": photo.crop((9, 9, 10, 10)),
        "column": photo.crop((30, 30, 31, 53)),
        "noise": Image.fromarray(noise),
        "tiles": photo.crop((100, 80, 180, 104)),
        "lanes": photo.crop((200, 100, 328, 196)),
        "learning": photo.crop((40, 40, 168, 168)),
        "colourful": Image.fromarray((ramps + rough).astype(np.uint8)),
        "lattice": photo.crop((40, 60, 136, 156)).convert("YCbCr").convert("RGB"),
        "repeats": page(),
        "slopes": Image.fromarray(np.stack([4 * y, 4 * x, 99 + x // 2 + y], -1).astype(np.uint8)).crop((0, 0, 40, 33)),
        "cutout": cutout,
        "stencil": stencil,
        "squares": squares,
    }


# Of others: all.
CODINGS_OF = {
    "cutout": [(2, 1)],
    "stencil": [(1, 0), (2, 1)],
    "lanes": [(2, 2)],
    "colourful": [(2, 0)],
    "lattice": [(2, 0), (3, 2)],
    "repeats": [(1, 0), (2, 2)],
    "slopes": [(1, 0), (2, 2)],
}


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


def write_streams(
    folder: Path, model: ContextModel, name: str, prefix: str, codings: Sequence[tuple[int, int]] | None = None
) -> list[dict[str, Any]]:
    """The picture's stream at every effort, each with other noise levels, and the manifest's entries. codings: other
    efforts and levels."""
    image = write_picture(folder, name, pictures()[name])
    found: list[dict[str, Any]] = []
    for effort, levels in codings or CODINGS_OF.get(name, CODINGS):
        data = codec.encode(image, effort=effort, levels=levels, model=model, tile=TILES.get(name))
        assert codec.info(data)["coding"] == "context model"
        file = f"{prefix}{name}-{effort}.ddpm"
        entry: dict[str, Any] = {
            "file": file, "picture": f"{name}.png", "effort": effort, "levels": levels,
            "model": prefix.removesuffix("-"),
        }  # fmt: skip
        if name in TILES:
            entry["tile"] = TILES[name]
        found.append(entry | {"sha256": write(folder, file, data)})
    return found


def new_version(folder: Path) -> dict[str, Any]:
    """Writes the tiny model and its streams; the manifest."""
    if folder.exists():
        sys.exit(f"{folder} exists: golden files are never changed; name a new version, or a model whose files to add")
    folder.mkdir()
    components = {f"{effort}.{role}": COMPONENTS for effort in EFFORTS for role in ROLES}
    exported = context.pack(tensors(20061123), components, "golden")
    model = context.parse(exported, MODEL)
    digest = write(folder, MODEL, exported)
    streams = [entry for name in pictures() for entry in write_streams(folder, model, name, "")]
    return {"models": {"": digest}, "streams": streams}


def fast_version(folder: Path) -> dict[str, Any]:
    """Writes the tiny model with one more network, of effort 0, and streams of that effort; the manifest."""
    if folder.exists():
        sys.exit(f"{folder} exists: golden files are never changed; name a new version")
    folder.mkdir()
    model_tensors, components = fast_parts()
    exported = context.pack(model_tensors, components, "golden")
    digest, model = write(folder, MODEL, exported), context.parse(exported, MODEL)
    streams = [entry for name in FAST for entry in write_streams(folder, model, name, "", [(0, 0)])]
    return {"models": {"": digest}, "streams": streams}


def fast_parts() -> tuple[dict[str, NDArray[Any]], dict[str, int]]:
    """Tensors of all its networks, and how many components each has."""
    own = network(np.random.Generator(np.random.Philox(7)), "direct", 0, WIDTH, 1)
    components = {f"{effort}.{role}": COMPONENTS for effort in EFFORTS for role in ROLES} | {FASTEST: 1}
    return tensors(20061123) | {f"{FASTEST}.{name}": tensor for name, tensor in own.items()}, components


def more_streams(folder: Path, name: str) -> dict[str, Any]:
    """Writes the streams of an embedded model; the manifest with them."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    if name in manifest["models"]:
        sys.exit(f"{folder} has streams of {name}: golden files are never changed")
    model = registry.find(name)
    chosen = [picture for picture in pictures() if picture != "graphics"]
    streams = [entry for picture in chosen for entry in write_streams(folder, model, picture, f"{name}-")]
    models = manifest["models"] | {name: model.id.hex()}
    return {"models": models, "streams": manifest["streams"] + streams}


def add_picture(folder: Path, name: str) -> None:
    """Writes the streams of one more picture by the folder's own model; the manifest with them."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    if any(entry["picture"] == f"{name}.png" for entry in manifest["streams"]):
        sys.exit(f"{folder} has streams of {name}: golden files are never changed")
    manifest["streams"] += write_streams(folder, registry.find(folder / MODEL), name, "")
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def jpegs() -> dict[str, bytes]:
    """JPEG files by name. `jpeg-levels` has levels."""
    photo = Image.open(GOLDEN.parents[1] / "docs" / "photo.png").convert("RGB")
    exif = Image.Exif()
    exif[0x112] = 6  # the camera was turned
    made: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "jpeg-baseline": (photo.crop((100, 60, 219, 151)), {"quality": 85}),
        "jpeg-progressive": (
            photo.crop((40, 60, 149, 153)), {"progressive": True, "quality": 90, "subsampling": 0, "exif": exif},
        ),
        "jpeg-grey": (photo.convert("L").crop((20, 30, 133, 117)), {"quality": 92}),
        "jpeg-levels": (photo.crop((60, 20, 211, 131)), {"quality": 94}),
    }  # fmt: skip
    found: dict[str, bytes] = {}
    for name, (image, options) in made.items():
        stream = io.BytesIO()
        image.save(stream, "JPEG", **options)
        found[name] = stream.getvalue()
    return found


def write_jpeg(folder: Path, name: str, jpeg: bytes) -> dict[str, str]:
    """The JPEG file, the file of it, and its pixels as they were decoded; the entry of the list."""
    data = codec.encode(io.BytesIO(jpeg), levels=2 if name == "jpeg-levels" else None)
    assert codec.info(data)["coding"] == "JPEG coefficients", name
    with Image.open(io.BytesIO(jpeg)) as image, (folder / f"{name}.png").open("xb") as picture:
        Image.fromarray(np.asarray(image)).save(picture, "PNG")
    entry = {"file": f"{name}.ddpm", "jpeg": f"{name}.jpg", "picture": f"{name}.png"}
    digests = {"sha256": write(folder, f"{name}.ddpm", data), "jpeg_sha256": write(folder, f"{name}.jpg", jpeg)}
    return entry | digests


def add_jpegs(folder: Path) -> None:
    """Writes files of JPEG files that the folder lacks, and their list; the manifest stays as it is."""
    listed = folder / JPEGS
    entries: list[dict[str, str]] = json.loads(listed.read_text()) if listed.exists() else []
    known = {entry["file"] for entry in entries}
    entries += [write_jpeg(folder, name, jpeg) for name, jpeg in jpegs().items() if f"{name}.ddpm" not in known]
    listed.write_text(json.dumps(entries, indent=1) + "\n")
    print(f"{folder}: {len(entries)} files of JPEG files; commit them, and never change them")


def sources() -> dict[str, bytes]:
    """Image files by name: samples of 12 bits in 16, with alpha, which are coded, and an animation, which is kept."""
    photo = Image.open(GOLDEN.parents[1] / "docs" / "photo.png").convert("RGB")
    fine = np.asarray(photo.crop((120, 80, 190, 130))).astype(np.uint16)
    values = np.dstack([fine[:-1, :-1] * 8 + fine[1:, 1:] * 8, fine[1:, :-1, :1] * 16 + 7])
    frames, clip = [photo.crop((x, 0, x + 60, 40)) for x in (0, 20)], io.BytesIO()
    frames[0].save(clip, "GIF", save_all=True, append_images=frames[1:])
    return {"deep.png": deep.file_of(deep.samples_of(values), "PNG"), "clip.gif": clip.getvalue()}


def write_source(folder: Path, name: str, source: bytes) -> dict[str, str]:
    """The image file, and the file of it; the entry of the list."""
    file = f"{Path(name).stem}.ddpm"
    digests = {
        "sha256": write(folder, file, codec.encode(io.BytesIO(source))),
        "source_sha256": write(folder, name, source),
    }
    return {"file": file, "source": name} | digests


def add_sources(folder: Path) -> None:
    """Writes files of more than 8 bits and those that are kept whole, if the folder lacks them, and their list."""
    listed = folder / FILES
    entries: list[dict[str, str]] = json.loads(listed.read_text()) if listed.exists() else []
    known = {entry["source"] for entry in entries}
    entries += [write_source(folder, name, source) for name, source in sources().items() if name not in known]
    listed.write_text(json.dumps(entries, indent=1) + "\n")
    print(f"{folder}: {len(entries)} such files; commit them, and never change them")


def main(version: str, model: str | None = None) -> None:
    folder = GOLDEN / version
    if model == "jpegs":
        return add_jpegs(folder)
    if model == "files":
        return add_sources(folder)
    if model is not None and model in pictures():
        return add_picture(folder, model)
    if model == "fast":
        manifest = fast_version(folder)
    else:
        manifest = new_version(folder) if model is None else more_streams(folder, model)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{folder}: {len(manifest['streams'])} streams; commit them, and never change them")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
