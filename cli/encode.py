"""ddpmcodec encode"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpmcodec.errors import FormatError, ImageError

from ._common import EXIT_CODES, can_be_read_twice, label, naming, naming_options, read_input, say, unkept_lines
from ._many import Choice, loader, many_options, run
from ._options import (
    any_format_option,
    effort_option,
    encode_levels_option,
    files_argument,
    max_pixels_option,
    model_option,
    no_verify_option,
    output_option,
    pixels_option,
    strict_option,
    tile_option,
)
from ._outputs import JPEG_START, refuse_image_name
from ._report import Bar, Result, Shape, StepCosts, Task, coding_line, ratio

if TYPE_CHECKING:
    from ddpmcodec.codec.encoder import EncodeOptions
    from ddpmcodec.codec.reading import FileRead, Reading
    from ddpmcodec.format.sections import KeptFile
    from ddpmcodec.models.registry import Model


# What people call files, by what is coded of them.
KIND_NAMES = {"pixels": "pixels", "coefficients": "JPEG"}


@click.command(epilog=EXIT_CODES)
@files_argument
@output_option
@effort_option
@encode_levels_option
@model_option
@click.option("--strip", is_flag=True, help="Leave out the ICC profile, XMP, and EXIF but for the orientation.")
@any_format_option
@pixels_option
@tile_option
@strict_option
@max_pixels_option
@no_verify_option
@click.option("--keep-suffix", is_flag=True, help="photo.jpg becomes photo.jpg.ddpm.")
@click.option(
    "--rm",
    "removes",
    is_flag=True,
    help="Remove each image once its file is verified and on disk, unless that is larger. An image that has something"
    " that no file would keep is kept whole, or refused with --strict. With --skip-existing, a file that exists stays"
    " if it holds the same pixels and metadata, and is written again otherwise.",
)
@many_options
def encode(
    choice: Choice, effort: int, levels: int | None, model: str | None, strip: bool, any_format: bool,
    pixels: bool, tile: int | None, strict: bool, max_pixels: int, no_verify: bool, keep_suffix: bool, removes: bool,
) -> int:  # fmt: skip
    """Compress images without loss: photo.png becomes photo.ddpm. FILE - is standard input.

    Of a JPEG file the coefficients are coded, some 30% smaller, and `decode --original` gives it back byte for byte.
    With --pixels or --strip its pixels are coded, which takes several times its bytes.

    Animations, files of several pages, CMYK, more than 16 bits a sample, and files that are damaged or of a format that
    is not read are kept whole, with a small preview: decode gives them back byte for byte. With --strict or --strip
    they are refused.

    The ratio is that of the input's bytes to the output's. Results are printed in the order in which files finish.
    Outputs have the modification time and at most the permissions of their inputs. As in archives, their names have no
    control characters, such as line ends.

    \b
    ddpmcodec encode photo.png
    ddpmcodec encode -r photos -o encoded --skip-existing
    ddpmcodec encode scan.tif -o - --effort 3 --levels 0 | ssh host 'cat > scan.ddpm'
    """
    from ddpmcodec.codec.encoder import EncodeOptions

    if choice.output is not None and choice.output not in choice.files and not choice.recursive:
        refuse_image_name(choice.output, "encode", ".ddpm")
    if removes and no_verify:
        raise click.UsageError("--rm removes images whose files were verified: leave out --no-verify")
    options = EncodeOptions(
        effort=effort, levels=levels, tile=tile, strip=strip, any_format=any_format, pixels=pixels, strict=strict,
        verify=not no_verify,
    )  # fmt: skip
    reading = options.reading._replace(max_pixels=max_pixels)
    return run(choice, Encoder(choice, reading, options, loader(model, ray=choice.ray), keep_suffix, removes))


@dataclass
class Encoder:
    """Images to .ddpm files. reading: that of the options, with a limit of pixels. model: loads that of the options."""

    choice: Choice
    reading: Reading
    options: EncodeOptions
    model: Callable[[], Model | None]
    keep_suffix: bool = False
    removes: bool = False
    verb = "encode"
    noun = "image"
    compared = "not older, and of the same size in pixels; pixels were not compared"
    suffix = ".ddpm"
    extensions = None
    warned: bool = False

    def suffix_of(self, name: str) -> None:
        pass

    def shape(self, name: str) -> Shape | None:
        from ddpmcodec.formats.image_files import claimed_shape

        if not can_be_read_twice(name):
            return None
        _refuse_own_file(name)
        claimed = claimed_shape(Path(name))
        if claimed is None:
            return None
        pixels = claimed.width * claimed.height
        return Shape(pixels, _channels(claimed.mode), name if self.choice.verbose else claimed)

    def is_whole(self, path: Path) -> bool:
        from ddpmcodec import codec

        if not path.is_file():  # a pipe would be waited for
            return False
        data = path.read_bytes()
        try:
            facts = codec.info(data)
        except FormatError:
            return False
        return bool(facts["complete"]) and not facts["following_bytes"]

    def fits(self, name: str, path: Path) -> bool:
        from ddpmcodec import codec
        from ddpmcodec.formats.image_files import claimed_shape

        _refuse_own_file(name)
        claimed, facts = claimed_shape(Path(name)), codec.info(path)
        if facts["format"]:
            return bool(facts["original_bytes"] == Path(name).stat().st_size)
        if claimed is None:
            return True
        return {claimed.width, claimed.height} == {facts["width"], facts["height"]}  # Pillow turns those of TIFF

    def prepare(self) -> None:
        self.model()

    def read(self, task: Task, bar: Bar) -> bytes:
        from ddpmcodec.codec.reading import refuse_own_files

        data = read_input(task.name)
        refuse_own_files(data, label(task.name))
        may_grow = self.reading.strict or not self.reading.takes_coefficients
        if may_grow and data.startswith(JPEG_START) and not (self.choice.quiet or self.warned):
            planes = self._image(data, task).planes
            if not (planes.kept or planes.original):  # what is damaged is best called so
                self._warn_of_jpeg(task.name, bar)
        return data

    def code(self, tasks: Sequence[Task], datas: Sequence[bytes], bar: Bar) -> list[Result]:
        start, costs = time.monotonic(), StepCosts()
        images = [self._image(data, task) for data, task in zip(datas, tasks, strict=True)]
        held = self._held(tasks[0], images[0])
        files = self._encoded(tasks, images, bar, costs) if held is None else [held]
        results = [self._result(*each) for each in zip(tasks, datas, images, files, strict=True)]
        if self.choice.verbose and held is None and not images[0].planes.kept:  # one file then
            results[0].lines.extend(self._details(images[0], files[0], time.monotonic() - start, costs))
        return results

    def _image(self, data: bytes, task: Task) -> FileRead:
        from ddpmcodec.codec.reading import kept_whole, read_file
        from ddpmcodec.formats.image_files import MAIN_IMAGE_FORMATS

        name = label(task.name)
        with naming_options():
            image = read_file(data, name, self.reading)
        if not self.removes or image.planes.kept:
            return image
        if image.format in MAIN_IMAGE_FORMATS and not image.planes.original:
            raise ImageError(f"{name}: other pictures in the file would be lost with it: leave out --rm")
        if lines := unkept_lines(task.name, data, strip=self.reading.strip):
            if not self.reading.keeps(data, name):
                raise ImageError(f"{lines[0]}: leave out --rm")
            return kept_whole(data, name, lines[0].removeprefix(f"{name}: "), self.reading)
        return image

    def _warn_of_jpeg(self, name: str, bar: Bar) -> None:
        """Warns once in a run."""
        asked = next(f"leave out --{name}" for name in ("pixels", "strip", "strict") if getattr(self.reading, name))
        with bar.aside():
            if not self.warned:
                say(f"{label(name)}: a JPEG grows, as its pixels are coded: to store the file itself, {asked}")
            self.warned = True

    def _held(self, task: Task, image: FileRead) -> bytes | None:
        """Return the output that exists if it holds the image exactly: before an image is removed, and on this machine.
        Raises ModelError."""
        from ddpmcodec import codec

        if not (self.removes and task.replaces) or self.choice.ray is not None:
            return None
        with suppress(FormatError, ImageError), naming(task.output):
            file = Path(task.output).read_bytes()
            if image.planes.kept:
                return file if codec.decode_original(file) == image.planes.kept.content else None
            decoded = codec.decode_details(file, model=self.model(), max_pixels=image.width * image.height)
            if decoded.exact and decoded.planes.equals(image.planes):
                return file
        return None

    def _encoded(self, tasks: Sequence[Task], images: Sequence[FileRead], bar: Bar, costs: StepCosts) -> list[bytes]:
        from ddpmcodec.codec.encoder import encode_with

        first = images[0]
        shape = Shape(first.width * first.height, _channels(first.mode), None)
        options = replace(
            self.options,
            model=self.model(),
            progress=bar.progress(tasks, shape, 2 if self.options.verify else 1),
            report=costs.add if self.choice.verbose else None,
        )
        with naming(tasks[0].name):  # where it is one of several, each is tried on its own
            return encode_with([image.planes for image in images], options)

    def _result(self, task: Task, data: bytes, image: FileRead, file: bytes) -> Result:
        from ddpmcodec._native import parse_header
        from ddpmcodec.codec.kept import is_lossy_webp
        from ddpmcodec.format.header import CODINGS, PIXELS

        if image.planes.kept:
            return self._kept(task, image.planes.kept, file)
        pixels, times = image.width * image.height, ratio(len(data), len(file))
        facts = {"format": image.format, "width": image.width, "height": image.height, "mode": image.mode}
        rates = {"bpp": 8 * len(file) / pixels, "ratio": times}
        header = parse_header(file)
        facts["coding"], facts["kind"] = CODINGS[header.kind], KIND_NAMES[header.kind]
        line = f"{len(file)} bytes, {rates['bpp']:.3f} bpp, ratio {times:.3f}"
        line += f", {CODINGS[header.kind]}" * (header.kind != PIXELS)
        target, warnings = label(task.output, "standard output"), list[str]()
        if len(file) > len(data) and is_lossy_webp(data) and not self.warned:
            self.warned = True
            warnings.append(f"{label(task.name)}: a lossy WebP grows, as its pixels are coded")
        if not self.removes:  # which has looked for it before
            warnings += unkept_lines(task.name, data, strip=self.reading.strip)
        return Result(file, len(data), facts | rates, [f"{label(task.name)} -> {target}: {line}"], warnings)

    def _kept(self, task: Task, kept: KeptFile, file: bytes) -> Result:
        from ddpmcodec.codec.kept import DAMAGED, words_of
        from ddpmcodec.format.header import KEPT_WHOLE

        name, read = label(task.name), len(kept.content)
        facts = {"format": kept.format, "width": kept.width, "height": kept.height, "mode": None}
        rates = {
            "coding": KEPT_WHOLE,
            "kind": KEPT_WHOLE,
            "bpp": None,
            "ratio": ratio(read, len(file)),
            "reason": kept.reason,
        }
        line = f"{name} -> {label(task.output, 'standard output')}: {len(file)} bytes, {KEPT_WHOLE}, {words_of(kept)}"
        warnings = [f"{name}: the image is damaged, and its file {KEPT_WHOLE}"] if kept.reason == DAMAGED else []
        return Result(file, read, facts | rates, [line], warnings)

    def _details(self, image: FileRead, file: bytes, seconds: float, costs: StepCosts) -> list[str]:
        """The lines for -v."""
        from ddpmcodec._native import parse_header

        header = parse_header(file)
        samples = image.width * image.height * (header.channels + header.has_alpha)
        head = f"  {image.width} x {image.height} {image.mode}, {8 * len(file) / samples:.3f} bits/dim, {seconds:.2f} s"
        return [head, coding_line(header, self.model()), *costs.lines()]


def _refuse_own_file(name: str) -> None:
    """Raises ImageError for a .ddpm file or an archive."""
    from ddpmcodec._native import ARCHIVE_MAGIC
    from ddpmcodec.codec.reading import refuse_own_files

    with open(name, "rb") as file:
        refuse_own_files(file.read(len(ARCHIVE_MAGIC)), name)


def _channels(mode: str) -> int:
    """Samples of a pixel, about: for palettes those of their colours."""
    return {"1": 1, "L": 1, "LA": 2, "RGBA": 4, "PA": 4}.get(mode, 3)
