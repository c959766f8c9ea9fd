"""From a training run to a model file: integers, what online adaptation begins with, and the denoiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from ddpmcodec.channels import progressive
from ddpmcodec.coding_schedule import SCHEDULES
from ddpmcodec.networks.context import adaptation
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.model_file import pack, parse
from ddpmcodec.networks.model_file import described
from ddpmcodec.training.context import LatentContext
from ddpmcodec.transform import color


def tensors_of(networks: Sequence[LatentContext]) -> dict[str, NDArray[Any]]:
    """The tensors of a model file that has not seen an image adapt."""
    found: dict[str, NDArray[Any]] = {"adaptation": adaptation.no_initial()}
    for k, network in enumerate(networks):
        found |= {f"band{k}.{key}": value.numpy() for key, value in network.exported().items()}
    return found


def learned_initial(model: ContextModel, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.int32]:
    """What online adaptation ends with, the mean over images uint8 [H, W, 3] that each began with the mean of the
    earlier ones."""
    total, state = np.zeros(model.initial.shape), model.initial
    for count, image in enumerate(images, start=1):
        learned = state
        for schedule in SCHEDULES.values():  # a step that several of them have learns in each
            learned = _after(ContextModel(model.name, model.id, model.networks, learned), schedule, image)
        total += learned
        state = np.rint(total / count).astype(np.int32)
    return state


def _after(model: ContextModel, schedule: Any, image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The learner of one image after a schedule; kinds of other schedules are as at first."""
    planes = color.to_ycocg(image[None])
    coding_pass = progressive.CodingPass(model, schedule, planes.shape, True)
    progressive.encode_with(coding_pass, planes, np.zeros(1, np.int64))
    learned: NDArray[np.int32] = adaptation.learned(coding_pass.learner)[0].astype(np.int32)
    return learned


def export(
    networks: Sequence[LatentContext],
    images: Sequence[NDArray[np.uint8]],
    name: str,
    denoiser: Mapping[str, NDArray[Any]] | None = None,
    training: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of a model file. images: training images that teach what adaptation begins with, the larger the
    better. training: facts about the making, kept in the metadata."""
    tensors = tensors_of(networks)
    first = parse(pack(tensors, name), name)
    tensors["adaptation"] = learned_initial(first, images)
    return pack(_with(tensors, denoiser or {}), name, training)


def with_denoiser(data: bytes, denoiser: Mapping[str, NDArray[Any]], source: str) -> bytes:
    """A model file with another denoiser. source: what errors call it. Raises ModelError."""
    metadata = described(data, source)
    return pack(_with(load(data), denoiser), metadata["name"], metadata["training"])


def _with(tensors: Mapping[str, NDArray[Any]], denoiser: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    rest = {key: value for key, value in tensors.items() if not key.startswith("denoiser.")}
    return rest | {f"denoiser.{key}": value for key, value in denoiser.items()}
