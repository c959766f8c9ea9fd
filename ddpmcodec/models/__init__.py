"""Models that come with the package: safetensors files in this folder, by name. Each says of what kind it is.

`ids.json` lists their ids, so that a damaged copy is refused instead of writing files that no other copy decodes. After
a model is added or replaced,

    python -c "import ddpmcodec.models as m; m.write_ids()"

seals the files (`models.model_file`) and writes the list down again.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from ddpmcodec._native import EMBEDDED_MODELS
from ddpmcodec.errors import ModelError

THUMBNAIL = "cifar10"
PHOTO = "photo"
JPEG = "jpeg"  # of JPEG coefficients
GAUSSIAN = "ddpm-cifar10"  # denoiser of the Gaussian channel, for thumbnails
CONTEXT_MODELS = (THUMBNAIL, PHOTO)
NUMBERS = {name: number for number, name in enumerate(EMBEDDED_MODELS, 1)}  # what files call the models: a byte
THUMBNAIL_PIXELS = 64 * 64  # an image of more is a photograph, as far as the choice of a model goes
FOLDER = Path(__file__).parent
IDS = "ids.json"


@cache
def names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in FOLDER.glob("*.safetensors")))


def path(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"


def default_name(pixels: int) -> str:
    """The model for an image of so many pixels, where none is named: `photo` for more than a thumbnail."""
    return PHOTO if pixels > THUMBNAIL_PIXELS and PHOTO in names() else THUMBNAIL


@cache
def ids() -> dict[str, bytes]:
    """By name the sha256 of the model's file, which is its id, as it was when the list was written."""
    listed: dict[str, str] = json.loads((FOLDER / IDS).read_text())
    return {name: bytes.fromhex(listed[name]) for name in names() if name in listed}


def read(name: str) -> bytes:
    """The bytes of an embedded model's file. Raises ModelError unless they are those of the list."""
    try:
        data = path(name).read_bytes()
    except OSError as error:
        raise ModelError(f"{path(name)}: cannot be read ({error.strerror}); install ddpmcodec again") from error
    if hashlib.sha256(data).digest() != ids().get(name):
        raise ModelError(
            f"{path(name)}: the embedded model is damaged, or not the one that {IDS} lists; install ddpmcodec again"
            " (whoever replaced it: `ddpmcodec.models.write_ids()` writes the list)"
        )
    return data


def write_ids() -> dict[str, str]:
    """Seal all models of the folder and list their ids, which are returned by name."""
    from ddpmcodec.models.model_file import seal

    names.cache_clear()
    ids.cache_clear()
    for name in names():
        path(name).write_bytes(seal(path(name).read_bytes()))
    listed = {name: hashlib.sha256(path(name).read_bytes()).hexdigest() for name in names()}
    (FOLDER / IDS).write_text(json.dumps(listed, indent=1) + "\n")
    return listed
