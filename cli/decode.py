"""ddpmcodec decode"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ddpmcodec.content import FileView
from ddpmcodec.errors import DdpmError, OutputError, TruncatedError

from ._common import EXIT_CODES, STANDARD, can_be_read_twice, counted, input_content, label, naming, read_input
from ._decoded import account, facts_of, facts_of_whole, seen
from ._many import Choice, loader, many_options, run
from ._options import (
    ALL,
    ByteCount,
    Crop,
    Part,
    file_model_option,
    files_argument,
    max_pixels_option,
    output_option,
    reduce_option,
    upright_option,
)
from ._outputs import is_named, is_whole, kept_in, kept_of, picture_alone
from ._report import Bar, Result, Shape, StepCosts, Task, coding_line

if TYPE_CHECKING:
    from PIL import Image

    from ddpmcodec._native import FileHeader
    from ddpmcodec.codec.decoding import Decoded
    from ddpmcodec.format.sections import KeptFacts
    from ddpmcodec.models.registry import Model

PNG_SIZE = slice(16, 24)  # width and height
HEAD_BYTES = 1 << 16  # of a file, which hold the header of all but huge images


@click.command(epilog=EXIT_CODES)
@files_argument
@output_option
@click.option(
    "--partial",
    is_flag=True,
    help="Decode a cut or damaged file to a preview, and report its quality level; ignore what follows the end of a"
    " file. Exit code 0.",
)
@click.option(
    "--max-bytes", type=ByteCount(), metavar="N", help="A preview from the first N bytes only; N may be 20k or 1M."
)
@click.option("--step", type=click.IntRange(min=0), metavar="K", help="A preview: stop after K steps.")
@click.option(
    "--crop",
    type=Crop(),
    metavar="X,Y,W,H",
    help="A part of the image: W x H pixels from column X and row Y, as they are stored. Of a tiled file no more is"
    " read and decoded than the tiles that it touches.",
)
@reduce_option
@upright_option
@click.option(
    "--original",
    is_flag=True,
    help="Restore the JPEG file that was encoded, or the file that was kept whole, byte for byte: photo.jpg. A file"
    " that holds pixels becomes photo.png, unless OUT is a JPEG, with the chunks, bit depth and palette of a PNG.",
)
@file_model_option
@max_pixels_option
@many_options
def decode(
    choice: Choice, partial: bool, max_bytes: int | None, step: int | None, crop: tuple[int, ...] | None,
    reduce: str | None, upright: bool, original: bool, model: str | None, max_pixels: int,
) -> int:  # fmt: skip
    """Restore images bit for bit: photo.ddpm becomes photo.png. FILE - is standard input.

    A JPEG file comes as its pixels; --original gives the JPEG itself.
    A file that was kept whole, such as an animation, comes back as it was: clip.gif. If OUT has another extension, or
    for a preview, it is decoded to its first picture.
    The extension of OUT picks the format (PNG on standard output); formats such as JPEG lose what the file kept.
    A lossy file made by truncate decodes to its preview, and a message says so.
    Results are printed in the order in which files finish.
    Outputs have the modification time and at most the permissions of their inputs.

    \b
    ddpmcodec decode photo.ddpm
    ddpmcodec decode photo.ddpm -o small.jpg --reduce 8 --upright
    head -c 20000 photo.ddpm | ddpmcodec decode - --partial -o preview.png
    """
    if reduce and step is not None:
        raise click.UsageError("--reduce takes the steps that it needs: leave out --step")
    preview = {"partial": partial, "max_bytes": max_bytes, "step": step}
    part = Part(crop, int(reduce or 1), upright)
    decoder_class = OriginalDecoder if original else Decoder
    decoder = decoder_class(choice, preview, max_pixels, loader(model, ray=choice.ray), part)
    if original and (decoder.is_preview or part != ALL):
        raise click.UsageError(
            "--original is the whole file: leave out options of pixels, such as --partial, --step and --crop"
        )
    return run(choice, decoder)


@dataclass
class Decoder:
    """.ddpm files to images. preview: options of `codec.decode_details`."""

    choice: Choice
    preview: dict[str, Any]
    max_pixels: int
    model: Callable[[], Model | None]
    part: Part = ALL
    verb = "decode"
    noun = ".ddpm file"
    compared = "not older, as a PNG file also of the same size in pixels; pixels were not compared"
    suffix = ".png"
    keep_suffix = removes = False
    extensions = (".ddpm",)

    @property
    def is_preview(self) -> bool:
        return any(value is not None and value is not False for value in self.preview.values())

    def suffix_of(self, name: str) -> str | None:
        kept = None if self.is_preview or self.part != ALL else kept_in(name)
        return f".{kept.ending}" if kept and kept.ending else None

    def shape(self, name: str) -> Shape | None:
        header = _header_of(name) if can_be_read_twice(name) else None
        if header is None:
            return None
        alone = self.is_preview or self.part != ALL or self.choice.verbose or header.kept_length or _is_lossy(name)
        coding = header.effort, header.levels, header.model_number, header.model_id
        alike = name if alone else (header.width, header.height, header.channels, header.has_coefficients, *coding)
        return Shape(header.width * header.height, header.channels, alike)

    def is_whole(self, path: Path) -> bool:
        return is_whole(path)

    def fits(self, name: str, path: Path) -> bool:
        """Of PNG files alone the size is looked at, and only where all of the image is wanted; of files that were kept
        whole, how many bytes they have."""
        from ddpmcodec.formats import png

        header = _header_of(name)
        if header is None or self.part != ALL:
            return True
        if kept := kept_in(name):
            return not is_named(str(path), kept) or path.stat().st_size == kept.length
        with path.open("rb") as file:
            start = file.read(PNG_SIZE.stop)
        sides = header.width.to_bytes(4, "big") + header.height.to_bytes(4, "big")
        return not start.startswith(png.START) or start[PNG_SIZE] == sides

    def prepare(self) -> None:
        self.model()

    def read(self, task: Task, bar: Bar) -> bytes:
        if self.part.is_less and self.choice.ray is None:
            return cast(bytes, input_content(task.name))
        return read_input(task.name)

    def code(self, tasks: Sequence[Task], datas: Sequence[bytes], bar: Bar) -> list[Result]:
        from ddpmcodec.formats.image_files import image_format

        whole = not (self.is_preview or self.part != ALL)
        if (kept := kept_of(datas[0])) and whole and (is_named(tasks[0].output, kept) or not kept.width):
            return [self._whole_file(tasks[0], datas[0], kept)]
        for task in tasks:
            image_format(task.output)  # before the work
        start, costs = time.monotonic(), StepCosts()
        if len(tasks) > 1:
            files = self._decoded_files(tasks, datas, bar)
            results = [self._result(*each, facts_of_whole(each[1])) for each in zip(tasks, datas, files, strict=True)]
            results[0] = replace(results[0], advice=_advice(tasks[0], datas[0], results[0]))
            return results
        header, decoded = self._decoded(tasks[0], datas[0], bar, costs)
        with naming(tasks[0].name):
            result = self._result(tasks[0], datas[0], decoded, facts_of(header, decoded))
        if kept:
            result.warnings.append(picture_alone(tasks[0].name, kept, decoded.image))
        elif decoded.exact and not (self.is_preview or self.part.is_less):
            result = replace(result, advice=_advice(tasks[0], datas[0], result))
        if self.is_preview or decoded.lossy:
            result.lines.append(f"{label(tasks[0].name)}: {seen(header, decoded)}: {account(decoded)}")
            if decoded.following:
                ignored = f"left out {counted(decoded.following, 'byte')} behind the end"
                result.lines.append(f"{label(tasks[0].name)}: {ignored}")
        elif self.part.is_less and self.choice.verbose:
            result.lines.append(f"{label(tasks[0].name)}: {decoded.bytes_used} of {len(datas[0])} bytes were needed")
        if self.choice.verbose:
            target = label(tasks[0].output, "standard output")
            line = f"{label(tasks[0].name)} -> {target}: {time.monotonic() - start:.2f} s"
            result.lines.extend([line, coding_line(header, self.model()), *costs.lines()])
        return [result]

    def _whole_file(self, task: Task, data: bytes, kept: KeptFacts) -> Result:
        from ddpmcodec import codec

        if not is_named(task.output, kept) and task.output != STANDARD:
            raise OutputError(
                f"{label(task.name)}: keeps a {kept.format} file whole, of which no picture was read: name it"
                f" {Path(task.output).stem}.{kept.ending}, or give --original"
            )
        with naming(task.name):
            content = codec.decode_original(data, max_pixels=self.max_pixels)
        facts = {"width": kept.width, "height": kept.height, "mode": None, **facts_of_whole(data)}
        target = label(task.output, "standard output")
        lines = [f"{label(task.name)} -> {target}: {len(content)} bytes, the {kept.format} file itself"]
        return Result(content, len(data), facts, lines if self.choice.verbose else [])

    def _decoded_files(self, tasks: Sequence[Task], datas: Sequence[bytes], bar: Bar) -> list[Decoded]:
        """Files of one shape."""
        from ddpmcodec.codec.decoder import decode_files

        assert tasks[0].shape is not None
        advance = bar.progress(tasks, tasks[0].shape, 1)
        with naming(tasks[0].name):  # each is tried on its own then
            return decode_files(datas, self.model(), advance, max_pixels=self.max_pixels)

    def _result(self, task: Task, data: bytes, decoded: Decoded, facts: dict[str, Any]) -> Result:
        """facts: about what was decoded. Raises OutputError where the format cannot hold it."""
        from ddpmcodec.formats.image_files import image_format, is_kept, lost_metadata
        from ddpmcodec.formats.metadata import upright

        image, file_format = upright(decoded.image) if self.part.upright else decoded.image, image_format(task.output)
        content = self._content(decoded, image, file_format)
        facts = {"width": image.width, "height": image.height, "mode": image.mode, **facts}
        result = Result(content, len(data), facts)
        samples = decoded.planes.samples
        if samples is not None and self.part.upright and not self.is_preview:
            result.warnings.append(
                f"{task.output}: has the high 8 of {samples.source_bits} bits: without --upright, it has all of them"
            )
        if samples is None and file_format != "PNG" and not is_kept(image, content):
            remedy = ".png does" + ("; --original restores the JPEG itself" if _is_jpeg(data) else "")
            result.warnings.append(f"{task.output}: {file_format} does not keep every pixel as it was: {remedy}")
        if (file_format != "PNG" or samples is not None) and (lost := lost_metadata(image, content)):
            remedy = ": .png does" if samples is None else f" beside samples of {samples.source_bits} bits"
            result.warnings.append(f"{task.output}: {file_format} does not keep {', '.join(lost)}{remedy}")
        return result

    def _content(self, decoded: Decoded, image: Image.Image, file_format: str) -> bytes:
        """The file to write of an image."""
        from ddpmcodec.formats.image_files import save_image
        from ddpmcodec.formats.images import save_planes

        if decoded.planes.samples is not None and not (self.is_preview or self.part.upright):
            return save_planes(decoded.planes, file_format)

        return save_image(image, file_format)

    def _decoded(self, task: Task, data: bytes, bar: Bar, costs: StepCosts) -> tuple[FileHeader, Decoded]:
        from ddpmcodec import codec
        from ddpmcodec._native import Container

        with naming(task.name):
            header = Container(data[: self.preview["max_bytes"]]).header
            decoded = codec.decode_details(
                data,
                **self.preview,
                box=self.part.box,
                reduce=self.part.reduce,
                model=self.model(),
                max_pixels=self.max_pixels,
                progress=bar.progress([task], Shape(header.width * header.height, header.channels, None), 1),
                report=costs.add if self.choice.verbose else None,
            )
        return header, decoded


class OriginalDecoder(Decoder):
    """.ddpm files to the files that they were made of, if they hold them; those that hold pixels to PNG files beside
    these."""

    suffix = ".jpg"

    def suffix_of(self, name: str) -> str | None:
        with suppress(DdpmError):  # which `shape` raises again
            header = _header_of(name) if can_be_read_twice(name) else None
            return super().suffix_of(name) or (None if header is None or header.has_coefficients else Decoder.suffix)
        return None

    def code(self, tasks: Sequence[Task], datas: Sequence[bytes], bar: Bar) -> list[Result]:
        from ddpmcodec.formats.image_files import image_format

        if kept := kept_of(datas[0]):
            return [self._whole_file(tasks[0], datas[0], kept._replace(ending=Path(tasks[0].output).suffix[1:]))]
        if image_format(tasks[0].output) == "PNG" and not _is_jpeg(datas[0]):
            return super().code(tasks, datas, bar)  # files of one kind and shape
        return [self._original(*each) for each in zip(tasks, datas, strict=True)]

    def _content(self, decoded: Decoded, image: Image.Image, file_format: str) -> bytes:
        from ddpmcodec.codec.decoding import restored_png

        is_png = file_format == "PNG" and decoded.planes.metadata.png
        return restored_png(decoded.planes) if is_png else super()._content(decoded, image, file_format)

    def _original(self, task: Task, data: bytes) -> Result:
        from ddpmcodec import codec
        from ddpmcodec._native import parse_header
        from ddpmcodec.formats.image_files import JPEG_FORMATS, image_format

        if Path(task.output).suffix and image_format(task.output) not in JPEG_FORMATS:
            raise OutputError(f"{task.output}: --original writes JPEG files: name it {Path(task.output).stem}.jpg")
        with naming(task.name):
            jpeg = codec.decode_original(data, model=self.model(), max_pixels=self.max_pixels)
            header = parse_header(data)
        facts = {"width": header.width, "height": header.height, "mode": header.mode, **facts_of_whole(data)}
        lines = [f"{label(task.name)} -> {label(task.output, 'standard output')}: {len(jpeg)} bytes, the JPEG itself"]
        return Result(jpeg, len(data), facts, lines if self.choice.verbose else [])


def _header_of(name: str) -> FileHeader | None:
    """The header of a file; None where it cannot be read. Raises FormatError, naming the file, where it is of another
    kind."""
    from ddpmcodec._native import Container

    try:
        with naming(name):
            return Container(FileView(Path(name))).header
    except (OSError, TruncatedError):
        return None


def _is_lossy(name: str) -> bool:
    from ddpmcodec._native import MARK_BYTES
    from ddpmcodec.format.marks import is_marked

    try:
        with open(name, "rb") as file:
            file.seek(-MARK_BYTES, os.SEEK_END)
            return is_marked(file.read())
    except OSError:
        return False


def _is_jpeg(data: bytes) -> bool:
    """Whether a file holds a JPEG; the header of one that does is short."""
    from ddpmcodec._native import parse_header

    with suppress(TruncatedError):
        return parse_header(bytes(data[:HEAD_BYTES])).has_coefficients
    return False


def _advice(task: Task, data: bytes, result: Result) -> str:
    """Names --original where a JPEG file becomes a larger PNG file."""
    grows = len(result.content) > len(data) and _is_jpeg(data)
    return f"{label(task.name)}: holds a JPEG file, which --original restores as it was" if grows else ""
