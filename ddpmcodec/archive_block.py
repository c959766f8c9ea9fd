"""One block of an archive: images on one ANS stack, all by the uniform channel, or all by bits back.

Bits back has to be lent bits, and the stack begins empty: the first images go on it as the bytes of their .ddpm files.
As soon as it holds enough, a batch of one image is coded by bits back; every batch makes the stack grow, and the next
one larger, until batches have the size that the network likes. No random bits enter. A decoder takes the runs off in
reverse.

Under all of it lie 31 bits of the stack's first head: a check of all the block's pixels that costs nothing.
"""

from __future__ import annotations

import zlib
from binascii import crc_hqx
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import batches, codec
from ddpmcodec.ans.stack import Stack, Words
from ddpmcodec.ans.stream import STATE_LOW
from ddpmcodec.archive_format import MAX_BATCH_PIXELS, Run, Size
from ddpmcodec.channels import bits_back, stacked
from ddpmcodec.channels.bits_back import Pixels, Predictor, Rung
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError
from ddpmcodec.networks.model import Model
from ddpmcodec.schedule import Step

RAW_BITS = 16  # of a file, that go on the stack at a time


class Coder(NamedTuple):
    """What a block is coded with: by bits back under `predictor`, or, where the chain is empty, with `model`.

    files: the model of .ddpm files, or None: the embedded ones. effort: of the uniform channel.
    """

    predictor: Predictor
    chain: Sequence[Rung]
    files: Model | None
    effort: int = 0
    progress: batches.Progress | None = None
    model: Model | None = None

    def uniform(self) -> tuple[Model, Sequence[Step]]:
        """The model of the uniform channel on stacks, and its steps. Raises ModelError."""
        assert self.model is not None
        steps = batches.steps_of(self.model, self.effort)
        return batches.watched(self.model, len(steps), self.progress), steps


class Encoded(NamedTuple):
    runs: tuple[Run, ...]
    words: Words


def image_check(pixels: Pixels) -> int:
    """CRC-16/CCITT of an image's colour planes, which the index of an archive keeps."""
    return crc_hqx(pixels.tobytes(), 0xFFFF)


def encode_block(images: Sequence[Pixels], coder: Coder) -> Encoded:
    """Push all images, uint8 [H, W, 3], those of one size side by side."""
    stack, runs, position = _first_stack(_block_check(map(_checksum, images))), [], 0
    while position < len(images):
        batch = _alike(images, position)
        if not coder.chain:
            stacked.encode(stack, np.stack(batch), *coder.uniform())
            run = Run(len(batch))
        elif (pushed := _push_lent(stack, batch, coder)) is None:
            data = _encode_file(images[position], coder)
            push_bytes(stack, data)
            run = Run(1, len(data))
        else:
            stack, run = pushed
        runs.append(run)
        position += run.images
    return Encoded(tuple(runs), stack.to_words())


def _encode_file(image: Pixels, coder: Coder) -> bytes:
    return codec.encode(image, effort=coder.effort, model=coder.files, verify=False, progress=coder.progress)


def _alike(images: Sequence[Pixels], position: int) -> list[Pixels]:
    """The images from a position on that are of one size, as many as a batch may have."""
    shape = images[position].shape
    most = max(1, MAX_BATCH_PIXELS // (shape[0] * shape[1]))
    batch = list(images[position : position + most])
    return batch[: next((i for i, image in enumerate(batch) if image.shape != shape), len(batch))]


def _push_lent(stack: Stack, batch: Sequence[Pixels], coder: Coder) -> tuple[Stack, Run] | None:
    """The stack with as much of the batch on it as it can lend bits to; None, and it is as it was: it can to none."""
    lendable = batch[: int(stack.bits() / (bits_back.bits_lent(coder.chain) * batch[0].size))]
    trial = Stack.from_words(stack.to_words())
    try:
        if lendable:
            bits_back.encode(trial, np.stack(lendable), coder.predictor, coder.chain)
    except TruncatedError:
        return None
    return (trial, Run(len(lendable))) if lendable else None


def decode_block(words: Words, runs: Sequence[Run], sizes: Sequence[Size], coder: Coder) -> Iterator[list[Pixels]]:
    """The images of each run, the last run first. sizes: (width, height) of every image of the block in coding order.

    Raises FormatError (TruncatedError, ChecksumError) where the words end or turn out to be damaged; what comes after
    damage is garbage that need not be found out at once: compare each image with its check.
    """
    stack, end = Stack.from_words(words), len(sizes)
    checks: list[int] = []
    for run in reversed(runs):
        width, height = sizes[end - 1]
        try:
            images = _pop_run(stack, run, (height, width, 3), coder)
        except ValueError as error:
            raise ChecksumError(f"the latents are not those of an image ({error}): the data is damaged") from error
        end -= run.images
        checks[:0] = map(_checksum, images)
        yield images
    if stack.size or int(stack.head) != STATE_LOW + _block_check(checks):
        raise ChecksumError("the images of a block do not have their common check: the data is damaged")


def _pop_run(stack: Stack, run: Run, shape: tuple[int, int, int], coder: Coder) -> list[Pixels]:
    if not coder.chain:
        return list(stacked.decode(stack, (run.images, *shape), *coder.uniform()))
    if not run.file_bytes:
        return list(bits_back.decode(stack, (run.images, *shape), coder.predictor, coder.chain))
    data = pop_bytes(stack, run.file_bytes)
    image = codec.decode_details(data, model=coder.files, progress=coder.progress).planes.colour
    if image.shape != shape:
        raise FormatError(f"an image of shape {image.shape} stands in the place of one of {shape}: the data is damaged")
    return [image]


def push_bytes(stack: Stack, data: bytes) -> None:
    """Bytes as they are; an odd number is filled up with a zero."""
    stack.push_uniform(np.frombuffer(data + bytes(len(data) % 2), "<u2"), RAW_BITS)


def pop_bytes(stack: Stack, count: int) -> bytes:
    """The inverse of `push_bytes`. Raises TruncatedError when the stack holds fewer."""
    if 8 * count > stack.bits() + 32:  # before anything is allocated
        raise TruncatedError(f"the stack ends before a file of {count} bytes: the data is damaged or cut")
    return stack.pop_uniform(-(-count // 2), RAW_BITS).astype("<u2").tobytes()[:count]


def _first_stack(check: int) -> Stack:
    return Stack.from_words(np.array([0, STATE_LOW + check], np.uint32))


def _checksum(image: NDArray[np.uint8]) -> int:
    return zlib.crc32(image.tobytes())


def _block_check(checksums: Iterable[int]) -> int:
    """31 bits of a checksum of checksums, in coding order."""
    return zlib.crc32(b"".join(check.to_bytes(4, "little") for check in checksums)) & (STATE_LOW - 1)
