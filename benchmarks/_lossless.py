"""Sizes of whole files without loss, each decoded and compared, and the ideal code length of the same images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec import codec
from ddpmcodec.errors import ChecksumError
from ddpmcodec.networks.context.model import ContextModel

from ._baselines import Baseline
from ._data import Pixels
from ._ours import CodeLength
from ._tasks import Found


def files(images: Sequence[Pixels], model: ContextModel, effort: int) -> Found:
    """A file for each image: {bytes, ideal_bits, webp}.

    ideal_bits: the ideal code length, the mean over consecutive images of one size, which are coded together; of a file
    that holds a lossless WebP its size. webp: whether it does.
    """
    found: Found = {"bytes": [], "ideal_bits": [], "webp": []}
    for alike in _alike(images):
        length = CodeLength()
        datas = codec.encode_many(alike, effort=effort, model=model, verify=False, report=length)
        compare(alike, map(np.asarray, codec.decode_many(datas, model=model)), f"effort {effort}")
        webp = [is_webp(data) for data in datas]
        found["bytes"] += map(len, datas)
        found["webp"] += webp
        found["ideal_bits"] += _ideal_bits(alike, datas, webp, length, model, effort)
    return found


def _alike(images: Sequence[Pixels]) -> Iterator[list[Pixels]]:
    """Consecutive images of one size."""
    for _, group in groupby(images, key=np.shape):
        yield list(group)


def is_webp(data: bytes) -> bool:
    """Whether a file holds a lossless WebP, because that was smaller."""
    return str(codec.info(data)["coding"]) == "lossless WebP"


def _ideal_bits(
    images: Sequence[Pixels], datas: Sequence[bytes], webp: Sequence[bool], length: CodeLength, model: ContextModel,
    effort: int,
) -> list[float]:  # fmt: skip
    """length: of all images together. The context model may have coded the WebP ones too, in vain: once more, alone."""
    coded = len(webp) - sum(webp)
    bits = length.bits
    for image in (image for image, stored in zip(images, webp, strict=True) if stored and coded):
        in_vain = CodeLength()
        codec.encode(image, effort=effort, model=model, verify=False, report=in_vain)
        bits -= in_vain.bits
    return [8.0 * len(data) if stored else bits / coded for data, stored in zip(datas, webp, strict=True)]


def baseline_files(images: Sequence[Pixels], baseline: Baseline) -> Found:
    """A file for each image: {bytes}."""
    datas = [baseline.encode(image) for image in images]
    compare(images, map(baseline.decode, datas), baseline.name)
    return {"bytes": [len(data) for data in datas]}


def archive(images: Sequence[Pixels], model: ContextModel, effort: int) -> Found:
    """One archive of all images: {bytes}."""
    from ddpmcodec import archive as archives

    named = _numbered(images)
    data = archives.create(named, effort=effort, model=model, verify=False)
    _compare_archive(images, dict(archives.extract(data, model=model)), "an archive")
    return {"bytes": [len(data)]}


def bits_back_archive(images: Sequence[Pixels], levels: int) -> Found:
    """One archive of all images by bits back, through so many noise levels of the embedded Gaussian model: {bytes}."""
    from ddpmcodec import archive as archives

    data = archives.create(_numbered(images), levels=levels, verify=False)
    _compare_archive(images, dict(archives.extract(data)), "an archive by bits back")
    return {"bytes": [len(data)]}


def variational_bound(images: Sequence[Pixels], levels: int, seed: int) -> Found:
    """What the embedded Gaussian model needs for each image at these noise levels, by one draw of the latents:
    {ideal_bits}."""
    from ddpmcodec.archive.bits_back import find_network
    from ddpmcodec.bound import evaluate
    from ddpmcodec.channels.bits_back import PRIOR_STD
    from ddpmcodec.networks.denoisers import find_denoiser

    denoiser, noise = find_denoiser(), torch.Generator().manual_seed(seed)
    chosen = np.array([level.s for level in find_network().hierarchy(levels)])
    found: list[float] = []
    for alike in _alike(images):
        pixels = torch.from_numpy(np.stack(alike)).permute(0, 3, 1, 2)
        bits_per_dim = evaluate(denoiser, pixels, chosen, noise, prior_std=PRIOR_STD).bits.sum(0)
        found += (bits_per_dim * alike[0].size).tolist()
    return {"ideal_bits": found}


def _numbered(images: Sequence[Pixels]) -> list[tuple[str, Pixels]]:
    return [(str(number), image) for number, image in enumerate(images)]


def _compare_archive(images: Sequence[Pixels], found: dict[str, object], what: str) -> None:
    compare(images, (np.asarray(found[name]) for name, _ in _numbered(images)), what)


def compare(images: Sequence[Pixels], found: Iterable[NDArray[np.uint8]], what: str) -> None:
    """Raises ChecksumError unless all images came back."""
    for number, (image, back) in enumerate(zip(images, found, strict=True), start=1):
        if not np.array_equal(image, back):
            raise ChecksumError(f"{what}: image {number} of {len(images)} did not come back as it was: a defect")
