"""Codes blocks of an archive by bits back: with a network, at noise levels, all images on one ANS stack.

Bits back pops latents from the stack before it pushes what pays for them, and the stack begins empty. So the first
images go on it by the context model, which takes nothing from it: they are the initial bits. As soon as the stack holds
enough, a batch of one image is coded by bits back; every batch makes the stack grow, and the next one larger, until
batches have the size that the network likes. No random bits enter. A decoder pops the runs in reverse.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ddpmcodec._native import MAX_LATENT_LEVELS, MODEL_ID_BYTES, WORD_BYTES
from ddpmcodec.archive.blocks import (
    CUT,
    DAMAGED,
    ContextCoder,
    DecodedRuns,
    EncodedRuns,
    LatentSource,
    Pixels,
    Shape,
    alike,
    run_ranges,
)
from ddpmcodec.codec.passes import Progress
from ddpmcodec.content import Part
from ddpmcodec.errors import ChecksumError, DdpmError, FormatError, ModelError, TruncatedError, without_traceback
from ddpmcodec.format.block import LEVEL_UNIT, Block, BlockCoding, Run
from ddpmcodec.paper import bits_back, numerics
from ddpmcodec.paper.ans import LOGISTIC_PRECISION, STATE_LOW, Stack
from ddpmcodec.paper.bits_back import LatentLevel, hierarchy
from ddpmcodec.paper.denoisers import find_denoiser, is_embedded, written_with
from ddpmcodec.paper.diffusion import IntegerPrediction, Latents, Predictor, RoundedDenoiser
from ddpmcodec.paper.gaussian_model import GaussianModel
from ddpmcodec.paper.numerics import Description, exact_torch
from ddpmcodec.paper.paper_denoiser import PaperDenoiser
from ddpmcodec.paper.schedule import check_levels

RUN_PIXELS = 1 << 16  # of the images of a run: bounds the memory of a decoder
FINGERPRINT, NETWORK = "fingerprint", "network"  # in a profile, beside what it describes
PROFILE_KEYS = {FINGERPRINT: str, NETWORK: str, "threads": int, "batch": int}


# --- the network


@dataclass(frozen=True)
class Network:
    """What blocks are coded with: a Gaussian model, exactly, or the paper's network under a numerics profile.

    predictor: the denoiser in integers. profile: of a network that is not exact, as the archive keeps it.
    """

    denoiser: GaussianModel | PaperDenoiser
    predictor: Predictor
    profile: Description = field(default_factory=dict)

    @property
    def id(self) -> bytes:
        return self.denoiser.id

    def hierarchy(self, levels: npt.ArrayLike | int | None) -> list[LatentLevel]:
        """The latents for these noise levels in grey levels, rounded to 1/1024, or for so many of the network's choice.

        None: all levels that the network was trained on. Raises DdpmError for levels that do not increase, too few or
        too many, and for None where the network can be asked at any level; TypeError for what are no numbers.
        """
        if levels is not None and np.asarray(levels).dtype.kind not in "iuf":
            raise TypeError(f"bits_back must be noise levels, or how many of them, not {levels!r}")
        try:
            if levels is None or isinstance(levels, Integral):
                levels = self.denoiser.coding_levels(None if levels is None else int(levels))
            return hierarchy_of([round(LEVEL_UNIT * float(s)) for s in check_levels(levels)])
        except ValueError as error:
            advice = " by bits_back=T" if levels is None else ""
            raise DdpmError(f"these noise levels cannot be: {error}{advice}") from error


def hierarchy_of(levels: Sequence[int]) -> list[LatentLevel]:
    """The latents for noise levels in 1/1024 grey level. Raises ValueError unless they increase, 1 to 4096 of them."""
    if not 1 <= len(levels) <= MAX_LATENT_LEVELS:
        raise ValueError(f"an archive has 1 to {MAX_LATENT_LEVELS} noise levels, not {len(levels)}")
    return hierarchy(levels)


def find_network(source: LatentSource = None) -> Network:
    """A Gaussian model, the embedded one (None), or a checkpoint of the paper's network. Raises ModelError."""
    denoiser = find_denoiser(source)
    if isinstance(denoiser, GaussianModel):
        return Network(denoiser, denoiser)
    facts = {FINGERPRINT: numerics.fingerprint(denoiser, _fingerprint_levels(denoiser)), NETWORK: denoiser.id.hex()}
    return _profiled(denoiser, {**numerics.describe(), **facts})


