"""A block of an archive: images on one ANS stack, in runs of one size that are coded together.

Images stand in decoding order. Encoders push the last run first, so that decoders pop the first run first, and need to
go no further than the image that is wanted. The context model codes a run as .ddpm files are coded, all of its
images into one stream: nothing is popped, and the stack grows by the code length alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.stack import Stack, Words
from ddpmcodec.ans.stream import PRECISION
from ddpmcodec.channels import progressive
from ddpmcodec.channels.progressive import Segment, Symbols
from ddpmcodec.codec.batching import Progress
from ddpmcodec.codec.efforts import EFFORTS
from ddpmcodec.errors import ChecksumError, ModelError, TruncatedError
from ddpmcodec.format.block import MAX_RUN_PIXELS, Block, Run
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.parallel import run_all
from ddpmcodec.processor import require_rounding_to_nearest
from ddpmcodec.transform import color

if TYPE_CHECKING:
    from ddpmcodec.networks.ddpm import PaperDenoiser
    from ddpmcodec.networks.gaussian import GaussianModel

Pixels = NDArray[np.uint8]
Shape = tuple[int, int, int]  # height, width, channels
LatentSource: TypeAlias = "GaussianModel | PaperDenoiser | str | Path | None"  # of a model for bits back


class RunDecoder(Protocol):
    """Takes runs off a stack."""

    def pop_run(self, stack: Stack, run: Run, shape: Shape) -> Pixels:
        """Images uint8 [N, H, W, C]. Raises FormatError where the data is damaged."""


class Encoded(NamedTuple):
    """runs: in decoding order."""

    runs: tuple[Run, ...]
    words: Words


def checksum(pixels: Pixels) -> int:
    """CRC-32 of the pixels of a run."""
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())


def alike(images: Sequence[Pixels], start: int, most: int = MAX_RUN_PIXELS) -> list[Pixels]:
    """The images from a place on that are of one size, as many as a run may have."""
    height, width, _ = shape = images[start].shape
    batch = images[start : start + max(1, most // (height * width))]
    return list(batch[: next((i for i, image in enumerate(batch) if image.shape != shape), len(batch))])


class ContextCoder(NamedTuple):
    """Pushes and pops images of one size under the context model."""

    model: ContextModel
    effort: int
    progress: Progress | None = None

    def symbols(self, pixels: Pixels) -> Symbols:
        """Of images uint8 [N, H, W, C], for one stream. Raises ModelError where the processor rounds otherwise."""
        require_rounding_to_nearest()
        schedule, stream = EFFORTS[self.effort], np.zeros(len(pixels), np.int64)
        on_segment, planes = self._on_segment(pixels.shape), color.to_ycocg(pixels)
        return progressive.encode(planes, self.model, schedule, stream, True, on_segment=on_segment)[0]

    def push(self, stack: Stack, pixels: Pixels) -> None:
        push_symbols(stack, self.symbols(pixels))

    def pop(self, stack: Stack, shape: tuple[int, int, int, int]) -> Pixels:
        """Images [N, H, W, C]; the stack is then what it was before. Raises TruncatedError or ChecksumError, and
        ModelError where the processor rounds otherwise."""
        require_rounding_to_nearest()
        schedule, words = EFFORTS[self.effort], stack.words[: stack.size][::-1]
        coder = progressive.decoder(np.zeros(shape[0], np.int64), [int(stack.head)], [words])
        on_segment = self._on_segment(shape)
        decoded = progressive.decode(coder, shape, self.model, schedule, True, on_segment=on_segment)
        if coder.ended.any():
            raise TruncatedError("the ANS stack ends inside an image; get the rest of the data")
        pixels = color.from_ycocg(decoded.state.planes())
        if pixels.min() < 0 or pixels.max() > 255:
            raise ChecksumError("a block decodes to what is no image: the data is damaged")
        stack.commit(int(coder.state[0]), stack.size - int(coder.position[0]))
        return pixels.astype(np.uint8)

    def pop_run(self, stack: Stack, run: Run, shape: Shape) -> Pixels:
        return self.pop(stack, (run.images, *shape))

    def _on_segment(self, shape: tuple[int, ...]) -> Callable[[Segment, float], object] | None:
        """Reports the progress of images [N, H, W, C] in pixels."""
        if self.progress is None:
            return None
        images, height, width, _ = shape
        progress, parts = self.progress, progressive.segments(EFFORTS[self.effort], height, width)
        share = images * height * width / max(sum(band.positions for part in parts for band in part.bands), 1)
        return lambda segment, _: progress(share * sum(band.positions for band in segment.bands))


def push_symbols(stack: Stack, symbols: Symbols) -> None:
    stack.push(symbols.starts, symbols.freqs, PRECISION)


def encode_block(images: Sequence[Pixels], coder: ContextCoder) -> Encoded:
    """A stack of all images, uint8 [H, W, C], in decoding order; neighbours of one size are coded together."""
    groups, start = list[Pixels](), 0
    while start < len(images):
        groups.append(np.stack(alike(images, start)))
        start += len(groups[-1])
    stack = Stack.empty()
    for symbols in reversed(run_all(coder.symbols, groups)):
        push_symbols(stack, symbols)
    return Encoded(tuple(Run(len(pixels), checksum(pixels)) for pixels in groups), stack.to_words())


def decode_block(words: Words, block: Block, decoder: RunDecoder) -> Iterator[Pixels]:
    """The images of each run, uint8 [N, H, W, C], in decoding order.

    Raises FormatError (TruncatedError, ChecksumError) where the words end or turn out to be damaged.
    """
    stack, position = Stack.from_words(words), 0
    for run in block.runs:
        pixels = decoder.pop_run(stack, run, block.entries[position].shape)
        position += run.images
        if checksum(pixels) != run.check:
            raise ChecksumError("a block decodes to other images than were encoded: the data is damaged")
        yield pixels
    if not stack.is_empty():
        raise ChecksumError("words follow the last image of a block: the data is damaged")


def refuse_another(found: bytes, expected: bytes) -> None:
    """Raises ModelError unless a model's id begins with the archive's."""
    if not found.startswith(expected):
        raise ModelError(
            f"the archive was written with model {expected.hex()}, and the given model is"
            f" {found[: len(expected)].hex()}: decode with the model that wrote it (model=PATH)"
        )
