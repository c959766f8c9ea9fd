"""What a context model learns from: crops of training images, and images to evaluate on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec.training.data import Mixture, Pixels

SOURCE_PIXELS = 16  # of images that positions are taken from at a time, for each of a step's
GREY_SHARE, LUMA = 0.03, (299, 587, 114)  # of images that are made grey; weights in 1/1000
HELD_OUT_SIDE, HELD_OUT_IMAGES, HELD_OUT_PIXELS = 128, 300, 1 << 20


class Source:
    """Batches of training images uint8 [N, H, W, 3], some of them grey. What it gives depends on the seed and on
    `number` alone: a resumed run goes on with the images that come next."""

    def __init__(self, crops: Mixture, seed: int, pixels: int) -> None:
        self.crops, self.seed, self.number = crops, seed, 0
        self.count = max(1, pixels // crops.largest**2)

    def __call__(self) -> NDArray[np.uint8]:
        self.number += 1
        return self.batch(self.number - 1)

    def batch(self, number: int) -> NDArray[np.uint8]:
        batch = self.crops.batch(number, self.count).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        grey = np.random.default_rng((self.seed, 2**33, number)).random(len(batch)) < GREY_SHARE
        batch[grey] = (batch[grey].astype(np.int32) @ LUMA // sum(LUMA))[..., None]
        return batch


class Ahead:
    """The batches of a source, made by threads before they are asked for: a GPU does not wait for crops."""

    def __init__(self, source: Source, threads: int) -> None:
        self.source, self.number, self.threads = source, source.number, threads
        self.executor = ThreadPoolExecutor(threads)
        self.coming: dict[int, Future[NDArray[np.uint8]]] = {}

    def __call__(self) -> NDArray[np.uint8]:
        for number in range(self.number, self.number + self.threads):
            if number not in self.coming:
                self.coming[number] = self.executor.submit(self.source.batch, number)
        self.number += 1
        return self.coming.pop(self.number - 1).result()


def held_out_batches(images: Sequence[Pixels]) -> list[NDArray[np.uint8]]:
    """A square of each image, those of one size in one batch; as many as are quickly evaluated."""
    rng, batches, pixels = np.random.default_rng(5), defaultdict[int, list[Pixels]](list), 0
    for image in images[:HELD_OUT_IMAGES]:
        side = min(HELD_OUT_SIDE, *image.shape[:2])
        top, left = (int(rng.integers(full - side + 1)) for full in image.shape[:2])
        batches[side].append(image[top : top + side, left : left + side])
        pixels += side * side
        if pixels >= HELD_OUT_PIXELS:
            break
    return [np.stack(batch) for batch in batches.values()]
