"""ddpmcodec bench"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpmcodec.errors import DdpmError, OutputError
from ddpmcodec.formats.files import check_output, write_file

from ._bench import (
    Request,
    baselines_option,
    bench_model_option,
    codings,
    command_line,
    denoiser_option,
    measure,
    no_bars_option,
    numbers,
    out_option,
    reals,
    refuse_existing,
    request_options,
    request_without_model,
    run_options,
)
from ._common import EXIT_CODES, each, echo, say
from ._many import ray_option
from ._options import effort_option, force_option, levels_option

if TYPE_CHECKING:
    from ddpmcodec.codec.efforts import Coding

FILES = (Path("README.md"), Path("docs/benchmarks.md"))  # that `readme` fills in
RESULTS = click.Path(exists=True, path_type=Path)


class OrderedGroup(click.Group):
    """Lists its commands in the order of this file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=OrderedGroup, epilog=EXIT_CODES)
def bench() -> None:
    """Measure size, rate versus distortion and speed beside other codecs, and compare with earlier results.

    Results are bench-NAME.json in the folder --out, beside their figures. A run that was interrupted goes on when it is
    started again. pip install 'ddpmcodec[bench,data]' for all of it.
    """


@bench.command(epilog=EXIT_CODES)
@request_options("1/0,2/0,2/1", "Settings of single-image files.")
@click.option(
    "--archives",
    type=codings(none=True),
    default="",
    metavar="E/L,E/L,...",
    help="And archives.",
)
@click.option(
    "--bits-back",
    type=numbers(2, none=True),
    default="",
    metavar="T,T,...",
    help="And archives by bits back, through so many noise levels of the denoiser.",
)
@denoiser_option
@ray_option
@run_options
def bpd(
    request: Request, archives: tuple[Coding, ...], bits_back: tuple[int, ...], denoiser: str | None, ray: str | None
) -> int:
    """Size of whole files without loss, in bits/dim, beside PNG, WebP and JPEG XL.

    Every file is decoded and compared. With each size stand the ideal code length, which is what the model itself
    needs, and the overhead of a file beyond it. Writes bench-bpd.json and the chart bpd.png, bpd.svg; prints tables.
    """
    return request.measure("bpd", lambda plan: plan(request.settings, archives, bits_back, denoiser), ray=ray)


@bench.command(epilog=EXIT_CODES)
@request_options("2/1,2/2,2/5", "Of our files.", limit=500)
@click.option(
    "--rates",
    type=reals(0.001),
    default="0.25,0.5,1,2,4",
    show_default=True,
    metavar="B,B,...",
    help="Bits per pixel at which the table compares codecs.",
)
@click.option(
    "--bounds",
    type=numbers(2, none=True),
    default="",
    metavar="T,T,...",
    help="And the variational bound of the denoiser on so many noise levels: Figure 5 and Table 4 of the DDPM paper.",
)
@denoiser_option
@ray_option
@run_options
def rd(
    request: Request, rates: tuple[float, ...], bounds: tuple[int, ...], denoiser: str | None, ray: str | None
) -> int:
    """Rate versus distortion of real prefixes of files, beside JPEG, WebP, JPEG 2000, AVIF and JPEG XL.

    Every file is cut at the end of each segment, and in the middle of those of exact pixels. A curve's points are
    means over images, of bits per pixel and of PSNR, at a place in the file or a quality; BD-rates are taken image by
    image, also at equal SSIMULACRA 2 where libjxl's program ssimulacra2 is installed. Writes bench-rd.json, the charts
    rd, rd-ssim and rd-ssimulacra2 as PNG and SVG, and compressai/*.json; prints tables.
    """
    return request.measure("rd", lambda plan: plan(request.settings, rates, bounds, denoiser), ray=ray)


