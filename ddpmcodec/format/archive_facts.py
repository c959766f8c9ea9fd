"""What a .ddpma archive says of itself, without decoding an image (and without importing PyTorch)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from ddpmcodec.content import File, Part
from ddpmcodec.errors import FormatError
from ddpmcodec.format import ddpm
from ddpmcodec.format.block import BITS_BACK, CONTEXT, FILES, LEVEL_UNIT, BlockCoding
from ddpmcodec.format.ddpma import VERSION, Archive, Index, split
from ddpmcodec.format.header import CODINGS


def describe(data: File | Archive) -> dict[str, Any]:
    """Facts of an archive for people and scripts. No image is decoded.

    Parameters:
        data: a .ddpma file, as `ddpmcodec.decode` takes a file, or a prefix of one that holds its index.

    Returns:
        Facts by name, all of them JSON values. Sizes are bytes; `settings` are efforts and numbers of noise levels of
        images that are coded together, `latent_levels` the levels of latents, in grey levels; `images` has the name,
        mode, width, height, coding and bytes of each: the coding as `ddpmcodec.info` has it, or "bits back", or None
        where it is lost to damage; the bytes None for images that are coded together.

    Raises:
        FormatError: not an archive, or neither its index nor a block is found.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> facts = archive.describe(archive.create([("a.png", np.zeros((4, 6), np.uint8))]))
    >>> facts["images"]
    [{'name': 'a.png', 'mode': 'L', 'width': 6, 'height': 4, 'coding': 'context model', 'bytes': None}]
    """
    archive = split(data)
    index = archive.index
    return {
        "format_version": VERSION,
        "bytes": archive.size,
        "missing_bytes": archive.missing,
        "following_bytes": archive.following,
        "index_bytes": archive.index_bytes,
        "index_damaged": archive.damage is not None,
        "images_lost": index.total - len(index.entries),
        **index_facts(index, archive.size + archive.missing - archive.following),
        "images": [fact for _, fact in sorted(_images(archive), key=itemgetter(0))],
    }


def index_facts(index: Index, size: int) -> dict[str, Any]:
    """What `describe` says of an archive of this size, but for its images and for what is missing or damaged."""
    dims = sum(entry.pixels * (entry.channels + entry.has_alpha) for entry in index.entries)
    return {
        "bits_per_dim": 8 * size / max(dims, 1),
        **_codings([block.coding for block in index.blocks if block.coding is not None]),
        "blocks": len(index.blocks),
        "images_on_stacks": sum(len(block.entries) for block in index.blocks if block.kind != FILES),
        "images_by_bits_back": sum(
            run.images for block in index.blocks if block.kind == BITS_BACK for run in block.runs if not run.initial
        ),
    }


def _images(archive: Archive) -> Iterator[tuple[int, dict[str, Any]]]:
    """Facts of each image, with its number."""
    for block, parts in zip(archive.index.blocks, archive.parts, strict=True):
        for entry, section in zip(block.entries, parts.sections, strict=True):
            shape = {"name": entry.name, "mode": entry.mode, "width": entry.width, "height": entry.height}
            coding = {CONTEXT: CODINGS[""], BITS_BACK: "bits back"}.get(block.kind) or _coding_of_file(section)
            yield entry.number, {**shape, "coding": coding, "bytes": entry.length if block.kind == FILES else None}


def _coding_of_file(file: Part) -> str | None:
    try:
        return CODINGS[ddpm.read_header(file)[0].stored]
    except FormatError:
        return None


def _codings(codings: Sequence[BlockCoding]) -> dict[str, Any]:
    """Facts of images that are not files of their own. Blocks have several efforts and levels where archives were
    joined, or images added; those that code latents come from one call."""
    latent = next((coding for coding in codings if coding.latent_levels), None)
    return {
        "model_numbers": sorted({coding.model_number for coding in codings if coding.model_number}),
        "model_ids": sorted({coding.model_id.hex() for coding in codings if coding.model_id}),
        "settings": [
            {"effort": effort, "levels": levels}
            for effort, levels in sorted({(coding.effort, coding.levels) for coding in codings})
        ],
        "latent_model_id": latent.latent_id.hex() if latent else None,
        "latent_levels": [level / LEVEL_UNIT for level in latent.latent_levels] if latent else [],
        "profile": (latent.profile or None) if latent else None,
    }
