"""Finds a model by what a user calls it, its name, id, path or hub, and by the role that it is for.

CODEC      codes files; `photo` and `cifar10` are embedded         others: files of context models
DENOISER   of the paper's system; `ddpm-cifar10` is embedded       others: files of Gaussian models, and
                                                                   checkpoints of the paper's U-Net
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, overload

from ddpmcodec import models
from ddpmcodec.errors import ModelError, reason_of
from ddpmcodec.format.header import MODEL_ID_BYTES
from ddpmcodec.format.model_file import kind_of
from ddpmcodec.models import context
from ddpmcodec.models.context import ContextModel

CODEC: Literal["codec"] = "codec"
DENOISER: Literal["denoiser"] = "denoiser"
PARSERS = {CODEC: "ddpmcodec.models.context", DENOISER: "ddpmcodec.paper.gaussian.model"}  # modules with a `parse`
CHECKPOINTS = "ddpmcodec.paper.checkpoints"  # whose `load` takes a folder, a file of weights, or hub:OWNER/NAME
HUB = "hub:"  # before a repository's name, so that no mistyped path goes to the network
ID = re.compile(f"[0-9a-f]{{{2 * MODEL_ID_BYTES},64}}")  # as it is printed, or more of it

ModelSource = ContextModel | str | Path | None  # what a caller names a context model by
Role = Literal["codec", "denoiser"]


@overload
def find(source: None, role: Literal["codec"] = ...) -> None: ...
@overload
def find(source: ContextModel | str | Path, role: Literal["codec"] = ...) -> ContextModel: ...
@overload
def find(source: ModelSource, role: Literal["codec"] = ...) -> ContextModel | None: ...
@overload
def find(source: object, role: Literal["denoiser"]) -> Any: ...
def find(source: Any, role: Role = CODEC) -> Any:
    """A model by what a user calls it.

    Parameters:
        source: the name of an embedded model; its id, eight hexadecimal digits or more (or bytes); a path; of a
            denoiser also the folder of a checkpoint, or hub:OWNER/NAME, which alone uses the network. A model is
            returned as it is. None: the embedded denoiser; no context model, as the image or the file decides.
        role: `CODEC` (a `ContextModel`) or `DENOISER` (a `GaussianModel` or `PaperDenoiser`).

    Raises:
        ModelError: there is none, or it is damaged, or of another kind.

    >>> from ddpmcodec.models.registry import find
    >>> find("cifar10").name
    'cifar10'
    """
    if source is None:
        return _embedded(models.GAUSSIAN, DENOISER) if role == DENOISER else None
    if not isinstance(source, (str, Path, bytes)):
        return source
    if (name := _name_of(source, role)) is not None:
        return _embedded(name, role)
    assert not isinstance(source, bytes)
    if role == DENOISER and kind_of(Path(source)) is None:
        return import_module(CHECKPOINTS).load(source)
    return import_module(PARSERS[role]).parse(read(source), str(source))


def role_of(source: str | Path) -> Role | None:
    """What a model is for, by its file alone; None where the file is missing, or no model."""
    name = _name_of(source) if isinstance(source, str) else None
    kind = kind_of(Path(source) if name is None else models.path(name))
    if kind is None:
        return DENOISER if str(source).startswith(HUB) or Path(source).is_dir() else None
    return CODEC if kind == context.KIND else DENOISER


def read(source: str | Path) -> bytes:
    """The bytes of an embedded model's file, by name or id, or of another file. Raises ModelError."""
    if (name := _name_of(source)) is not None:
        return models.read(name)
    try:
        return Path(source).read_bytes()
    except (OSError, ValueError) as error:
        embedded = ", ".join(models.names())
        raise ModelError(
            f"{source}: no model of that name, and no file ({reason_of(error)}); embedded models: {embedded}"
        ) from error


def default(pixels: int) -> ContextModel:
    """The embedded context model for an image of so many pixels."""
    model: ContextModel = _embedded(models.default_name(pixels), CODEC)
    return model


def written_with(number: int, model_id: bytes, given: ContextModel | None, what: str = "file") -> ContextModel:
    """The context model of a file or an archive, by its number (0: none) or the first bytes of its id.

    Raises ModelError where it is missing, or `given` is another.
    """
    if given is not None:
        if (given.number, given.short_id) != (number, model_id):
            raise ModelError(
                f"the {what} was written with model {_printed(number, model_id)}, and the given model {given.name!r} is"
                f" {given.id[:MODEL_ID_BYTES].hex()}: decode with the model that wrote it (model=PATH)"
            )
        return given
    name = name_of_number(number)
    if number and name in models.names():
        model: ContextModel = _embedded(name, CODEC)
        return model
    embedded = ", ".join(f"{models.ids()[name][:MODEL_ID_BYTES].hex()} ({name})" for name in models.NUMBERS)
    raise ModelError(
        f"the {what} was written with model {_printed(number, model_id)}, and the embedded models are"
        f" {embedded or 'none'}: decode with the model that wrote it (model=PATH)"
    )


@cache
def _embedded(name: str, role: Role) -> Any:
    """An embedded model, which is read once."""
    if role == CODEC:
        return context.parse(models.read(name), name, models.NUMBERS.get(name, 0), models.ids()[name])
    return import_module(PARSERS[role]).parse(models.read(name), name)


def _name_of(source: str | Path | bytes, role: Role | None = None) -> str | None:
    """The name of the embedded model that is meant; None where another model is. Bytes are the start of an id, of which
    there must be a model."""
    if isinstance(source, bytes):
        return _name_of_id(source, role)
    if not isinstance(source, str):
        return None
    if source in models.names():
        return source
    if ID.fullmatch(source) and not Path(source).exists():
        return next((name for name, model_id in models.ids().items() if model_id.hex().startswith(source)), None)
    return None


def _name_of_id(model_id: bytes, role: Role | None) -> str:
    ids = {name: digest for name, digest in models.ids().items() if role is None or role_of(name) == role}
    for name, digest in ids.items():
        if digest.startswith(model_id):
            return name
    embedded = ", ".join(f"{digest[: len(model_id)].hex()} ({name})" for name, digest in ids.items())
    raise ModelError(
        f"the file was written with model {model_id.hex()}, and the embedded models of its kind are"
        f" {embedded or 'none'}: decode with the model that wrote it (model=PATH)"
    )


def name_of_number(number: int) -> str | None:
    """The name of an embedded model, by the number that files give it; None for others."""
    return next((name for name, embedded in models.NUMBERS.items() if embedded == number), None)


def _printed(number: int, model_id: bytes) -> str:
    if not number:
        return model_id.hex()
    name = name_of_number(number)
    return f"{models.ids()[name][:MODEL_ID_BYTES].hex()} ({name})" if name in models.ids() else f"number {number}"
