"""Time and memory on a photograph: python -m ddpmcodec.benchmarks.speed [--image photo.png].

In this process: encoding a PNG file to a .ddpm file and decoding it to a PNG file, split into stages, beside other
codecs (from and to pixels in memory). As fresh processes of the command line: time and peak memory of the same work,
and the start-up. With --megapixels M, only a fresh process each for encoding and decoding a synthetic picture of that
size. Encoding is without its verification, which is one more decoding.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.files import write_file
from ddpmcodec.images import load_image, save_image
from ddpmcodec.networks import Model

from ._common import add_model, add_out, dataset, document, load, parse, report, seconds, table, timed
from ._peers import PEERS, Peer
from ._photo import synthetic_photo
from ._process import Ended, ddpmcodec
from ._stages import watching

DESCRIPTION = "wall seconds; MB/s of raw pixels; stages in thread-seconds; peak resident memory in MB (10^6 bytes)"
WIDTH, HEIGHT = 768, 512
TINY = 32
Pixels = NDArray[np.uint8]


def read(path: Path) -> Image.Image:
    return load_image(path.read_bytes(), str(path)).convert("RGB")


def check(a: Path, b: Path) -> None:
    if not np.array_equal(np.asarray(read(a)), np.asarray(read(b))):
        raise SystemExit(f"{a} did not come back")


def encode_file(image: Path, coded: Path, model: Model, effort: int) -> None:
    picture = load_image(image.read_bytes(), str(image))
    write_file(coded, codec.encode(picture, effort=effort, model=model, verify=False))


def decode_file(coded: Path, image: Path, model: Model) -> None:
    write_file(image, save_image(codec.decode(coded.read_bytes(), model=model), "PNG"))


def rates(pixels: Pixels, size: int, encode: float, decode: float) -> dict[str, Any]:
    """The columns that every codec has; size in bytes, times in seconds."""
    return {
        "bits_per_dim": 8 * size / pixels.size,
        "encode_seconds": encode,
        "decode_seconds": decode,
        "encode_mb_s": pixels.size / 1e6 / encode,
        "decode_mb_s": pixels.size / 1e6 / decode,
    }


def ours(image: Path, model: Model, effort: int, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(rates, stages of encoding and decoding)."""
    coded, back = folder / "photo.ddpm", folder / "back.png"
    with watching(model) as (clock, watched):
        _, encode = timed(lambda: encode_file(image, coded, watched, effort))
        stages = [stage_row(effort, "encode", encode, clock.stages(encode))]
    with watching(model) as (clock, watched):
        _, decode = timed(lambda: decode_file(coded, back, watched))
        stages.append(stage_row(effort, "decode", decode, clock.stages(decode)))
    check(image, back)
    row = {"codec": f"ddpmcodec effort {effort}", "calls": len(model.presets[effort])}
    return row | rates(np.asarray(read(image)), coded.stat().st_size, encode, decode), stages


def stage_row(effort: int, operation: str, wall: float, stages: dict[str, float]) -> dict[str, Any]:
    total = sum(stages.values())
    shares = {f"{name}_percent": 100 * value / total for name, value in stages.items()}
    return {"effort": effort, "operation": operation, "wall_seconds": wall, "thread_seconds": total, **shares}


def theirs(pixels: Pixels, peer: Peer) -> dict[str, Any]:
    if peer.skipped:
        return {"codec": peer.name, "skipped": peer.skipped}
    data = peer.encode(pixels)
    if not np.array_equal(peer.decode(data), pixels):
        raise SystemExit(f"{peer.name} did not give the picture back")
    times = (seconds(lambda: peer.encode(pixels), 1), seconds(lambda: peer.decode(data), 1))
    return {"codec": peer.name, "calls": None, **rates(pixels, len(data), *times)}


