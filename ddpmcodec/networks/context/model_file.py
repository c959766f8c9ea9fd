"""Context models as files: one safetensors file of int8 weights, float32 factors and biases, and known answers.

    band<k>.<layer>.weight int8, .factor float32, .bias float32   (`network`; k: `shape.band_kind`)
    adaptation             int32                                   (`adaptation.start`)
    denoiser.*             float32, where there is one             (`networks.reconstruction`)

The metadata hold the sha256 of what each network answers to seeded inputs. Loading asks again: a machine that computes
something else must not code. They also hold one of all bytes (`format.seal`), which the answers do not cover.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.format.seal import KEY, seal
from ddpmcodec.networks import model_file
from ddpmcodec.networks.context import adaptation
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.network import network_of, outputs_of
from ddpmcodec.networks.context.shape import BAND_KINDS, LARGEST_DEPTH, LARGEST_WIDTH, SITUATIONS, WIDTH_UNIT, Shape
from ddpmcodec.networks.context.window import CHANNELS, INPUTS
from ddpmcodec.networks.model_file import LARGEST_NUMBER
from ddpmcodec.processor import require_rounding_to_nearest

KIND = "context"
ANSWER_ROWS = 24
Tensors = Mapping[str, NDArray[Any]]


def layout(shape: Shape) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Dtype and shape of every tensor that a file must hold."""
    found: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
        "adaptation": (
            np.dtype(np.int32),
            (adaptation.KINDS, CHANNELS, adaptation.CONTEXTS + adaptation.WEIGHTS),
        )
    }
    for k in range(BAND_KINDS):
        for layer, (outputs, inputs) in shape.layers().items():
            name = f"band{k}.{layer}"
            found[f"{name}.weight"] = np.dtype(np.int8), (outputs, inputs)
            found[f"{name}.factor"] = np.dtype(np.float32), (outputs,)
            if layer in ("enter", "leave"):
                found[f"{name}.bias"] = np.dtype(np.float32), (SITUATIONS, outputs)
    return found


