"""Where the results of a command go."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpmcodec.content import Content, FileView, Part
from ddpmcodec.errors import DdpmError, FormatError, OutputError
from ddpmcodec.formats.files import check_output, write_below, write_file
from ddpmcodec.formats.folders import with_suffix

from ._common import ENCODED, STANDARD, can_be_read_twice, label, standard_output, write_stdout

if TYPE_CHECKING:
    from PIL import Image

    from ddpmcodec.format.sections import KeptFacts

JPEG_START = b"\xff\xd8\xff"
SAME_FORMAT = {".png": (".png",), ".jpg": (".jpg", ".jpeg", ".jpe", ".jfif")}  # suffixes that outputs may have, too


class Outputs:
    """Where the results of one run go: refused before the work starts, written whole after it.

    Of several files, and with mirror, which is for sources below folders, `output` is a folder; so is what ends in a
    slash. It is made where it is missing. keep_suffix: photo.jpg.ddpm.
    """

    def __init__(
        self,
        files: Sequence[str],
        output: str | None,
        suffix: str,
        *,
        force: bool,
        mirror: bool = False,
        keep_suffix: bool = False,
    ) -> None:
        self.output, self.suffix, self.force, self.keep_suffix = output, suffix, force, keep_suffix
        is_folder = output is not None and Path(output).is_dir()
        self.below = mirror or is_folder or (output is not None and (len(files) > 1 or output.endswith("/")))
        is_file = output is not None and (Path(output).exists() or Path(output).suffix == suffix) and not is_folder
        if self.below and output is not None and (output == STANDARD or is_file):
            why = "with -r" if mirror else "with several files" if len(files) > 1 else "with a slash at its end"
            raise click.UsageError(f"{why}, -o must be a folder, which {output} is not")

    def output_for(self, source: str) -> str:
        """The output for a source, or "-". Raises OutputError when it must not be written."""
        return self.check(source, self.name(source))

    def check(self, source: str, name: str, *, replaces: bool = False) -> str:
        """The name of the output. replaces: of what is there already. Raises OutputError when it must not be
        written."""
        if name == STANDARD:
            if standard_output().isatty():
                raise OutputError(f"{label(source)}: no binary data to a terminal: name a file with -o, or use a pipe")
            return name
        if self.suffix == ENCODED:
            self._refuse_control(source, Path(name))
        if not self.below or Path(name).parent.is_dir():
            check_output(Path(name), None if source == STANDARD else Path(source), force=self.force or replaces)
        return name

    def _refuse_control(self, source: str, target: Path) -> None:
        """Raises OutputError if a file of ours would have a name that archives refuse, too, as lists of names have one
        on a line."""
        from ddpmcodec.format.ddpma import CONTROL

        made = target.relative_to(self.output) if self.below and self.output else target.name
        if found := CONTROL.search(str(made)):
            problem = f"the name of its file would have the character U+{ord(found[0]):04X}"
            raise OutputError(f"{label(source)}: {problem}: rename it, or name the output with -o")

    def name(self, source: str, below: Path | None = None, suffix: str | None = None) -> str:
        """The output for a source. below: its path in the folder that was given. suffix: in place of that of all."""
        if self.output is None:
            return STANDARD if source == STANDARD else str(self._renamed(Path(source), suffix))
        if self.below:
            base = "stdin" if source == STANDARD else Path(source).name
            return str(self._renamed(Path(self.output, below or base), suffix))
        return self.output

    def _renamed(self, path: Path, suffix: str | None) -> Path:
        inner, suffix = path.with_suffix(""), suffix or self.suffix
        if path.suffix.lower() == ENCODED and inner.suffix.lower() in SAME_FORMAT.get(suffix, (suffix.lower(),)):
            return inner  # photo.png.ddpm, as --keep-suffix names it, becomes photo.png
        return with_suffix(path, suffix, self.keep_suffix)

    def write(
        self,
        output: str,
        data: bytes,
        source: str,
        *,
        replaces: bool = False,
        still: Callable[[], object] | None = None,
    ) -> None:
        """Write an output, with the permissions and the modification time of its source, where that is a file.
        still: as in `write_file`."""
        if output == STANDARD:
            write_stdout(data)
        else:
            like = [] if source == STANDARD else [Path(source)]
            write = write_below if self.below else write_file
            write(Path(output), data, replace=self.force or replaces, like=like, still=still)


def is_whole(path: Path) -> bool:
    """Whether what is there can be an image file as this program writes it: not empty, by its suffix a PNG or a JPEG
    from its start on, and a PNG up to its end. Raises OSError."""
    from ddpmcodec.formats import png

    if not path.is_file():  # a pipe would be waited for
        return False
    with path.open("rb") as file:
        start, size = file.read(len(png.START)), file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(png.END)))
        end, suffix = file.read(), path.suffix.lower()
    if suffix in SAME_FORMAT[".jpg"]:
        return start.startswith(JPEG_START)
    is_png = start == png.START
    return size > 0 and (end == png.END if is_png else suffix != ".png")


def refuse_image_name(output: str, verb: str, suffix: str) -> None:
    """Raises UsageError where an output that is no image is named as one, and would replace it with -f."""
    if not output.endswith(suffix) and is_image_name(output):  # without importing what Pillow reads, where it can be
        raise click.UsageError(f"{output}: {verb} writes {suffix} files: name it {Path(output).with_suffix(suffix)}")


def is_image_name(output: str) -> bool:
    """Whether an output has the extension of an image, and is no folder."""
    if not (suffix := Path(output).suffix.lower()) or output.endswith("/") or os.path.isdir(output):
        return False
    from ddpmcodec.formats.image_files import opened_extensions

    return suffix in opened_extensions()


def check_archive_output(
    output: str, sources: Sequence[Path], verb: str, force: bool, *, replaces_source: bool = False
) -> None:
    """Raises UsageError for the name of an image, OutputError where no archive should be written otherwise.
    replaces_source: with force in the place of one of the sources, which was read before."""
    if output == STANDARD:
        if standard_output().isatty():
            raise OutputError("no binary data to a terminal: name a file, or use a pipe")
        return
    for source in [] if replaces_source and force else sources:
        if replaces_source and source.exists() and Path(output).exists() and source.samefile(output):
            raise OutputError(f"{output}: is an input itself: use -f to replace it, or name another output")
        check_output(Path(output), source, force=force)
    check_output(Path(output), None, force=force)
    refuse_image_name(output, verb, ".ddpma")
    if Path(output).suffix == ENCODED:
        raise click.UsageError(f"{output}: is the name of a file of one image: name it {Path(output).stem}.ddpma")


def spool_folder(output: str) -> Path:
    """Where the parts of an archive wait until it is written: beside it, as there must be room for it; otherwise where
    the system keeps temporary files. Raises OutputError."""
    if output != STANDARD and (Path(output).is_file() or not Path(output).exists()):
        return Path(os.path.realpath(output)).parent
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise OutputError("there is no folder for temporary files: name one by the variable TMPDIR") from error


class ArchiveOutput:
    """Where an archive goes: it takes the place of what is there, unless somebody else's has meanwhile."""

    def __init__(self, output: str, sources: Sequence[Path], verb: str, force: bool, *, replaces_source: bool) -> None:
        """Raises UsageError and OutputError as `check_archive_output`."""
        check_archive_output(output, sources, verb, force, replaces_source=replaces_source)
        self.output, self.force, self.version = output, force, version_of(output)

    def write(self, pieces: Sequence[Part]) -> int:
        """Return how many bytes it has. Its time and permissions are those of any new file, for it is no version of a
        single one of its sources. Raises OutputError where the output is not what it was, also while it is written."""
        if self.output == STANDARD:
            for piece in pieces:
                write_stdout(bytes(piece))
        else:
            self._require_version()
            write_file(Path(self.output), pieces, replace=self.force, still=self._require_version)
        return sum(map(len, pieces))

    def _require_version(self) -> None:
        if version_of(self.output) != self.version:
            raise OutputError(f"{self.output}: another program has written it meanwhile: run the command again")


