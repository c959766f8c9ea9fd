"""Finds a model by what a user calls it: its name, its id, or the path of its file. `photo` and `cifar10`, of pixels,
and `jpeg`, of JPEG coefficients, are embedded. `ddpmcodec.paper.denoisers` finds the models of the paper's system.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import overload

from ddpmcodec import _native, models
from ddpmcodec._native import MODEL_ID_BYTES, CoefficientModel
from ddpmcodec.errors import ModelError, reason_of
from ddpmcodec.models import context, jpeg
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.model_file import kind_of

HUB = "hub:"  # before the name of a repository with a checkpoint of the paper's network
ID = re.compile(f"[0-9a-f]{{{2 * MODEL_ID_BYTES},64}}")  # as it is printed, or more of it

Model = ContextModel | CoefficientModel  # of pixels, or of JPEG coefficients
ModelSource = Model | str | Path | None  # what a caller names a model by


@overload
def find(source: None) -> None: ...
@overload
def find(source: Model | str | Path) -> Model: ...
@overload
def find(source: ModelSource) -> Model | None: ...
def find(source: ModelSource) -> Model | None:
    """A model of pixels or of JPEG coefficients by what a user calls it.

    Parameters:
        source: the name of an embedded model; its id, eight hexadecimal digits or more; a path. A model is returned as
            it is. None: none, as the image or the file decides.

    Raises:
        ModelError: there is none, or it is damaged, or of another kind.
        TypeError: it is neither a name nor a path nor a model.

    >>> from ddpmcodec.models.registry import find
    >>> find("cifar10").name
    'cifar10'
    """
    if source is None or isinstance(source, Model):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"a model is a name, a path or a loaded model, not {source!r}")
    if source == "":
        raise ModelError("the name of the model is empty: name an embedded one, or a file")
    name = name_of(source)
    return _embedded(name) if name is not None else parse(read(source), str(source))


def find_context(source: Model | str | Path) -> ContextModel:
    """A model of pixels by what a user calls it. Raises as `find`."""
    model = find(source)
    if not isinstance(model, ContextModel):
        name = model.name if isinstance(source, Model) else source
        raise ModelError(f"{name}: a model of JPEG coefficients; one of pixels is needed here")
    return model


def parse(data: bytes, source: str) -> Model:
    """A model from the bytes of its file, wherever that lies. An embedded model stays one: files name it by its number.
    source: what errors call it. Raises ModelError."""
    model_id = hashlib.sha256(data).digest()
    for name in (*models.CONTEXT_MODELS, models.JPEG):
        if models.ids().get(name) == model_id:
            return _embedded(name)
    is_jpeg = _native.model_kind(data) == jpeg.KIND
    return jpeg.parse(data, source) if is_jpeg else context.parse(data, source)


def is_denoiser(source: str | Path) -> bool | None:
    """Whether a model is one of the paper's system, by its file alone; None where the file is missing, or no model."""
    name = name_of(source)
    kind = kind_of(Path(source) if name is None else models.path(name))
    if kind is None:
        return True if str(source).startswith(HUB) or Path(source).is_dir() else None
    return kind not in (context.KIND, jpeg.KIND)


def name_of(source: str | Path) -> str | None:
    """The name of the embedded model that a name or an id means; None where it means another model, or a path."""
    if not isinstance(source, str):
        return None
    if source in models.names():
        return source
    if ID.fullmatch(source) and not Path(source).exists():
        return next((name for name, model_id in models.ids().items() if model_id.hex().startswith(source)), None)
    return None


def read(source: str | Path) -> bytes:
    """The bytes of an embedded model's file, by name or id, or of another file. Raises ModelError."""
    if (name := name_of(source)) is not None:
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
    return find_context(models.default_name(pixels))


def short_id(model: Model) -> bytes:
    """As much of a model's id as files hold; nothing if they hold its number."""
    return b"" if model.number else model.id[:MODEL_ID_BYTES]


def written_with(number: int, model_id: bytes, given: Model | None, what: str = "file") -> ContextModel:
    """The model of the pixels of a file or an archive, by its number (0: none) or the first bytes of its id.

    given: found beside the embedded ones; it also stands for the embedded model of its name, as a copy of another
    version. Raises ModelError where the model is missing.
    """
    return find_context(_written_with(number, model_id, given, what))


def jpeg_written_with(number: int, model_id: bytes, given: Model | None) -> CoefficientModel:
    """The model of the JPEG coefficients of a file. Raises ModelError where it is missing. Otherwise as
    `written_with`."""
    model = _written_with(number, model_id, given, "file")
    if not isinstance(model, CoefficientModel):
        raise ModelError(f"the file holds coefficients of a JPEG, and claims model {model.name!r}: the data is damaged")
    return model


def _written_with(number: int, model_id: bytes, given: Model | None, what: str) -> Model:
    name = name_of_number(number)
    if given is not None:
        is_copy = bool(number) and not given.number and given.name == name
        if is_copy or (given.number, short_id(given)) == (number, model_id):
            return given
    if number and name in models.names():
        return _embedded(name)
    if number and name is None:
        raise ModelError(
            f"the {what} was written with the embedded model number {number} of a newer version, which this one lacks:"
            " install the newest ddpmcodec"
        )
    if given is not None:
        raise ModelError(
            f"the {what} was written with model {_printed(number, model_id)}, and the given model {given.name!r} is"
            f" {given.id[:MODEL_ID_BYTES].hex()}: decode with the model that wrote it (model=PATH)"
        )
    known = ((name, model_id) for name, model_id in models.ids().items() if name in models.NUMBERS)
    embedded = ", ".join(f"{model_id[:MODEL_ID_BYTES].hex()} ({name})" for name, model_id in known)
    raise ModelError(
        f"the {what} was written with model {_printed(number, model_id)}, and the embedded models are"
        f" {embedded or 'none'}: decode with the model that wrote it (model=PATH)"
    )


def _embedded(name: str) -> Model:
    return jpeg.embedded() if name == models.JPEG else context.embedded(name)


def name_of_number(number: int) -> str | None:
    """The name of an embedded model, by the number that files give it; None for others."""
    return next((name for name, embedded in models.NUMBERS.items() if embedded == number), None)


def _printed(number: int, model_id: bytes) -> str:
    if not number:
        return model_id.hex()
    name = name_of_number(number)
    return f"{models.ids()[name][:MODEL_ID_BYTES].hex()} ({name})" if name in models.ids() else f"number {number}"