def network_of(model_id: bytes, profile: Description, source: LatentSource = None) -> Network:
    """The network that an archive was written with. model_id: its first bytes; profile: empty for a Gaussian model.

    source: where it is, unless it is embedded. Raises ModelError when it is missing or another one, or computes
    other numbers than it did where the archive was written; FormatError for a profile that says nonsense.
    """
    if not profile:
        if source is not None:
            network = find_network(source)
            if not is_embedded(model_id):
                refuse_another(network.id, model_id)
            if network.id.startswith(model_id):
                return network
        return find_network(written_with(model_id))
    if any(type(profile.get(key)) is not value_type for key, value_type in PROFILE_KEYS.items()):
        raise FormatError("the archive's numerics profile is incomplete: it is damaged")
    if not profile["threads"] == profile["batch"] == 1:
        raise FormatError(
            f"the archive's numerics profile has {profile['threads']} threads and {profile['batch']} images of a batch,"
            " where this version knows 1 of each: it is damaged, or of another version"
        )
    denoiser = find_denoiser(source) if isinstance(source, str | Path) else source
    if not isinstance(denoiser, PaperDenoiser):
        raise ModelError(
            f"the archive was written with a checkpoint of the paper's network, {model_id.hex()}:"
            " decode with the same (model=PATH)"
        )
    refuse_another(denoiser.id, model_id)
    described = {key: value for key, value in profile.items() if key not in (FINGERPRINT, NETWORK)}
    numerics.check(denoiser, str(profile[FINGERPRINT]), described, _fingerprint_levels(denoiser))
    return _profiled(denoiser, profile)


def refuse_another(model_id: bytes, expected: bytes) -> None:
    """Raises ModelError unless a model's id begins with the archive's."""
    if not model_id.startswith(expected):
        raise ModelError(
            f"the archive was written with model {expected.hex()}, and the given model is"
            f" {model_id[: len(expected)].hex()}: decode with the model that wrote it (model=PATH)"
        )


def _profiled(denoiser: PaperDenoiser, profile: Description) -> Network:
    return Network(denoiser, RoundedDenoiser(lambda c_t, s_t: numerics.run(denoiser, c_t, s_t)), profile)


