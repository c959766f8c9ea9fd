"""Sizes of whole files without loss, each decoded and compared, and what the model itself needs for the same images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec import archive as archives
from ddpmcodec import codec
from ddpmcodec.ans.logistic import cost_bits
from ddpmcodec.ans.stream import encode_reverse
from ddpmcodec.archive_network import find_network
from ddpmcodec.bound import evaluate
from ddpmcodec.channels import uniform
from ddpmcodec.channels.bits_back import PRIOR_STD
from ddpmcodec.container import PROGRESSIVE, split
from ddpmcodec.errors import ChecksumError, ModelError
from ddpmcodec.networks import Model, default_model, load_model
from ddpmcodec.networks.gaussian import ExactDenoiser

from ._data import Pixels
from ._peers import Peer
from ._tasks import Found
from ._timing import replaced

Costs = dict[bytes, float]  # bits that the symbols of a stream cost, by the stream's bytes


def load_model_with(source: str | None, efforts: Iterable[int], images: Sequence[Pixels]) -> Model:
    """The model (None: the embedded one for most of the images), which must have these efforts: a run of hours should
    not end for want of the last one. Raises ModelError."""
    model = load_model(source) if source else default_model(int(np.median([i.shape[0] * i.shape[1] for i in images])))
    if missing := sorted(set(efforts) - set(model.presets)):
        known = ", ".join(map(str, sorted(model.presets)))
        raise ModelError(f"model {model.name!r} has no effort {missing[0]}: it has {known}")
    return model


def name_of(effort: int) -> str:
    """What our files at an effort are called in results."""
    return "ddpmcodec progressive" if effort == PROGRESSIVE else f"ddpmcodec effort {effort}"


@contextmanager
def code_lengths() -> Iterator[Costs]:
    """Bits that the symbols of every stream cost, in the coder's own integers, for the streams written inside."""
    found: Costs = {}

    def encode(starts: NDArray[np.uint32], freqs: NDArray[np.uint32], check: int) -> bytes:
        stream = encode_reverse(starts, freqs, check)
        found[stream] = float(cost_bits(freqs).sum())
        return stream

    with replaced(uniform, "encode_reverse", encode):
        yield found


def files(images: Sequence[Pixels], model: Model, effort: int, costs: Costs) -> Found:
    """A file for each image: {bytes, code_length}, the latter in bits. To be called inside `code_lengths`."""
    datas = codec.encode_many(images, effort=effort, model=model, verify=False)
    _compare(images, map(np.asarray, codec.decode_many(datas, model=model)), f"effort {effort}")
    return {
        "bytes": [len(data) for data in datas],
        "code_length": [sum(costs[chunk] for chunk in split(data).chunks) for data in datas],
    }


def peer_files(images: Sequence[Pixels], peer: Peer) -> Found:
    """A file for each image: {bytes}."""
    datas = [peer.encode(image) for image in images]
    _compare(images, map(peer.decode, datas), peer.name)
    return {"bytes": [len(data) for data in datas]}


def archive(images: Sequence[Pixels], model: Model, *, effort: int = 7, steps: int | None = None) -> Found:
    """One archive of all images, at an effort or, by bits back, at so many noise levels of the model's choice: {bytes,
    images_on_stacks}."""
    named = {str(number): image for number, image in enumerate(images)}
    data = archives.create(named.items(), effort=effort, levels=steps, model=model, verify=False)
    back = dict(archives.extract(data, model=model))
    _compare(images, (np.asarray(back[name]) for name in named), "an archive")
    stacked = sum(entry.stacked for entry in archives.read_index(data).entries)
    return {"bytes": [len(data)], "images_on_stacks": [stacked]}


def code_lengths_of(images: Sequence[Pixels], model: Model, effort: int) -> Found:
    """What the uniform channel's symbols of each image cost, in the coder's own integers: {bound}, in bits/dim."""
    found: list[float] = []
    for _, alike in groupby(images, key=np.shape):  # of one size
        pixels = np.stack(list(alike))
        costs = np.zeros(len(pixels))
        for symbols, _ in uniform.encode_symbols(pixels, model, model.presets[effort], group=0):
            costs += [cost_bits(freqs).sum() for _, freqs in symbols]
        found += (costs / pixels[0].size).tolist()
    return {"bound": found}


def bounds(images: Sequence[Pixels], model: Model, steps: int, seed: int) -> Found:
    """The variational bound of each image on the noise levels of an archive: {bound}, in bits/dim."""
    levels = np.array([rung.s for rung in find_network(model).chain(steps)])
    noise, found = torch.Generator().manual_seed(seed), []
    for _, alike in groupby(images, key=np.shape):  # of one size
        pixels = torch.from_numpy(np.stack(list(alike))).permute(0, 3, 1, 2)
        found += evaluate(ExactDenoiser(model), pixels, levels, noise, prior_std=PRIOR_STD).bits.sum(0).tolist()
    return {"bound": found}


def _compare(images: Sequence[Pixels], found: Iterable[NDArray[np.uint8]], what: str) -> None:
    """Raises ChecksumError unless all images came back."""
    for number, (image, back) in enumerate(zip(images, found, strict=True), start=1):
        if not np.array_equal(image, back):
            raise ChecksumError(f"{what}: image {number} of {len(images)} did not come back as it was: a defect")
