"""ddpmcodec archive create | list | extract | test"""

from __future__ import annotations

import fnmatch
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from ddpmcodec.errors import DdpmError, ImageError, OutputError
from ddpmcodec.files import write_below

from ._archive_join import join
from ._common import (
    EXIT_CODES,
    PATH_NAME,
    STANDARD,
    any_format_option,
    archive_levels_option,
    echo,
    effort_option,
    failure,
    force_option,
    label,
    max_pixels_option,
    naming,
    naming_options,
    pixels_option,
    printable,
    progress,
    quiet_option,
    read_input,
    say,
    verbose_option,
    webp_option,
)
from ._many import folder_sources
from ._outputs import check_archive_output, write_archive
from ._report import archive_line

if TYPE_CHECKING:
    from PIL import Image

    from ddpmcodec.codec.reading import Reading
    from ddpmcodec.images import Planes

REPORT_SECONDS = 10.0  # between words about what is done, where no bar is shown

file_argument = click.argument("file", type=PATH_NAME, metavar="FILE")
names_argument = click.argument("names", nargs=-1, metavar="[NAMES]...")
network_option = click.option(
    "--model",
    metavar="NAME|PATH",
    help="A context model, by name or file; for bits back a Gaussian model, or a checkpoint of the paper's network."
    " By default, create chooses an embedded model for each block of thumbnails, and the other commands use the one"
    " that the archive names.",
)


@click.group(epilog=EXIT_CODES)
def archive() -> None:
    """Store many images in one file, without a file header for each."""


archive.add_command(join)


