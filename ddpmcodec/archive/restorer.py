"""Restores images of an archive: all that is undamaged comes first, then an error names what is lost."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import _native
from ddpmcodec._native import MAX_BLOCK_IMAGES
from ddpmcodec.archive.blocks import BlockDecoder, ContextCoder, LatentCoder, LatentSource, Pixels, run_ranges
from ddpmcodec.codec.decoder import small_part
from ddpmcodec.codec.decoding import DecodeOptions, decode_file, decode_files, decode_original_file, restored_png
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.kept import shown
from ddpmcodec.codec.passes import Progress
from ddpmcodec.content import Part
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, TruncatedError, bytes_follow, without_traceback
from ddpmcodec.format.block import Block, BlockCoding, Entry
from ddpmcodec.format.ddpma import Archive, Parts
from ddpmcodec.format.sections import MAX_BLOCK_METADATA, Metadata
from ddpmcodec.formats.images import Planes, save_planes, to_array, to_image
from ddpmcodec.models import registry
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import Model
from ddpmcodec.parallel import portions, run_all, thread_count

LISTED = 100  # images that a message names
Picture: TypeAlias = "Image.Image | NDArray[np.uint16]"  # an array if samples have more than 8 bits
Extracted: TypeAlias = "tuple[str, Picture]"
Restored: TypeAlias = "tuple[str, Picture | bytes]"  # name, and image or file
Result: TypeAlias = "tuple[Entry, Picture | bytes | FormatError]"


def restored(archive: Archive, wanted: Sequence[Entry], model: Source) -> Iterator[tuple[str, Image.Image]]:
    """Images of an archive that is cut already, whose sizes were checked; the high 8 bits of samples of more."""
    for name, image in Restorer(archive, wanted, model=model, deep=False).images():
        assert isinstance(image, Image.Image)
        yield name, image


class _Job(NamedTuple):
    """A block, and the positions in it of the images that are wanted."""

    block: Block
    parts: Parts
    wanted: frozenset[int]

    @property
    def pixels(self) -> int:
        return sum(self.block.entries[i].pixels for i in self.wanted)

    def pieces(self) -> Iterator[_Job]:
        """Smaller jobs, of a few images each, where images are files of their own; otherwise this job alone."""
        if self.block.coding is not None:
            yield self
            return
        for positions in portions(sorted(self.wanted), lambda i: self.block.entries[i].pixels, MAX_BLOCK_IMAGES):
            yield self._replace(wanted=frozenset(positions))


class Restorer:
    """Decodes as many blocks at a time as there are threads, and keeps account of what is lost, with the reasons."""

    def __init__(
        self, archive: Archive, wanted: Sequence[Entry], *, everything: bool = False, model: Source = None,
        progress: Progress | None = None, scale: int = 1, original: bool = False, max_pixels: int | None = None,
        deep: bool = True,
    ) -> None:  # fmt: skip
        """everything: `wanted` are all images, so that what is lost without a name is reported, too. deep: give samples
        of more than 8 bits, not their high ones. The rest as in `reader.extract`."""
        self.archive, self.everything, self.progress = archive, everything, progress
        self.scale, self.original, self.max_pixels, self.deep = scale, original, max_pixels, deep
        numbers = {entry.number for entry in wanted}
        jobs = (
            _Job(block, parts, frozenset(i for i, entry in enumerate(block.entries) if entry.number in numbers))
            for block, parts in zip(archive.index.blocks, archive.parts, strict=True)
        )
        blocks = [job for job in jobs if job.wanted]
        self.jobs = [piece for job in blocks for piece in job.pieces()]
        codings = [job.block.coding for job in blocks if job.block.coding is not None]
        self.given = ModelOverrides.of(model, any(coding.latent_levels for coding in codings))
        self.decoders = _decoders(codings, self.given, progress)
        self.lost: dict[int, tuple[str, FormatError]] = {}
        headers = sum(not job.parts.intact for job in blocks)
        self.faults = list[FormatError]()
        if headers:
            self.faults.append(ChecksumError(f"the headers of {headers} of {len(blocks)} blocks are damaged"))

    def images(self) -> Iterator[Restored]:
        """Every undamaged image, then one of the errors."""
        for jobs in portions(self.jobs, lambda job: job.pixels, most=thread_count()):
            for results in run_all(self._decode, jobs):
                for entry, image in results:
                    if isinstance(image, FormatError):
                        self.lost[entry.number] = entry.name, image
                    else:
                        yield entry.name, image
        self._require_sound()

    def _decode(self, job: _Job) -> list[Result]:
        return self._files(job) if job.block.coding is None else self._runs(job, job.block.coding)

    def _files(self, job: _Job) -> list[Result]:
        """Decodes images that are files: together, or one by one where one of them is damaged."""
        entries = [job.block.entries[i] for i in sorted(job.wanted)]
        files = [job.parts.sections[i] for i in sorted(job.wanted)]
        try:
            return self._decode_files(entries, files)
        except FormatError:
            results = list[Result]()
            for entry, file in zip(entries, files, strict=True):
                try:
                    results += self._decode_files([entry], [file])
                except FormatError as error:
                    results.append((entry, without_traceback(error)))
            return results

    def _decode_files(self, entries: Sequence[Entry], files: Sequence[Part]) -> list[Result]:
        pairs = [(entry, whole_file(entry, file)) for entry, file in zip(entries, files, strict=True)]
        if self.scale > 1:
            options = DecodeOptions(self.given.files, scale=self.scale, progress=self.progress)
            return [(entry, _small_image(file, options)) for entry, file in pairs]
        stored = [(entry, self._original(file)) for entry, file in pairs if self.original and file.holds_a_file]
        others = [(entry, file.data) for entry, file in pairs if not (self.original and file.holds_a_file)]
        decoded_files = decode_files([data for _, data in others], self.given.files, self.progress)
        shown_files = (shown(decoded, self.max_pixels) for decoded in decoded_files)
        contents = (_content(file.planes, original=self.original, deep=self.deep) for file in shown_files)
        return [*stored, *((entry, content) for (entry, _), content in zip(others, contents, strict=True))]

    def _original(self, file: WholeFile) -> bytes:
        return decode_original_file(file.data, DecodeOptions(self.given.files, progress=self.progress))

    def _runs(self, job: _Job, coding: BlockCoding) -> list[Result]:
        """The wanted images of a block, of which no more is decoded than needed."""
        ranges, values, results = run_ranges(job.block), _MetadataValues(job.parts), list[Result]()
        wanted = [number for number, positions in enumerate(ranges) if not job.wanted.isdisjoint(positions)]
        decoder = self.decoders[_key(coding)]
        decoded, alphas = decoder.decode(job.block, job.parts.streams, wanted), dict[int, Pixels | FormatError]()
        if isinstance(decoder, ContextCoder):
            alphas.update(decoder.decode_alphas(job.block, job.parts.alphas, wanted))
        if decoded.fault is not None:
            self.faults.append(decoded.fault)
        for number, images in decoded.runs.items():
            for position in sorted(job.wanted.intersection(ranges[number])):
                if isinstance(images, FormatError):
                    results.append((job.block.entries[position], images))
                else:
                    pixels = images[position - ranges[number].start]
                    alpha = alphas.get(position)
                    entry, image = _finished(job, position, pixels, alpha, values, original=self.original)
                    if self.scale > 1 and isinstance(image, Image.Image):
                        image = small_part(image, None, self.scale)
                    results.append((entry, image))
        return results

    def _require_sound(self) -> None:
        """Raises FormatError for what is wrong with the archive, as far as it concerns what was asked for."""
        archive = self.archive
        unknown = sorted(set(range(archive.index.total)) - {entry.number for entry in archive.index.entries})
        if self.lost or (unknown and self.everything):
            raise self._losses(unknown if self.everything else [])
        if archive.damage is not None:
            reason = str(archive.damage).removeprefix("the index is damaged: ")
            lost = f"{len(unknown)} of {archive.index.total} images are lost, none of them asked for"
            found = lost if unknown else "every image was found without it"
            raise ChecksumError(f"the index is damaged ({reason}); {found}: make the archive again")
        if self.faults:
            raise ChecksumError(f"{self.faults[0]}; every image was found all the same: make the archive again")
        if archive.following:
            raise FormatError(bytes_follow(archive.following, "archive", archive.size - archive.following))

    def _losses(self, unknown: Sequence[int]) -> FormatError:
        lost = [self.lost[number] for number in sorted(self.lost)]
        described = [name for name, _ in lost[:LISTED]]
        if len(lost) > LISTED:
            described.append(f"{len(lost) - LISTED} others whose names are known")
        if unknown:
            described.append(f"number {_ranges(unknown)}, whose names are lost with their blocks")
        reason = lost[0][1] if lost else self.archive.damage
        error_type: type[FormatError] = CorruptError if isinstance(reason, CorruptError) else ChecksumError
        if self.archive.missing:
            error_type = TruncatedError
        count = len(lost) + len(unknown)
        return error_type(f"{count} of {self.archive.index.total} images are lost ({', '.join(described)}): {reason}")


def _key(coding: BlockCoding) -> Hashable:
    repeats = coding.repeats, coding.alpha_repeats
    context = coding.effort, coding.levels, coding.model_number, coding.model_id
    return context, repeats, coding.latent_levels, coding.latent_id, tuple(sorted(coding.profile.items()))


def _decoders(
    codings: Sequence[BlockCoding], given: ModelOverrides, progress: Progress | None
) -> dict[Hashable, BlockDecoder]:
    """A decoder for each way of coding: blocks that are coded alike share one."""
    return {_key(coding): decoder_of(coding, given, progress) for coding in codings}


class WholeFile(NamedTuple):
    """The file of an image, all of which is there."""

    data: bytes
    header: _native.FileHeader

    @property
    def holds_a_file(self) -> bool:
        """Whether a JPEG file can be restored, or one that was kept whole."""
        return bool(self.header.has_coefficients or self.header.kept_length)


def _small_image(file: WholeFile, options: DecodeOptions) -> Image.Image:
    """Return a reduced image; of a file that is kept whole its preview, which is small already."""
    return decode_file(file.data, options._replace(scale=1) if file.header.kept_length else options).image


def whole_file(entry: Entry, file: Part) -> WholeFile:
    """Return the file of an image. Raises FormatError unless all of it is there, undamaged as far as that shows without
    decoding, and it is of that image."""
    if len(file) < entry.length:
        raise TruncatedError(f"the archive ends {entry.length - len(file)} bytes before {entry.name} does")
    data = bytes(file)
    container = _native.Container(data)
    header = container.header
    container.require_whole()
    if container.following:
        raise FormatError(bytes_follow(container.following, "image", container.size))
    if (header.mode, header.width, header.height) != (entry.mode, entry.width, entry.height):
        raise CorruptError(f"{entry.name} is another image than the archive says: the data is damaged")
    return WholeFile(data, header)


class _MetadataValues:
    """Metadata of a block, by their positions from 1 (0: none); images share what is unpacked."""

    def __init__(self, parts: Parts) -> None:
        self.packed, self.bytes = parts.values, 0
        self.unpacked: dict[int, Metadata] = {0: Metadata()}

    def __call__(self, position: int) -> Metadata:
        """Raises FormatError."""
        if position not in self.unpacked:
            if self.bytes > MAX_BLOCK_METADATA:
                raise CorruptError(f"the metadata of a block take more than {MAX_BLOCK_METADATA} bytes")
            self.unpacked[position] = Metadata(*_native.parse_metadata(bytes(self.packed[position - 1])))
            self.bytes += sum(map(len, self.unpacked[position]))
        return self.unpacked[position]


def _finished(
    job: _Job, position: int, colour: Pixels, alpha: Pixels | FormatError | None, values: _MetadataValues, *,
    original: bool,
) -> Result:  # fmt: skip
    """The image of these colours, or with original its PNG file; or the error, where its alpha or metadata, which are
    beside its stream, are damaged. alpha: as its run codes it; None: it has none, or a section of its own."""
    entry = job.block.entries[position]
    if isinstance(alpha, FormatError):
        return entry, alpha
    try:
        alpha = _alpha(entry, job.parts.sections[position]) if alpha is None else alpha
        metadata = values(entry.exif)._replace(icc_profile=values(entry.icc).icc_profile)
    except FormatError as error:
        return entry, without_traceback(error)
    return entry, _content(Planes(entry.mode, colour, alpha, metadata), original=original)


def _content(planes: Planes, *, original: bool, deep: bool = True) -> Picture | bytes:
    """Return an image, or with original the PNG file that it was, if that is known or it has more than 8 bits."""
    if original and planes.metadata.png:
        return restored_png(planes)
    if planes.samples is None or planes.kept or not deep:
        return to_image(planes)
    return save_planes(planes, "PNG") if original else to_array(planes)


def _alpha(entry: Entry, section: Part) -> Pixels | None:
    return _native.parse_alpha(bytes(section), entry.height, entry.width) if entry.has_alpha else None


def _ranges(numbers: Sequence[int]) -> str:
    """ "3, 7 to 9", counted from 1."""
    groups = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    runs = [[number + 1 for _, number in group] for _, group in groups]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


# --- models: a context model, and for bits back a Gaussian model or the paper's network

Source: TypeAlias = "Model | LatentSource"


class ModelOverrides(NamedTuple):
    """The model that a caller names in place of the embedded ones, which None stands for.

    Attributes:
        files: the model of files, of pixels or of JPEG coefficients.
        latent: the model for bits back.
    """

    files: Model | None = None
    latent: LatentSource = None

    @property
    def context(self) -> ContextModel | None:
        """The model of pixels: of files, runs and initial bits."""
        return self.files if isinstance(self.files, ContextModel) else None

    @classmethod
    def of(cls, source: Source, bits_back: bool) -> ModelOverrides:
        """Sorts a model by what it is for. bits_back: what a model is for where its file does not say. Raises
        ModelError, and TypeError for what is no model."""
        if source is None or isinstance(source, Model):
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


def decoder_of(coding: BlockCoding, given: ModelOverrides, progress: Progress | None) -> BlockDecoder:
    """A decoder of blocks that were coded so. Raises ModelError when a model is missing or another one, or computes
    other numbers than it did where the archive was written; FormatError for a numerics profile that says nonsense."""
    model = registry.written_with(coding.model_number, coding.model_id, given.context, "archive")
    own = Coding(coding.effort, coding.levels, coding.repeats)
    context = ContextCoder(model, own, progress, coding.alpha_repeats)
    if not coding.latent_levels:
        return context
    from ddpmcodec.archive import latents

    return latents.decoder(coding, given.latent, context, progress)