def ratios(own: Sequence[dict[str, Any]], peers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times the seconds of each peer each effort takes."""
    return [
        {"codec": ours["codec"], "operation": operation}
        | {p["codec"]: ours[key] / p[key] if key in p else p["skipped"] for p in peers}
        for ours in own
        for operation, key in (("encode", "encode_seconds"), ("decode", "decode_seconds"))
    ]


def processes(image: Path, effort: int, options: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """Encoding and decoding by the command line, each a fresh process."""
    coded, back = folder / "fresh.ddpm", folder / "fresh.png"
    encoded = ddpmcodec("encode", image, "-o", coded, "-f", "-q", "--no-verify", f"--effort={effort}", *options)
    decoded = ddpmcodec("decode", coded, "-o", back, "-f", "-q", *options)
    check(image, back)
    raw = read(image).size
    return [
        process_row(f"{name} effort {effort}", ended, 3 * raw[0] * raw[1])
        for name, ended in (("encode", encoded), ("decode", decoded))
    ]


def process_row(command: str, ended: Ended, raw_bytes: int) -> dict[str, Any]:
    return {
        "command": command,
        "seconds": ended.seconds,
        "mb_s": raw_bytes / 1e6 / ended.seconds,
        "peak_mb": ended.peak_bytes / 1e6,
    }


def start_up(runs: int, options: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """Median seconds of the help, and of one tiny image, as fresh processes."""
    tiny = folder / "tiny.png"
    synthetic_photo(TINY, TINY).save(tiny)
    commands: dict[str, list[str | Path]] = {
        "--help": ["--help"],
        f"encode one {TINY}x{TINY}": ["encode", tiny, "-o", folder / "tiny.ddpm", "-f", "-q", *options],
    }
    return [
        {"command": name, "runs": runs, "seconds": statistics.median(ddpmcodec(*c).seconds for _ in range(runs))}
        for name, c in commands.items()
    ]


def warm_up(model: Model, efforts: Sequence[int]) -> None:
    """Compile the kernels, or load them from numba's cache."""
    picture = synthetic_photo(2 * TINY, 2 * TINY)
    codec.decode(codec.encode(picture, effort=efforts[0], model=model), model=model)


def on_photo(
    image: Path, model: Model, efforts: Sequence[int], runs: int, options: Sequence[str], folder: Path
) -> dict[str, list[dict[str, Any]]]:
    """All tables of the ordinary mode."""
    fresh = [row for effort in efforts for row in processes(image, effort, options, folder)]
    starts = start_up(runs, options, folder)
    warm_up(model, efforts)
    own, stages = zip(*(ours(image, model, effort, folder) for effort in efforts), strict=True)
    peers = [theirs(np.asarray(read(image)), peer) for peer in PEERS]
    return {
        "codecs": [*own, *peers],
        "ratios": ratios(own, peers),
        "stages": [row for pair in stages for row in pair],
        "processes": fresh,
        "start_up": starts,
    }


def photo(args: argparse.Namespace, folder: Path) -> Path:
    """The picture to work on, as a file."""
    if args.image is not None:
        found: Path = args.image
        return found
    area = 1e6 * args.megapixels if args.megapixels else WIDTH * HEIGHT
    height = round((area * HEIGHT / WIDTH) ** 0.5)
    path = folder / "photo.png"
    synthetic_photo(round(area / height), height).save(path, compress_level=1)
    return path


def setup_args() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Time and memory on a photograph, and of starting up.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--image", type=Path, help=f"a photograph (default: a synthetic one, {WIDTH}x{HEIGHT})")
    what.add_argument("--megapixels", type=float, help="a large synthetic one: only time and peak memory")
    parser.add_argument("--efforts", type=int, nargs="+", help="(default: 1 5, and 1 with --megapixels)")
    parser.add_argument("--runs", type=int, default=5, help="starts to take the median of (default: %(default)s)")
    add_model(parser)
    add_out(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(setup_args(), argv)
    efforts = args.efforts or ([1] if args.megapixels else [1, 5])
    options = [f"--model={args.model}"] if args.model else []
    model = load(args.model, efforts)
    with TemporaryDirectory() as name:
        folder = Path(name)
        image = photo(args, folder)
        data = dataset(image.name if args.image else "synthetic", [np.asarray(read(image))])
        if args.megapixels:
            found = {"processes": [row for effort in efforts for row in processes(image, effort, options, folder)]}
        else:
            found = on_photo(image, model, efforts, args.runs, options, folder)
    results = document("speed", DESCRIPTION, argv, found, model=model, dataset=data)
    report(results, args.out, *map(table, found.values()))


if __name__ == "__main__":
    main()