@archive.command(epilog=EXIT_CODES)
@click.argument("output", type=PATH_NAME, metavar="OUT.ddpma")
@click.argument("images", nargs=-1, required=True, type=PATH_NAME, metavar="IMAGES...")
@click.option(
    "--bits-back",
    type=click.IntRange(min=2),
    metavar="T",
    help="Code by bits back through T noise levels of latents, those of the paper's process, a network call each.",
)
@effort_option
@archive_levels_option
@network_option
@force_option
@click.option("--strip", is_flag=True, help="Leave out ICC profiles, XMP, and EXIF but for orientations.")
@any_format_option
@webp_option
@pixels_option
@click.option("--no-verify", is_flag=True, help="Do not decode and compare the result before it is written.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads. [default: as many as processors]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output: images, left out, bytes.")
@quiet_option
@verbose_option
def create(
    output: str,
    images: tuple[str, ...],
    bits_back: int | None,
    effort: int,
    levels: int | None,
    model: str | None,
    force: bool,
    strip: bool,
    any_format: bool,
    webp: bool,
    pixels: bool,
    no_verify: bool,
    threads: int | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Archive images without loss, under their names; of a folder all images below it, under their paths in it.

    The context model codes small images together, with --effort and --levels. With --bits-back, a Gaussian model codes
    them, unless they are so few that all of them would serve as its initial bits; --effort and --levels then apply only
    to the other images. A checkpoint of the paper's network codes by bits back through its own noise levels, unless
    --bits-back says how many.

    An input that cannot be read is named and left out, and the exit code is 1. In folders, files without an image's
    extension are left out and counted.
    """
    from ddpmcodec.codec.reading import Reading
    from ddpmcodec.parallel import threads_of

    if as_json and output == STANDARD:
        raise click.UsageError("--json and an archive cannot both be on standard output: name a file")
    folders, failures = list[int](), list[int]()  # exit codes of those that cannot be read
    files = _gather(images, quiet, folders)
    check_archive_output(output, [path for _, path in files], "archive create", force)
    start = time.monotonic()
    with threads_of(threads), naming(output), progress(output, 0, quiet=quiet) as advance:
        from ddpmcodec import archive as archives

        data = archives.create(
            _read_images(files, failures, Reading(strip, any_format, pixels), reports=not quiet and advance is None),
            effort=effort,
            levels=levels,
            bits_back=bits_back,
            model=model,
            webp=webp,
            verify=not no_verify,
            progress=advance,
        )
    write_archive(output, data, [path for _, path in files], force)
    if as_json:
        facts = {"file": output, "images": len(files) - len(failures), "left_out": len(failures), "bytes": len(data)}
        echo(json.dumps(facts))
    if not quiet:
        say(f"{len(files) - len(failures)} images -> {label(output, 'standard output')}: {len(data)} bytes")
    if verbose:
        say(f"  {time.monotonic() - start:.2f} s")
    if failures:
        say(f"{len(failures)} of {len(files)} files were left out")
    return max([*folders, *failures], default=0)


def _gather(inputs: Sequence[str], quiet: bool, failures: list[int]) -> list[tuple[str, Path]]:
    """(name in the archive, file), in order. Raises ImageError when two would have one name."""
    files: dict[str, Path] = {}
    for name, path in _named(inputs, quiet, failures):
        if files.get(name, path) != path:
            raise ImageError(f"{path} and {files[name]} would both be {name}: archive the folder that holds them")
        files[name] = path
    if not files:
        raise ImageError(f"{', '.join(inputs)}: there is no image in it")
    return list(files.items())


def _named(inputs: Sequence[str], quiet: bool, failures: list[int]) -> Iterator[tuple[str, Path]]:
    for text in inputs:
        path = Path(text)
        if os.path.isdir(path):  # False, too, of what cannot be looked at: reading it says why
            sources = folder_sources(path, None, "image", quiet, lambda error: failures.append(failure(error)))
            yield from ((source.below.as_posix(), source.path) for source in sources)
        elif text == STANDARD:
            raise click.UsageError("an image on standard input has no name in an archive: name files or folders")
        else:
            yield path.name, path


def _read_images(
    files: Sequence[tuple[str, Path]], failures: list[int], reading: Reading, *, reports: bool
) -> Iterator[tuple[str, Planes]]:  # fmt: skip
    """The images that can be read; of the others the failure is printed, and its exit code added to `failures`.
    reports: says now and then how many are read."""
    from ddpmcodec.codec.reading import planes_of_file
    from ddpmcodec.format.ddpma import check_name

    last = time.monotonic()
    for number, (name, path) in enumerate(files):
        if reports and time.monotonic() - last >= REPORT_SECONDS:
            last = time.monotonic()
            say(f"{number} of {len(files)} images")
        try:
            if problem := check_name(name):
                raise ImageError(f"{path}: {name!r} cannot be its name in an archive: {problem}")
            with naming_options():
                planes = planes_of_file(path.read_bytes(), str(path), reading)
        except (DdpmError, OSError) as error:
            failures.append(failure(error))
            continue
        yield name, planes


@archive.command("list", epilog=EXIT_CODES)
@file_argument
@names_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(file: str, names: tuple[str, ...], as_json: bool) -> None:
    """Print the names, modes and sizes of the images: of all, or of these names, folders and patterns (*, ?, [a-z]).

    Nothing is decoded. FILE - is standard input.
    """
    from ddpmcodec.format.archive_facts import describe
    from ddpmcodec.format.ddpma import find_images, split

    data = read_input(file)
    with naming(file):
        facts = describe(data)
        wanted = _matching([image["name"] for image in facts["images"]], names)
        if wanted:
            find_images(split(data).index, wanted)  # refuses what is not there
    shown = [image for image in facts["images"] if wanted is None or image["name"] in wanted]
    if as_json:
        echo(json.dumps({"file": label(file), **facts, "images": shown}, allow_nan=False, indent=2))
        return
    for image in shown:
        echo(f"{image['width']:6} x {image['height']:<6} {image['mode']:5} {printable(image['name'])}")
    say(archive_line(file, facts))


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str] | None:
    """The names that are meant, by themselves, by folders, or by patterns; None without patterns. Raises DdpmError for
    one that matches none. A name is taken as it stands first, for it may hold brackets."""
    chosen: list[str] = []
    for pattern in patterns:
        below = [name for name in names if name.startswith(f"{pattern.rstrip('/')}/")]
        matching = [pattern] if pattern in names else below or fnmatch.filter(names, pattern)
        if not matching and _is_pattern(pattern):
            raise DdpmError(f"no image's name matches {pattern!r}: `ddpmcodec archive list` names all")
        chosen += matching or [pattern]  # which is reported as missing
    return chosen or None


def _is_pattern(text: str) -> bool:
    return any(letter in text for letter in "*?[")


@archive.command(epilog=EXIT_CODES)
@file_argument
@names_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=PATH_NAME,
    metavar="DIR",
    help="Folder for the PNG files; made where it is missing.",
)
@click.option(
    "--original",
    is_flag=True,
    help="The JPEG files that are stored as such, byte for byte, under their own names; no other image.",
)
@network_option
@max_pixels_option
@force_option
@quiet_option
def extract(
    file: str, names: tuple[str, ...], output: str, original: bool, model: str | None, max_pixels: int, force: bool,
    quiet: bool,
) -> int:  # fmt: skip
    """Restore images bit for bit as PNG files: all, or those of these names, folders and patterns (*, ?, [a-z]).

    FILE - is standard input. A * also matches the / between folders.

    Every undamaged image of a damaged archive is written, and an error names the others. If an image cannot be
    written, an error names it and the others are written.
    """
    from ddpmcodec.format.ddpma import find_images, split

    if output == STANDARD:
        raise click.UsageError("-o is the folder of the images, and - is standard output: name a folder")
    if Path(output).exists() and not Path(output).is_dir():
        raise OutputError(f"{output}: is a file: name a folder with -o")
    data = read_input(file)
    with naming(file):
        index = split(data).index
        chosen = _matching([entry.name for entry in index.entries], names)
        wanted = find_images(index, chosen)
    everything = [entry.name for entry in index.entries]
    targets = {name: Path(output, name) for name in everything} if original else _targets(Path(output), everything)
    if not force:
        _refuse_existing(Path(output), [targets[entry.name] for entry in wanted])
    done, failures, like = set[str](), list[int](), [] if file == STANDARD else [Path(file)]
    pixels = sum(entry.width * entry.height for entry in wanted)
    with naming(file), progress(file, pixels, quiet=quiet) as advance:
        from ddpmcodec import archive as archives
        from ddpmcodec.images import save_image

        try:
            restored: Iterator[tuple[str, Image.Image | bytes]]
            if original:
                restored = archives.originals(data, chosen, max_pixels=max_pixels)
            else:
                restored = archives.extract(data, chosen, model=model, max_pixels=max_pixels, progress=advance)
            for name, image in restored:
                try:
                    content = image if isinstance(image, bytes) else save_image(image, "PNG")
                    write_below(targets[name], content, replace=force, like=like)
                except OutputError as error:
                    failures.append(failure(error))
                    continue
                done.add(name)
        finally:
            if done and not quiet:
                say(f"{label(file)}: {len(done)} images -> {output}")
    for name in names if original else ():
        if name in targets and name not in done:
            failures.append(failure(DdpmError(f"{label(file)}: {name} is stored as pixels: leave out --original")))
    return max(failures, default=0)


def _refuse_existing(folder: Path, targets: Sequence[Path]) -> None:
    """Raises OutputError where a file or a link has a target's name, or a link that of a folder below `folder`."""
    if existing := [target for target in targets if os.path.lexists(target)]:
        raise OutputError(f"{existing[0]}: exists already, {len(existing)} such files: use -f to overwrite them")
    parents = {folder / parent for target in targets for parent in target.relative_to(folder).parents} - {folder}
    if links := sorted(parent for parent in parents if os.path.islink(parent)):
        raise OutputError(f"{links[0]}: is a link, and leads to another folder: use -f to write there all the same")


def _targets(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """photo.png stays so, and photo.jpg becomes photo.png; where that is the place of another image, or of a folder of
    some, photo.jpg.png; and where that is, photo.jpg_.png."""
    used = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    chosen: dict[str, str] = {}
    short = {name: str(PurePosixPath(name).with_suffix(".png")) for name in names}
    rivals = Counter(short[name] for name in names if short[name] != name)
    for name in sorted(names, key=lambda name: short[name] != name):  # PNG files first
        if short[name] not in used and (short[name] == name or rivals[short[name]] == 1):
            used.add(short[name])
            chosen[name] = short[name]
    for name in names:
        target = f"{name}.png"
        while name not in chosen and target in used:
            target = f"{target.removesuffix('.png')}_.png"
        used.add(chosen.setdefault(name, target))
    return {name: folder / target for name, target in chosen.items()}


@archive.command(epilog=EXIT_CODES)
@file_argument
@network_option
@max_pixels_option
@quiet_option
def test(file: str, model: str | None, max_pixels: int, quiet: bool) -> None:
    """Decode all images, check them, and throw them away. FILE - is standard input."""
    from ddpmcodec.format.archive_facts import describe

    data = read_input(file)
    with naming(file):
        pixels = sum(image["width"] * image["height"] for image in describe(data)["images"])
    with naming(file), progress(file, pixels, quiet=quiet) as advance:
        from ddpmcodec import archive as archives

        count = archives.test(data, model=model, max_pixels=max_pixels, progress=advance)
    if not quiet:
        echo(printable(f"{label(file)}: ok, {count} images"))
