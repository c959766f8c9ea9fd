"""What is attacked: files, archives and models of every kind, tiny, so that thousands of inputs a minute are tried."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from known_networks import COMPONENTS, tensors
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec.models.context import EFFORTS, ROLES, ContextModel, contract_role, pack, parse
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.gaussian_model import GaussianModel, export
from ddpmcodec.paper.gaussian_network import Architecture, TrainableGaussian

FILE, ARCHIVE, CONTEXT_MODEL, GAUSSIAN_MODEL = KINDS = ("file", "archive", "context model", "gaussian model")
SUFFIXES = {FILE: ".ddpm", ARCHIVE: ".ddpma", CONTEXT_MODEL: ".safetensors", GAUSSIAN_MODEL: ".safetensors"}
LEVELS = (2.0, 12.0, 90.0)  # of latents
GOLDEN = Path(__file__).parents[1] / "golden"
NETWORKS = tuple(f"{effort}.{role}" for effort in EFFORTS for role in ROLES)


class Facts(NamedTuple):
    """What a decoder must find of an image."""

    mode: str
    size: tuple[int, int]
    pixels: bytes
    icc: bytes
    exif: bytes


def facts(image: Image.Image) -> Facts:
    icc, exif = image.info.get("icc_profile", b""), image.info.get("exif", b"")
    return Facts(image.mode, image.size, image.tobytes(), icc, exif)


class Seed(NamedTuple):
    """Valid bytes that attacks begin with. truth: what they hold, by name; of a file the name is "". originals: JPEG
    files that they store. model: the path of their model's file; "" is `context_model`, or by bits back the Gaussian
    one."""

    name: str
    kind: str
    data: bytes
    truth: dict[str, Facts]
    originals: tuple[bytes, ...] = ()
    model: str = ""


def picture(mode: str = "RGB", width: int = 11, height: int = 9, noise: int = 24) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([9 * x + y, 240 - 7 * y, np.where(x > y, 60, 190), np.where(x + y > 6, 255, 20 * y)], -1)
    grain = np.random.Philox(key=width).random_raw(smooth.size).reshape(smooth.shape) % np.uint64(noise)
    image = Image.fromarray((smooth + grain.astype(np.int64)).astype(np.uint8)).convert("RGBA")
    return image.convert(mode, dither=Image.Dither.NONE) if mode == "1" else image.convert(mode)


def woven_picture(mode: str = "RGBA") -> Image.Image:
    """One that repeats itself, but not from pixel to pixel."""
    colours = np.random.Generator(np.random.Philox(6)).integers(0, 256, (5, 6, len(mode)), dtype=np.uint8)
    return Image.fromarray(np.tile(colours, (4, 5, 1)).squeeze())


def sparse_picture(width: int, height: int) -> Image.Image:
    """One whose colours are few, and far from each other."""
    return picture("RGB", width, height).point(lambda value: value // 17 * 17)


def with_metadata(image: Image.Image) -> Image.Image:
    image.info.update(icc_profile=b"a profile" * 3, exif=b"Exif\0\0MM of one")
    return image


def jpeg(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@cache
def context_bytes() -> bytes:
    own = {role: tensors(contract_role(role)) for role in ROLES}
    found = {f"{key}.{name}": value for key in NETWORKS for name, value in own[key[2:]].items()}
    return pack(found, dict.fromkeys(NETWORKS, COMPONENTS), "attacked")


@cache
def gaussian_bytes() -> bytes:
    torch.manual_seed(0)
    network = TrainableGaussian(Architecture(width=16, inner_width=32, down=1, bottom=1, up=1))
    torch.nn.init.normal_(network.weights["head"], std=0.05)
    return export(network, name="attacked")


@cache
def context_model() -> ContextModel:
    return parse(context_bytes(), "attacked")


@cache
def gaussian_model(folder: str) -> GaussianModel:
    """folder: where its file may be written."""
    path = f"{folder}/gaussian.safetensors"
    with open(path, "wb") as file:
        file.write(gaussian_bytes())
    return find_denoiser(path)


def file_seeds() -> Iterator[Seed]:
    images: dict[str, tuple[Image.Image, int, int]] = {  # picture, effort, noise levels; in tiles of 64 pixels a side
        "plain": (picture(), 2, 2),
        "plain square": (picture("RGB", 12, 12), 1, 0),
        "stream with alpha": (with_metadata(picture("RGBA", 6, 5)), 2, 5),
        "grey at effort 3": (picture("L", 13, 7), 3, 2),
        "bilevel": (picture("1", 9, 9), 1, 0),
        "grey with alpha": (picture("LA", 5, 4), 1, 2),
        "tiles": (picture("RGB", 70, 8), 1, 2),
        "tiles without levels": (picture("L", 9, 130), 2, 0),
        "tiles with alpha": (with_metadata(picture("RGBA", 66, 9)), 3, 5),
        "one stream": (picture("RGB", 30, 27), 2, 5),
        "pixel": (picture("RGB", 1, 1), 2, 2),
        "learns": (picture("RGB", 53, 41), 2, 5),  # weights do, as there are 2,048 pixels
        "learns colours": (sparse_picture(60, 36), 1, 0),
        "tiles that learn": (picture("L", 48, 73), 1, 2),
    }
    for name, (image, effort, levels) in images.items():
        data = codec.encode(image, effort=effort, levels=levels, tile=64, model=context_model())
        yield Seed(name, FILE, data, {"": facts(image)})
    for mode in ("RGBA", "L"):
        image = with_metadata(woven_picture(mode))
        yield Seed(f"woven {mode}", FILE, codec.encode(image, model=context_model()), {"": facts(image)})


@cache
def jpegs() -> dict[str, bytes]:
    """JPEG files by the names of their seeds."""
    turned = Image.Exif()
    turned[0x112] = 6
    return {
        "JPEG": jpeg(picture("RGB", 120, 90), quality=60),
        "JPEG progressive": jpeg(picture("RGB", 97, 96), progressive=True, quality=75, subsampling=0, exif=turned),
        "JPEG grey": jpeg(picture("L", 113, 87), quality=70),
    }


def jpeg_seeds() -> Iterator[Seed]:
    for name, data in jpegs().items():
        yield Seed(name, FILE, codec.encode(io.BytesIO(data)), {"": facts(opened(data))}, (data,))


def jpeg_archive_seeds() -> Iterator[Seed]:
    files = {f"{n}.jpg": data for n, data in enumerate(jpegs().values())}
    images = [*((name, io.BytesIO(data)) for name, data in files.items()), ("a.png", picture("RGB", 6, 5))]
    truth = {name: facts(opened(data)) for name, data in files.items()} | {"a.png": facts(picture("RGB", 6, 5))}
    data = archive.create(images, model=context_model())
    yield Seed("JPEG files", ARCHIVE, data, truth, tuple(files.values()))


def archive_seeds(folder: str) -> Iterator[Seed]:
    small = {f"{n:02}.png": picture("RGB", 6, 5, 24 + n) for n in range(5)}
    kinds = {f"modes/{mode}.png": picture(mode, 7, 6) for mode in ("L", "RGB", "LA", "RGBA", "1")}
    kinds["modes/RGBA.png"] = with_metadata(kinds["modes/RGBA.png"])
    files = {"large.png": with_metadata(picture("RGB", 70, 68))}
    made: dict[str, tuple[dict[str, Image.Image], dict[str, Any]]] = {
        "runs": (small | kinds, {"model": context_model()}),
        "runs with levels": (small | kinds, {"model": context_model(), "levels": 5, "effort": 3}),
        "files": (files | {"a.png": small["00.png"]}, {"model": context_model(), "effort": 1}),
        "bits back": (small, {"model": gaussian_model(folder), "bits_back": LEVELS, "effort": 1}),
    }
    for name, (images, options) in made.items():
        data = archive.create(images.items(), **options)
        yield Seed(name, ARCHIVE, data, {name: facts(image) for name, image in images.items()})


@cache
def seeds(folder: str) -> tuple[Seed, ...]:
    """folder: for temporary files."""
    found = [*file_seeds(), *jpeg_seeds(), *archive_seeds(folder), *jpeg_archive_seeds()]
    found.append(Seed("context", CONTEXT_MODEL, context_bytes(), {}))
    found.append(Seed("gaussian", GAUSSIAN_MODEL, gaussian_bytes(), {}))
    return tuple(found)


@cache
def golden_seeds() -> tuple[Seed, ...]:
    """The files of tests/golden, which are larger than the others; of JPEG files those that can be decoded."""
    return (*_golden_files(), *_golden_jpegs(), *_golden_archives())


def _golden_files() -> Iterator[Seed]:
    for folder in sorted(GOLDEN.glob("v*")):
        for entry in json.loads((folder / "manifest.json").read_text())["streams"]:
            truth, model = {"": facts(opened((folder / entry["picture"]).read_bytes()))}, entry["model"]
            data = (folder / entry["file"]).read_bytes()
            yield Seed(f"golden {entry['file']}", FILE, data, truth, model=model or str(folder / "model.safetensors"))


def _golden_jpegs() -> Iterator[Seed]:
    for path in sorted(GOLDEN.glob("v*/jpegs.json")):
        for entry in json.loads(path.read_text()):
            original = (path.parent / entry["jpeg"]).read_bytes()
            data = (path.parent / entry["file"]).read_bytes()
            yield Seed(f"golden {entry['file']}", FILE, data, {"": facts(opened(original))}, (original,))


def _golden_archives() -> Iterator[Seed]:
    for folder in sorted(GOLDEN.glob("archive-v*")):
        manifest, data = json.loads((folder / "manifest.json").read_text()), (folder / "images.ddpma").read_bytes()
        if manifest["bits_back"] is not None:  # of an embedded model, which takes long
            continue
        model = str(GOLDEN / manifest["model"] / "model.safetensors")
        truth = {name: facts(image) for name, image in archive.extract(data, model=model)}
        digests = {image["name"]: image["sha256"] for image in manifest["images"]}
        assert {name: hashlib.sha256(fact.pixels).hexdigest() for name, fact in truth.items()} == digests
        yield Seed(f"golden {folder.name}", ARCHIVE, data, truth, model=model)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