def _fingerprint_levels(denoiser: PaperDenoiser) -> list[float]:
    """The levels of a network's fingerprint, from its own schedule: the first, one in the middle, the last."""
    levels = denoiser.levels
    return [float(levels[i]) for i in (0, len(levels) // 2, -1)]


class _ReportingPredictor(NamedTuple):
    """A predictor that reports, at each of the `calls` network calls that an image takes, that share of its pixels."""

    predictor: Predictor
    calls: int
    progress: Progress

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        prediction = self.predictor.predict(c, spacing, level)
        self.progress(c.size / 3 / self.calls)
        return prediction


def watched(predictor: Predictor, calls: int, progress: Progress | None) -> Predictor:
    return predictor if progress is None else _ReportingPredictor(predictor, calls, progress)


# --- initial bits


def push_images(stack: Stack, pixels: Pixels, context: ContextCoder) -> None:
    """Pushes images uint8 [N, H, W, C], coded by the context model, which takes nothing from the stack."""
    starts, freqs = context.encoded(pixels).symbols(0)
    stack.push(starts, freqs, LOGISTIC_PRECISION)


def pop_images(stack: Stack, shape: tuple[int, int, int, int], context: ContextCoder) -> Pixels:
    """Pops what `push_images` pushed; the stack is then what it was before. Raises TruncatedError."""
    words = stack.words[: stack.size][::-1].astype(np.uint32)
    coded_pass = context.decoded(int(stack.head), words, shape)
    state = coded_pass.state(0)
    if not coded_pass.is_exact or state < STATE_LOW:
        raise TruncatedError("the ANS stack ends inside an image; get the rest of the data")
    stack.commit(state, stack.size - coded_pass.position(0))
    pixels: Pixels = coded_pass.pixels()[0]
    return pixels


# --- a block


def checksum(pixels: Pixels) -> int:
    """CRC-32 of the pixels of a run."""
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())


def stack_of(data: bytes) -> Stack:
    """The stack of these words. Raises FormatError where there is less than a head, or one that is none."""
    return Stack.from_words(np.frombuffer(data[: len(data) // WORD_BYTES * WORD_BYTES], "<u4").astype(np.uint32))


class BitsBackCoder(NamedTuple):
    """Pushes and pops images by bits back under `predictor`, and initial bits by the context model."""

    predictor: Predictor
    levels: Sequence[LatentLevel]
    context: ContextCoder

    def decode(self, block: Block, streams: Sequence[Part], wanted: Sequence[int]) -> DecodedRuns:
        """As a `blocks.BlockDecoder` does; the runs in front of the last one are decoded, too."""
        (data,) = streams
        decoded = dict[int, Pixels | FormatError]()
        last, ranges, is_whole = wanted[-1] + 1, run_ranges(block), len(wanted) == len(block.runs)
        try:
            stack = stack_of(bytes(data))
            for number, run in enumerate(block.runs[:last]):
                decoded[number] = self.pop_run(stack, run, block.entries[ranges[number].start].shape)
            if is_whole and not stack.is_empty():
                fault = ChecksumError("words follow the last image of a block: the data is damaged")
                return DecodedRuns(decoded, fault)
        except FormatError as error:
            reason: FormatError = without_traceback(error)
            if len(data) < WORD_BYTES * block.words:
                reason = TruncatedError(CUT)
            elif isinstance(error, TruncatedError):
                reason = ChecksumError("the words of a block end before its images do; get the archive again")
            decoded = {**dict.fromkeys(wanted, reason), **decoded}
        return DecodedRuns({number: decoded[number] for number in wanted})

    @exact_torch()
    def pop_run(self, stack: Stack, run: Run, shape: Shape) -> Pixels:
        """Pops the images of a run, uint8 [N, H, W, 3]. Raises TruncatedError or ChecksumError where the data is
        damaged."""
        whole = run.images, *shape
        try:
            pixels = (
                pop_images(stack, whole, self.context)
                if run.initial
                else bits_back.decode(stack, whole, self.predictor, self.levels)
            )
        except ValueError as error:
            raise ChecksumError(f"the latents are not those of an image ({error}): the data is damaged") from error
        if checksum(pixels) != run.check:
            raise ChecksumError(DAMAGED)
        return pixels

    @exact_torch()
    def push_batch(self, stack: Stack, batch: Sequence[Pixels]) -> Stack | None:
        """The stack with the batch on it; None, and it is as it was, where it has too few initial bits."""
        trial = Stack.from_words(stack.to_words())
        try:
            bits_back.encode(trial, np.stack(batch), self.predictor, self.levels)
        except TruncatedError:
            return None
        return trial

    def room(self, stack: Stack, shape: Shape) -> int:
        """For how many images of this shape the stack has initial bits."""
        height, width, channels = shape
        return int(stack.bits() / (bits_back.initial_bits(self.levels) * height * width * channels))


@dataclass(frozen=True)
class Encoder:
    """A `blocks.LatentCoder`."""

    network: Network
    levels: Sequence[LatentLevel]
    progress: Progress | None

    def coding(self, context: BlockCoding) -> BlockCoding:
        levels = tuple(latent.level for latent in self.levels)
        latent_id = self.network.id[:MODEL_ID_BYTES]
        return replace(context, latent_levels=levels, latent_id=latent_id, profile=self.network.profile)

    def encode_block(self, images: Sequence[Pixels], context: ContextCoder) -> tuple[EncodedRuns, BitsBackCoder]:
        """Pushes images uint8 [H, W, 3], the last in decoding order first. Where they are few, all may be initial
        bits."""
        coder = BitsBackCoder(watched(self.network.predictor, len(self.levels), self.progress), self.levels, context)
        stack, runs, rest = Stack.empty(), list[Run](), list(images)
        while rest:
            batch = alike(rest[::-1], 0, RUN_PIXELS)[::-1]
            batch = batch[len(batch) - min(len(batch), coder.room(stack, batch[0].shape)) :]
            pushed = coder.push_batch(stack, batch) if batch else None
            if pushed is None:
                batch = rest[-1:]
                push_images(stack, np.stack(batch), context)
            runs.insert(0, Run(len(batch), checksum(np.stack(batch)), initial=pushed is None))
            stack, rest = pushed or stack, rest[: -len(batch)]
        return EncodedRuns(tuple(runs), (stack.to_words().astype("<u4").tobytes(),)), coder


@exact_torch()
def encoder(source: LatentSource, levels: npt.ArrayLike | int | None, progress: Progress | None) -> Encoder:
    """An encoder of blocks by bits back. Raises ModelError, and DdpmError for levels that cannot be."""
    network = find_network(source)
    return Encoder(network, network.hierarchy(levels), progress)


@exact_torch()
def decoder(
    coding: BlockCoding, source: LatentSource, context: ContextCoder, progress: Progress | None
) -> BitsBackCoder:
    """A decoder of blocks that were coded so. Raises what `network_of` does."""
    network = network_of(coding.latent_id, coding.profile, source)
    levels = hierarchy(coding.latent_levels)
    return BitsBackCoder(watched(network.predictor, len(levels), progress), levels, context)
