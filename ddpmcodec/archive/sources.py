"""Which models code an archive: a context model, and for bits back a Gaussian model or the paper's network."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy.typing as npt

from ddpmcodec.archive.blocks import BlockDecoder, ContextCoder, Encoded, LatentSource, Pixels
from ddpmcodec.codec import efforts
from ddpmcodec.codec.batching import Progress
from ddpmcodec.format.block import BlockCoding
from ddpmcodec.models import registry
from ddpmcodec.models.context import ContextModel

Source: TypeAlias = "ContextModel | LatentSource"


class LatentCoder(Protocol):
    """Codes blocks by bits back (`archive.latents`)."""

    def coding(self, context: BlockCoding) -> BlockCoding:
        """What the archive says of such a block. context: how the images are coded that are initial bits."""

    def encode_block(self, images: Sequence[Pixels], context: ContextCoder) -> tuple[Encoded, BlockDecoder]:
        """What `blocks.encode_block` returns, and a decoder for it."""


class Given(NamedTuple):
    """The model that a caller names, as what it is. context: of files, runs, and initial bits. latent: for bits back.
    None: the embedded ones."""

    context: ContextModel | None = None
    latent: LatentSource = None

    @classmethod
    def of(cls, source: Source, bits_back: bool) -> Given:
        """Sorts a model by what it is for. bits_back: what a model is for where its file does not say. Raises
        ModelError, and TypeError for what is no model."""
        if source is None or isinstance(source, ContextModel):
            return cls(source)
        if not isinstance(source, (str, PathLike)):
            if not (callable(source) and hasattr(source, "id")):  # a denoiser is both; its class would import PyTorch
                raise TypeError(f"a model is a name, a path or a loaded model, not {source!r}")
            return cls(latent=source)
        source = source if isinstance(source, str) else Path(source)
        denoises = registry.is_denoiser(source)
        is_latent = bits_back if denoises is None else denoises
        return cls(latent=source) if is_latent else cls(registry.find(source))


def latent_coder(source: LatentSource, levels: npt.ArrayLike | int | None, progress: Progress | None) -> LatentCoder:
    """An encoder of blocks by bits back. Raises ModelError, and DdpmError for levels that cannot be."""
    from ddpmcodec.archive import latents

    return latents.encoder(source, levels, progress)


def decoder_of(coding: BlockCoding, given: Given, progress: Progress | None) -> BlockDecoder:
    """A decoder of blocks that were coded so. Raises ModelError when a model is missing or another one, or computes
    other numbers than it did where the archive was written; FormatError for a numerics profile that says nonsense."""
    model = registry.written_with(coding.model_number, coding.model_id, given.context, "archive")
    context = ContextCoder(model, efforts.Coding(coding.effort, coding.levels), progress)
    if not coding.latent_levels:
        return context
    from ddpmcodec.archive import latents

    return latents.decoder(coding, given.latent, context, progress)