def pack(tensors: Tensors, name: str, training: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a model file. training: facts about its making, kept in the metadata."""
    depth = sum(f"band0.block{k}.weight" in tensors for k in range(LARGEST_DEPTH))
    shape = Shape(len(tensors["band0.enter.weight"]), depth)
    metadata = {
        "kind": KIND,
        "format": model_file.FORMAT,
        "name": name,
        "shape": shape,
        "answers": [_answer(network) for network in _networks(tensors, shape)],
        "training": dict(training or {}),
    }
    ordered = {key: np.ascontiguousarray(value) for key, value in sorted(tensors.items())}
    return seal(save(ordered, {KEY: json.dumps(metadata, sort_keys=True)}))


def parse(data: bytes, source: str) -> ContextModel:
    """A model from the bytes of its file, whose answers are checked. source: what errors call it. Raises ModelError."""
    require_rounding_to_nearest()
    metadata = model_file.metadata(data, source, KIND)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{source}: the model file is damaged ({error}); get it again") from error
    shape = _shape(metadata, source)
    _check(tensors, shape, source)
    networks = _networks(tensors, shape)
    if [_answer(network) for network in networks] != metadata.get("answers"):
        raise ModelError(
            f"{source}: its networks do not compute here what they must: the file is damaged, or this machine's"
            " arithmetic differs; files would not decode elsewhere"
        )
    return ContextModel(
        str(metadata.get("name")), hashlib.sha256(data).digest(), networks, tensors["adaptation"],
        _denoiser(tensors, source),
    )  # fmt: skip


def _shape(metadata: Mapping[str, Any], source: str) -> Shape:
    """Raises ModelError where there is none, or one that the exact products do not allow."""
    found = metadata.get("shape")
    shape = Shape(*found) if isinstance(found, list) and list(map(type, found)) == [int, int] else None
    if shape is None or not shape.is_supported:
        raise ModelError(
            f"{source}: networks of the shape {found}; this program runs widths that are multiples of {WIDTH_UNIT} up"
            f" to {LARGEST_WIDTH}, with 1 to {LARGEST_DEPTH} blocks: the file is damaged, or needs a newer ddpmcodec"
        )
    return shape


def _networks(tensors: Tensors, shape: Shape) -> tuple[Any, ...]:
    def part(prefix: str) -> dict[str, NDArray[Any]]:
        return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

    return tuple(network_of(part(f"band{k}."), shape) for k in range(BAND_KINDS))


def _answer(network: Any) -> str:
    """sha256 of the outputs for seeded inputs (numpy's Philox 4x64), in three situations."""
    raw = np.random.Philox(key=1).random_raw(ANSWER_ROWS * INPUTS).reshape(ANSWER_ROWS, INPUTS)
    rows = (raw % 256).astype(np.uint8)
    digest = hashlib.sha256()
    for situation in (0, SITUATIONS // 2, SITUATIONS - 1):
        digest.update(outputs_of(network, situation, rows).astype("<i4").tobytes())
    return digest.hexdigest()


def _check(tensors: Tensors, shape: Shape, source: str) -> None:
    for key, (dtype, size) in layout(shape).items():
        found = tensors.get(key)
        if found is None or found.dtype != dtype or found.shape != size:
            what = "nothing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise ModelError(f"{source}: {key} must be {dtype} {list(size)}, found {what}; export the model again")
        if dtype == np.float32 and not (np.abs(found) <= LARGEST_NUMBER).all():
            raise ModelError(f"{source}: {key} holds numbers beyond {LARGEST_NUMBER}; export the model again")
    bound = np.iinfo(np.int32).max >> 2
    if np.abs(tensors["adaptation"].astype(np.int64)).max() > bound:
        raise ModelError(f"{source}: adaptation holds numbers beyond {bound}; export the model again")


def _denoiser(tensors: Tensors, source: str) -> Tensors:
    """The tensors of the network that previews are denoised by, if any. Raises ModelError where they make none."""
    found = {key.removeprefix("denoiser."): value for key, value in tensors.items() if key.startswith("denoiser.")}
    if found:
        from ddpmcodec.networks.reconstruction import denoiser_of

        for key, value in found.items():
            if value.dtype != np.float32 or not (np.abs(value) <= LARGEST_NUMBER).all():
                raise ModelError(
                    f"{source}: denoiser.{key} must hold float32 numbers up to {LARGEST_NUMBER}; export the model again"
                )
        try:
            denoiser_of(found)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ModelError(f"{source}: the tensors of its denoiser do not fit; export the model again") from error
    return found


def load_model(source: str | Path) -> ContextModel:
    """An embedded model by name, or a file. Raises ModelError."""
    if isinstance(source, str) and source in models.names():
        return _embedded(source)
    return parse(read(source), str(source))


def read(source: str | Path) -> bytes:
    """The bytes of an embedded model's file, by name, or of another file. Raises ModelError."""
    if isinstance(source, str) and source in models.names():
        return models.read(source)
    path = Path(source)
    try:
        return path.read_bytes()
    except OSError as error:
        embedded = ", ".join(models.names())
        raise ModelError(
            f"{path}: no model of that name, and no file ({error.strerror}); embedded models: {embedded}"
        ) from error


@cache
def _embedded(name: str) -> ContextModel:
    return parse(read(name), name)


def default_model(pixels: int) -> ContextModel:
    """The embedded model for an image of so many pixels."""
    return _embedded(models.default_name(pixels))


def find_model(model_id: bytes) -> ContextModel:
    """The embedded model whose id starts with `model_id`. Raises ModelError naming the ids there are."""
    known = models.ids()
    for name, digest in known.items():
        if digest.startswith(model_id):
            return _embedded(name)
    embedded = ", ".join(f"{digest[: len(model_id)].hex()} ({name})" for name, digest in known.items())
    raise ModelError(
        f"the file was written with model {model_id.hex()}, and the embedded models are {embedded or 'none'}:"
        " decode with the model that wrote it (model=PATH)"
    )
