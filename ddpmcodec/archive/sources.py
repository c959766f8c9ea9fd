"""Which models code an archive: a context model, and for bits back a Gaussian model or the paper's network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy.typing as npt

from ddpmcodec import models
from ddpmcodec.archive.blocks import BlockDecoder, ContextCoder, Encoded, LatentSource, Pixels
from ddpmcodec.codec import efforts
from ddpmcodec.codec.batching import Progress
from ddpmcodec.format.block import Coding
from ddpmcodec.format.model_file import kind_of
from ddpmcodec.models.context import KIND, ContextModel, load_model, model_of

Source: TypeAlias = "ContextModel | LatentSource"
HUB = "hub:"  # what a checkpoint's name begins with that `paper.pretrained` fetches


class LatentCoder(Protocol):
    """Codes blocks by bits back (`archive.bits_back`)."""

    def coding(self, context: Coding) -> Coding:
        """What the archive says of it. context: of the images that are initial bits."""

    def encode_block(self, images: Sequence[Pixels], context: ContextCoder) -> tuple[Encoded, BlockDecoder]:
        """As `blocks.encode_block`, and what decodes it."""


class Given(NamedTuple):
    """The model that a caller names, as what it is. context: of files, runs, and initial bits. latent: for bits back.
    None: the embedded ones."""

    context: ContextModel | None = None
    latent: LatentSource = None


def split_source(source: Source, bits_back: bool) -> Given:
    """bits_back: whether that is what a model of unknown kind is for. Raises ModelError."""
    if source is None:
        return Given()
    if isinstance(source, ContextModel):
        return Given(source)
    if not isinstance(source, (str, Path)):
        return Given(latent=source)
    kind = _kind_of(source)
    is_checkpoint = Path(source).is_dir() or str(source).startswith(HUB)
    if kind == KIND or (kind is None and not bits_back and not is_checkpoint):
        return Given(load_model(source))
    return Given(latent=source)


def _kind_of(source: str | Path) -> str | None:
    """Of a model file, by name or path; None for what is none."""
    path = models.path(source) if isinstance(source, str) and source in models.names() else Path(source)
    return kind_of(path)


def latent_coder(source: LatentSource, levels: npt.ArrayLike | int | None, progress: Progress | None) -> LatentCoder:
    """To encode with. Raises ModelError, and DdpmError for levels that cannot be."""
    from ddpmcodec.archive import bits_back

    return bits_back.encoder(source, levels, progress)


def decoder_of(coding: Coding, given: Given, progress: Progress | None) -> BlockDecoder:
    """For a block that was coded so. Raises ModelError when a model is missing or another one, or computes other
    numbers than it did where the archive was written; FormatError for a numerics profile that says nonsense."""
    model = model_of(coding.model_number, coding.model_id, given.context, "archive")
    context = ContextCoder(model, efforts.Coding(coding.effort, coding.levels), progress)
    if not coding.latent_levels:
        return context
    from ddpmcodec.archive import bits_back

    return bits_back.decoder(coding, given.latent, context, progress)