def version_of(name: str) -> tuple[int, ...]:
    """What changes when a file is written again; empty for what is no file."""
    try:
        found = os.stat(name)
    except OSError:
        return ()
    if name == STANDARD or not stat.S_ISREG(found.st_mode):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


# --- files that a .ddpm file keeps whole


def kept_in(name: str) -> KeptFacts | None:
    """The facts of the file that a file keeps whole; None if there is none, or if they cannot be read."""
    with suppress(DdpmError, OSError):
        return kept_of(FileView(Path(name))) if can_be_read_twice(name) else None
    return None


def kept_of(data: Content) -> KeptFacts | None:
    """As `kept_in`, of a file's content."""
    from ddpmcodec._native import Container
    from ddpmcodec.format.sections import kept_facts

    with suppress(FormatError):  # which decoding raises again
        return kept_facts(Container(data))
    return None


def is_named(output: str, kept: KeptFacts) -> bool:
    """Whether an output has the ending of the file that is kept whole."""
    return Path(output).suffix[1:].lower() == kept.ending.lower()


def picture_alone(name: str, kept: KeptFacts, image: Image.Image) -> str:
    """Return what is said of a picture of a file that is kept whole."""
    shown = "its first picture" if image.size == (kept.width, kept.height) else "a small preview of it"
    return (
        f"{label(name)}: keeps a {kept.format} file whole ({kept.reason}), and this is {shown}: --original restores"
        " the file"
    )
