"""Decoding images of an archive: what is whole comes out, and an account of what is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from ddpmcodec import batches, codec
from ddpmcodec.archive_block import Coder, decode_block, image_check
from ddpmcodec.archive_format import Archive
from ddpmcodec.archive_network import Network, rungs_of, watched
from ddpmcodec.channels.bits_back import Pixels
from ddpmcodec.container import parse_header
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError
from ddpmcodec.images import Planes, to_image
from ddpmcodec.sections import unpack_alpha, unpack_metadata

Extracted = tuple[str, Image.Image]


class ArchiveReader:
    """Decodes images of one archive, and keeps account of those that are lost, with the first reason."""

    def __init__(self, archive: Archive, network: Network, progress: batches.Progress | None) -> None:
        self.archive, self.network, self.progress = archive, network, progress
        self.entries = archive.index.entries
        self.lost: dict[int, FormatError] = {}

    def images(self, wanted: Sequence[int]) -> Iterator[Extracted]:
        for batch in self._batches([number for number in wanted if not self.entries[number].stacked]):
            yield from self._files(batch)
        asked = set(wanted)
        for place, members in enumerate(self.archive.index.members()):
            if chosen := [number for number in members if number in asked]:
                yield from self._block(place, members, chosen)
        if self.lost:
            raise self._account()
        if self.archive.following:
            raise FormatError(f"{self.archive.following} bytes follow the end of the archive: cut them off")

    def _batches(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """Runs of images that fit into memory together; one image always does."""
        batch: list[int] = []
        pixels = 0
        for number in numbers:
            pixels += self.entries[number].width * self.entries[number].height
            if batch and pixels > batches.BATCH_PIXELS:
                yield batch
                batch, pixels = [], self.entries[number].width * self.entries[number].height
            batch.append(number)
        if batch:
            yield batch

    def _files(self, numbers: Sequence[int]) -> Iterator[Extracted]:
        """Images that are .ddpm files: together, or one by one where one of them is damaged."""
        try:
            images = codec.decode_many(
                [self._file(n) for n in numbers], model=self.network.files, progress=self.progress
            )
        except FormatError as error:
            if len(numbers) == 1:
                self.lost[numbers[0]] = error
                return
            for number in numbers:
                yield from self._files([number])
            return
        for number, image in zip(numbers, images, strict=True):
            yield self.entries[number].name, image

    def _file(self, number: int) -> bytes:
        entry, section = self.entries[number], self._section(number)
        header, _ = parse_header(section)
        if (header.mode, header.width, header.height) != (entry.mode, *entry.size):
            raise FormatError(f"{entry.name} is another image than the index says")
        return section

    def _section(self, number: int) -> bytes:
        entry, section = self.entries[number], self.archive.sections[number]
        if len(section) < entry.length:
            raise TruncatedError(f"the archive ends {entry.length - len(section)} bytes before {entry.name} does")
        return section

    def _block(self, place: int, members: Sequence[int], chosen: list[int]) -> Iterator[Extracted]:
        """The chosen images of a block, given in coding order: its runs, the last one first, no farther than needed."""
        end, ahead = len(members), list(chosen)
        try:
            for images in self._runs(place, members):
                colours = dict(zip(members[end - len(images) : end], images, strict=True))
                end -= len(images)
                self._check(colours)
                while ahead and ahead[-1] in colours:
                    number = ahead.pop()
                    yield from self._finished(number, colours[number])
                if end and not ahead:
                    return
        except FormatError as error:
            self.lost |= dict.fromkeys(ahead or chosen, error)

    def _runs(self, place: int, members: Sequence[int]) -> Iterator[list[Pixels]]:
        index, data = self.archive.index, self.archive.stacks[place]
        predictor = watched(self.network.predictor, len(index.levels), self.progress)
        chain = rungs_of(index.levels) if index.levels else []
        coder = Coder(predictor, chain, self.network.files, index.effort, self.progress, self.network.model)
        words = np.frombuffer(data[: len(data) // 4 * 4], "<u4").astype(np.uint32)
        return decode_block(words, index.blocks[place].runs, [self.entries[n].size for n in members], coder)

    def _check(self, colours: dict[int, Pixels]) -> None:
        """A run with an image that is wrong is lost as a whole, and with it the rest of the block."""
        for number, pixels in colours.items():
            if image_check(pixels) != self.entries[number].check:
                raise ChecksumError(f"{self.entries[number].name} decodes to other pixels than were encoded")

    def _finished(self, number: int, colour: Pixels) -> Iterator[Extracted]:
        """The image, unless what the stack does not hold of it is damaged."""
        entry = self.entries[number]
        try:
            alpha = unpack_alpha(self._section(number), entry.height, entry.width) if entry.mode == "RGBA" else None
            icc, exif = (self._value(place) for place in (entry.icc, entry.exif))
        except FormatError as error:
            self.lost[number] = error
            return
        planes = Planes(entry.mode, colour, alpha, icc.get("icc_profile", b""), exif.get("exif", b""))
        yield entry.name, to_image(planes)

    def _value(self, place: int) -> dict[str, bytes]:
        return unpack_metadata(self.archive.values[place - 1]) if place else {}

    def _account(self) -> FormatError:
        names = ", ".join(self.entries[number].name for number in sorted(self.lost))
        reason = next(iter(self.lost.values()))
        kind = TruncatedError if self.archive.missing else ChecksumError
        return kind(f"{len(self.lost)} of {len(self.entries)} images are lost ({names}): {reason}")
