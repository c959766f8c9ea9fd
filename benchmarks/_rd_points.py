"""Points of rate-distortion curves, image by image: real files cut in and after every step, other codecs, the bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import torch

from ddpmcodec import codec
from ddpmcodec.bound import evaluate
from ddpmcodec.errors import ChecksumError
from ddpmcodec.networks import Model
from ddpmcodec.networks.denoiser import Denoiser
from ddpmcodec.networks.denoisers import levels_of

from ._data import Pixels
from ._distortion import distortion
from ._lossy_peers import Sweep
from ._peers import Peer
from ._tasks import Found

Point = list[float | None]  # bytes, squared error, SSIM, MS-SSIM
DIGITS = 6


def previews(images: Sequence[Pixels], model: Model, effort: int, budgets: Sequence[float]) -> Found:
    """{steps, budgets}: for each image the points of its file cut in the middle and at the end of each step, and cut to
    so many bits per pixel; a shorter file is whole. None where a budget does not hold its header.

    Raises ChecksumError where a whole file is not the image.
    """
    found: Found = {"steps": [], "budgets": []}
    for image in images:
        data = codec.encode(image, effort=effort, model=model, verify=False)
        found["steps"].append(list(_cut_by_steps(data, image, model, len(model.presets[effort]))))
        found["budgets"].append([_cut_to(data, image, model, bpp) for bpp in budgets])
    return found


def _cut_by_steps(data: bytes, image: Pixels, model: Model, steps: int) -> Iterator[Point]:
    """After 1/2, 1, 3/2, ... steps: twice as many points as steps."""
    before = int(codec.info(data)["header_bytes"])
    for step in range(1, steps + 1):
        whole = codec.decode_details(data, step=step, model=model)
        middle = (before + whole.bytes_used) // 2
        yield _point(middle, codec.decode_details(data, max_bytes=middle, model=model), image)
        yield _point(whole.bytes_used, whole, image)
        before = whole.bytes_used
    if not np.array_equal(np.asarray(whole.image), image):
        raise ChecksumError("a file does not decode to its image: a defect, please report it with the image")


def _cut_to(data: bytes, image: Pixels, model: Model, bpp: float) -> Point | None:
    size = min(len(data), int(bpp * image[..., 0].size / 8))
    if size < codec.info(data)["header_bytes"]:
        return None
    return _point(size, codec.decode_details(data, max_bytes=size, model=model), image)


def _point(size: int, decoded: codec.Decoded, image: Pixels) -> Point:
    return [size, *map(_rounded, distortion(np.asarray(decoded.image), image))]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def of_sweep(images: Sequence[Pixels], sweep: Sweep) -> Found:
    """{qualities}: for each image the points of a codec at each of its qualities."""
    return {"qualities": [[_of_file(image, peer) for peer in sweep.peers] for image in images]}


def _of_file(image: Pixels, peer: Peer) -> Point:
    data = peer.encode(image)
    return [len(data), *map(_rounded, distortion(peer.decode(data), image))]


def ideal(images: Sequence[Pixels], denoiser: Denoiser, T: int, seed: int) -> Found:
    """{rate, squared_error}: for each image what a receiver of c_T, ..., c_1 has paid, bits/dim, and shows."""
    noise, found = torch.Generator().manual_seed(seed), Found(rate=[], squared_error=[])
    for _, alike in groupby(images, key=np.shape):
        pixels = torch.from_numpy(np.stack(list(alike))).permute(0, 3, 1, 2)
        bound = evaluate(denoiser, pixels, levels_of(denoiser, T), noise)
        found["rate"] += bound.bits.flip(0).cumsum(0)[:-1].T.tolist()
        found["squared_error"] += bound.squared_error.flip(0).T.tolist()
    return found
