"""A block of an archive: images in runs of one size, each of which is a rANS stream.

The context model codes a run as .ddpm files are coded, but all of its images into one stream: weights learn from all of
them together where a run has pixels enough. An image is decoded with its run, and without the others. The alpha planes
of a run are one more stream of images of grey levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec._native import MAX_RUN_PIXELS, WORD_BYTES
from ddpmcodec.codec import passes
from ddpmcodec.codec.decoding import run_batch
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import Progress, reporting
from ddpmcodec.content import Part
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError, without_traceback
from ddpmcodec.format.block import Block, BlockCoding, Run
from ddpmcodec.format.sections import pack_alpha
from ddpmcodec.format.streams import pack_state, stream_check
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import run_all, thread_count

if TYPE_CHECKING:
    from ddpmcodec.paper.gaussian_model import GaussianModel
    from ddpmcodec.paper.paper_denoiser import PaperDenoiser

Pixels = NDArray[np.uint8]
Shape = tuple[int, int, int]  # height, width, channels
LatentSource: TypeAlias = "GaussianModel | PaperDenoiser | str | Path | None"  # of a model for bits back
QUICK = Coding(effort=1, levels=0)  # of trials
UNLIKELY_REPEATS = 0.2  # share of pixels that equal the one to the left: of photographs up to 0.41
CLEARLY_FEWER = 0.95  # share of bytes with repeats: of photographs 0.998 or more
TRIED_IMAGES = 64  # of a block: coded with and without repeats
CUT = "the archive ends inside a block"
DAMAGED = "a block decodes to other images than were encoded: the data is damaged"


class EncodedRuns(NamedTuple):
    """The coded images of a block. runs: in decoding order. streams: as in `format.ddpma.Parts`."""

    runs: tuple[Run, ...]
    streams: tuple[bytes, ...]


class EncodedAlphas(NamedTuple):
    """The alpha planes of a block. runs: with what they say of alpha. sections, streams: of images and runs, as in
    `format.ddpma.Parts`. repeats: streams are coded by repeats."""

    runs: list[Run]
    sections: list[bytes]
    streams: list[bytes]
    repeats: bool = False


class DecodedRuns(NamedTuple):
    """The runs that were wanted, by number. runs: the images of each, uint8 [N, H, W, C], or why they are lost. fault:
    what is wrong though no image is lost by it."""

    runs: dict[int, Pixels | FormatError]
    fault: FormatError | None = None


class BlockDecoder(Protocol):
    """Decodes blocks that are coded alike."""

    def decode(self, block: Block, streams: Sequence[Part], wanted: Sequence[int]) -> DecodedRuns:
        """Decodes runs of a block. wanted: their numbers, one at least, in order. streams: as far as they are there."""


class LatentCoder(Protocol):
    """Codes blocks by bits back (`archive.latents`)."""

    def coding(self, context: BlockCoding) -> BlockCoding:
        """What the archive says of such a block. context: how the images are coded that are initial bits."""

    def encode_block(self, images: Sequence[Pixels], context: ContextCoder) -> tuple[EncodedRuns, BlockDecoder]:
        """What `blocks.encode_block` returns, and a decoder for it."""


class ContextCoder(NamedTuple):
    """Codes images of one size together, by the context model."""

    model: ContextModel
    coding: Coding
    progress: Progress | None = None
    alpha_repeats: bool = False

    def encoded(self, pixels: Pixels) -> _native.Pass:
        """A pass that has coded images uint8 [N, H, W, C] for one stream."""
        coder = self._pass(pixels.shape)
        coder.encode(np.ascontiguousarray(pixels))
        self._run(coder, pixels.shape)
        return coder

    def decoded(self, state: int, words: NDArray[np.uint32], shape: tuple[int, int, int, int]) -> _native.Pass:
        """A pass that has decoded images [N, H, W, C] from a stack, as far as the words go."""
        coder = self._pass(shape)
        coder.decode([state], [words])
        self._run(coder, shape)
        return coder

    def batch(self, shape: tuple[int, int, int, int]) -> _native.Batch:
        """Return a decoder of images [N, H, W, C] that share a stream."""
        networks = self.model.networks(self.coding.effort, self.coding.levels)
        return _native.Batch(
            networks, self.coding.levels, shape, is_shared=True, repeats=self.coding.repeats, threads=thread_count()
        )

    def decode(self, block: Block, streams: Sequence[Part], wanted: Sequence[int]) -> DecodedRuns:
        """As a `BlockDecoder` does; no other run is decoded."""
        ranges = run_ranges(block)

        def attempt(number: int) -> Pixels | FormatError:
            return _attempt(streams[number], block.runs[number], block.entries[ranges[number].start].shape, self)

        return DecodedRuns(dict(zip(wanted, run_all(attempt, wanted), strict=True)))

    def decode_alphas(
        self, block: Block, streams: Sequence[Part], wanted: Sequence[int]
    ) -> Mapping[int, Pixels | FormatError]:
        """Return the alpha planes, uint8 [H, W], that runs of a block code, or why they are lost, by the position of
        the image.

        Parameters:
            streams: the alpha streams of the block.
            wanted: numbers of runs.
        """
        coder, runs = self.of_alpha(), [(number, run) for number in wanted if (run := block.runs[number].alpha)]

        def attempt(number: int, run: Run) -> dict[int, Pixels | FormatError]:
            positions = block.alphas_of(number)
            height, width, _ = block.entries[positions[0]].shape
            found = _attempt(streams[number], run, (height, width, 1), coder)
            planes = [found] * len(positions) if isinstance(found, FormatError) else found[..., 0]
            return dict(zip(positions, planes, strict=True))

        return {p: plane for planes in run_all(lambda pair: attempt(*pair), runs) for p, plane in planes.items()}

    def of_alpha(self) -> ContextCoder:
        """Return the coder of alpha planes of images that this one codes."""
        return ContextCoder(self.model, Coding(self.coding.effort, 0, self.alpha_repeats))

    def _pass(self, shape: tuple[int, ...]) -> _native.Pass:
        return passes.new_pass(self.model, self.coding, shape, shared=True)

    def _run(self, coder: _native.Pass, shape: tuple[int, ...]) -> None:
        passes.run(coder, shape, self.coding, None, reporting(self.progress, None))


def have_repeats(images: Sequence[Pixels], coder: ContextCoder) -> bool:
    """Return whether images uint8 [H, W, C] are to be coded by repeats. A quick trial of some images decides, unless
    they are unlike graphics."""
    if not images or np.mean([_equal_to_left(image) for image in images]) < UNLIKELY_REPEATS:
        return False
    pixels = np.stack(alike(images, 0)[:TRIED_IMAGES])
    without, by_repeats = (
        len(encode_run(pixels, ContextCoder(coder.model, QUICK._replace(repeats=repeats)))[1])
        for repeats in (False, True)
    )
    return by_repeats < CLEARLY_FEWER * without


def _equal_to_left(image: Pixels) -> float:
    left, _ = _native.predicted_shares(np.ascontiguousarray(image))
    return left


def encode_block(images: Sequence[Pixels], coder: ContextCoder) -> EncodedRuns:
    """The runs of images uint8 [H, W, C], of which neighbours of one size are coded together."""
    groups, start = list[Pixels](), 0
    while start < len(images):
        groups.append(np.stack(alike(images, start)))
        start += len(groups[-1])
    encoded_runs = run_all(lambda pixels: encode_run(pixels, coder), groups)
    return EncodedRuns(tuple(run for run, _ in encoded_runs), tuple(stream for _, stream in encoded_runs))


def alike(images: Sequence[Pixels], start: int, most: int = MAX_RUN_PIXELS) -> list[Pixels]:
    """The images from number `start` on that are of one size, as many as a run may have."""
    height, width, _ = shape = images[start].shape
    batch = images[start : start + max(1, most // (height * width))]
    return list(batch[: next((i for i, image in enumerate(batch) if image.shape != shape), len(batch))])


def encode_run(pixels: Pixels, coder: ContextCoder) -> tuple[Run, bytes]:
    """What a header says of the stream of images uint8 [N, H, W, C], and the stream."""
    state, words = coder.encoded(pixels).stream(0, stream_check(pixels.tobytes()))
    packed, joined = pack_state(state), b"".join(words)
    return Run(len(pixels), state_bytes=len(packed), words=len(joined) // WORD_BYTES), packed + joined


def deflated_alphas(block: Block, planes: Mapping[int, Pixels]) -> EncodedAlphas:
    """Deflate the alpha planes [H, W] of a block, by the position of the image."""
    deflated = dict(zip(planes, run_all(pack_alpha, [*planes.values()]), strict=True))
    sections = [deflated.get(position, b"") for position in range(len(block.entries))]
    return EncodedAlphas([*block.runs], sections, [b""] * len(block.runs))


def encode_alphas(block: Block, planes: Mapping[int, Pixels], coder: ContextCoder) -> EncodedAlphas:
    """Encode the alpha planes [H, W] of a block, by the position of the image: those of a run as one stream, or
    deflated if that is smaller."""
    runs, sections, streams, _ = deflated_alphas(block, planes)
    numbers = [number for number in range(len(runs)) if block.alphas_of(number)]
    images = [np.stack([planes[position] for position in block.alphas_of(number)])[..., None] for number in numbers]
    coder = coder._replace(coding=coder.coding._replace(levels=0), progress=None)
    repeats = have_repeats([image for run in images for image in run], coder)
    coder = coder._replace(alpha_repeats=repeats).of_alpha()
    for number, (run, stream) in zip(numbers, run_all(lambda run: encode_run(run, coder), images), strict=True):
        positions = block.alphas_of(number)
        if len(stream) < sum(len(sections[position]) for position in positions):
            runs[number], streams[number] = replace(runs[number], alpha=run), stream
            for position in positions:
                sections[position] = b""
    return EncodedAlphas(runs, sections, streams, repeats and any(streams))


def _attempt(data: Part, run: Run, shape: Shape, coder: ContextCoder) -> Pixels | FormatError:
    try:
        return decode_run(data, run, shape, coder)
    except FormatError as error:
        return without_traceback(error)


def decode_run(data: Part, run: Run, shape: Shape, coder: ContextCoder) -> Pixels:
    """Images uint8 [N, H, W, C] of a run. Raises FormatError where its stream is cut or damaged."""
    if len(data) < run.length:
        raise TruncatedError(CUT)
    batch = coder.batch((run.images, *shape))
    batch.add(bytes(data), run.state_bytes, b"")
    run_batch(batch, coder.progress)
    pixels: Pixels | None = batch.image(0)
    if pixels is None:
        raise ChecksumError(DAMAGED)
    return pixels


def run_ranges(block: Block) -> list[range]:
    """For each run, the range of its images among the entries of the block."""
    ranges, start = list[range](), 0
    for run in block.runs:
        ranges.append(range(start, start + run.images))
        start += run.images
    return ranges