@bench.command(epilog=EXIT_CODES)
@request_options("1/0,1/1,2/0,2/1", "Of our files.", limit=512)
@click.option(
    "--megapixels",
    type=reals(0.001, none=True),
    default="",
    metavar="M,M,...",
    help="Also synthetic photographs of these sizes, with the peak memory of encode and decode: 6,24, say.",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Of every timing.")
@run_options
def speed(request: Request, megapixels: tuple[float, ...], repeats: int) -> int:
    """Throughput, time by step, previews, peak memory, start-up and installed size, beside PNG, WebP and JPEG XL.

    On one thread and on all; thumbnails in batches of 256, photographs one by one. Keep the machine idle meanwhile. The
    kernels are the fastest for this processor, or those that the environment variable DDPMCODEC_KERNELS names.
    Writes bench-speed.json, the chart speed-throughput and, of photographs of two sizes or more, speed-growth, as PNG
    and SVG; prints tables.
    """
    return request.measure("speed", lambda plan: plan(request.settings, megapixels, repeats))


@bench.command(epilog=EXIT_CODES)
@request_options("1/0,2/0", "Of archives.", limit=2000)
@click.option(
    "--workers",
    type=numbers(0),
    default="0,2",
    show_default=True,
    metavar="N,N,...",
    help="Processes that load; 0: the one that asks.",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Epochs after the first.")
@run_options
def loading(request: Request, workers: tuple[int, ...], repeats: int) -> int:
    """Images a second through PyTorch's DataLoader, in a random order, and the bytes that they take.

    An archive beside a folder of PNG or lossless WebP files, a WebDataset and an LMDB of them (where those packages are
    installed). Keep the machine idle meanwhile. Writes bench-loading.json; prints a table.
    """
    return request.measure("loading", lambda plan: plan(request.settings, workers, repeats))


@bench.command(epilog=EXIT_CODES)
@request_without_model
def jpeg(request: Request) -> int:
    """Size, times and prefixes of stored JPEG files, which come back byte for byte, beside JPEG XL and Lepton.

    The images are written as JPEG files of qualities 75 and 90 with 4:2:0 and 95 with 4:4:4, with standard Huffman
    tables and with optimised ones. Times are multiples of the time that JPEG XL takes to encode the same files.
    Prefixes are compared with those of the same JPEG files in progressive scans, in bytes at equal PSNR. Keep the
    machine idle meanwhile. Writes bench-jpeg.json; prints tables.
    """
    return request.measure("jpeg", lambda plan: plan())


@bench.command(epilog=EXIT_CODES)
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="IMAGES..."
)
@out_option
@effort_option
@levels_option
@click.option(
    "--bytes",
    "sizes",
    type=numbers(1, none=True),
    default="",
    metavar="N,N,...",
    help="Budgets.  [default: ten, from 1/64 of our file to all of it]",
)
@baselines_option
@bench_model_option
@force_option
@no_bars_option
def strips(
    images: tuple[Path, ...],
    out: Path,
    effort: int,
    levels: int,
    sizes: tuple[int, ...],
    no_baselines: bool,
    model: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """What the first bytes of a file show, beside AVIF, WebP and JPEG files of as many bytes, as pictures.

    Ours are prefixes of one file; the others are encoded anew for every budget, at the highest quality that fits.
    Writes bench-strips.json and a picture strip-NAME.png of every image; prints a table.
    """
    refuse_existing(out, "strips", force=force)

    from ddpmcodec.benchmarks.strips import Plan, load_pictures, run
    from ddpmcodec.codec.efforts import Coding

    plan, baselines = Plan(Coding(effort, levels), sizes), not no_baselines
    return measure(
        lambda: run(load_pictures(images), out, model, plan, command=command_line(), baselines=baselines, quiet=quiet)
    )


@bench.command(epilog=EXIT_CODES)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="HTML", help="The page (default: report.html in FOLDER)."
)
@force_option
def report(folder: Path, output: Path | None, force: bool) -> None:
    """One self-contained HTML page of the results in FOLDER and in its folders."""
    path = output or folder / "report.html"
    check_output(path, None, force=force)

    from ddpmcodec.benchmarks.report import page

    write_file(path, page(folder).encode(), replace=force)
    say(f"{folder} -> {path}")


@bench.command(epilog=EXIT_CODES)
@click.argument("old", type=RESULTS)
@click.argument("new", type=RESULTS)
def compare(old: Path, new: Path) -> int:
    """What got better or worse from OLD to NEW, result files or folders of them. Exit code 1: something got worse.

    Sizes and qualities are compared image by image where both have the image, and timings, on the same machine only, as
    two samples. A change counts if it exceeds three standard errors; a timing must also change by 5 %.
    """
    from ddpmcodec.benchmarks.compare import compare as run

    comparison = run(old, new)
    if comparison.changes:
        echo(comparison.table().markdown())
    for note in comparison.notes:
        say(note)
    if not comparison.changes:
        raise OutputError(f"{old} and {new} have no measurement in common: nothing can be compared")
    counts = ", ".join(f"{comparison.count(verdict)} {verdict}" for verdict in ("worse", "better", "same", "unknown"))
    say(f"{old} -> {new}: {counts}")
    return 1 if comparison.count("worse") else 0


@bench.command(epilog=EXIT_CODES)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="benchmarks/results",
    show_default=True,
    help="Folder of folders of results.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where something is not as in the results.")
def readme(files: tuple[Path, ...], results: Path, check: bool) -> int:
    """Fill in the tables and figures of FILES from results; default: README.md and docs/benchmarks.md.

    Between <!-- bench: FOLDER/KIND table NAME --> and <!-- /bench --> stands that table of the result; with figure for
    table, that figure.
    """
    return each([str(file) for file in files or FILES], lambda name: _fill(Path(name), results, check))


def _fill(file: Path, results: Path, check: bool) -> None:
    from ddpmcodec.benchmarks.report import updated

    text = file.read_text()
    new = updated(text, file.parent, results)
    if new == text:
        say(f"{file}: is as in the results")
    elif check:
        raise DdpmError(f"{file}: is not as in the results: run ddpmcodec bench readme {file}")
    else:
        write_file(file, new.encode())
        say(f"{file}: filled in")
