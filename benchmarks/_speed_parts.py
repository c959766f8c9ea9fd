"""The timings of ddpmcodec bench speed, each a function that returns one entry of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ddpmcodec.errors import ChecksumError
from ddpmcodec.files import write_file
from ddpmcodec.images import load_image, save_image
from ddpmcodec.networks import Model, default_model

from ._coders import Coder, of_effort
from ._data import Pixels
from ._photo import synthetic_photo
from ._process import ddpmcodec
from ._stages import watching
from ._timing import timed

Entry = dict[str, Any]

WARM_UP_IMAGES = 2
ASPECT = 2 / 3  # height to width of a synthetic photograph
TINY = 32


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """So many threads for PyTorch, and for `run_all`."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def throughput(coder: Coder, images: Sequence[Pixels], threads: int, repeats: int) -> Entry:
    """Seconds of encoding and decoding all images; raw bytes are a byte a dimension."""
    with threads_of(threads):
        coder.decode(coder.encode(images[:WARM_UP_IMAGES]))
        runs = [_there_and_back(coder, images) for _ in range(repeats)]
    return {
        "codec": coder.name,
        "calls": coder.calls,
        "threads": threads,
        "images": len(images),
        "raw_bytes": sum(image.size for image in images),
        "bytes": runs[0][0],
        "encode_seconds": [encode for _, encode, _ in runs],
        "decode_seconds": [decode for _, _, decode in runs],
    }


def _there_and_back(coder: Coder, images: Sequence[Pixels]) -> tuple[int, float, float]:
    """(bytes, seconds to encode, seconds to decode)"""
    files, encode = timed(lambda: coder.encode(images))
    back, decode = timed(lambda: coder.decode(files))
    if not all(map(np.array_equal, images, back)):
        raise ChecksumError(f"{coder.name}: an image did not come back as it was: a defect")
    return sum(map(len, files)), encode, decode


def stages(make: Callable[[Model], Coder], model: Model, images: Sequence[Pixels], folder: Path) -> Entry:
    """Seconds by stage of encoding PNG files to our files, and of decoding these to PNG files, on one thread."""
    sources = [folder / f"{number}.png" for number in range(len(images))]
    for path, image in zip(sources, images, strict=True):
        Image.fromarray(image).save(path)
    coded: list[Path] = []
    with threads_of(1):
        make(model).encode(images[:WARM_UP_IMAGES])
        with watching(model) as (clock, watched):
            encode = clock.stages(timed(lambda: coded.extend(_encode_files(make(watched), sources)))[1])
        with watching(model) as (clock, watched):
            decode = clock.stages(timed(lambda: _decode_files(make(watched), coded))[1])
    return {"codec": make(model).name, "images": len(images), "encode": encode, "decode": decode}


def _encode_files(coder: Coder, sources: Sequence[Path]) -> list[Path]:
    images = [np.asarray(load_image(path.read_bytes(), str(path)).convert("RGB")) for path in sources]
    files = coder.encode(images)
    coded = [path.with_suffix(".ddpm") for path in sources[: len(files)]]
    for path, data in zip(coded, files, strict=True):
        write_file(path, data)
    return coded


def _decode_files(coder: Coder, coded: Sequence[Path]) -> None:
    for number, image in enumerate(coder.decode([path.read_bytes() for path in coded])):
        write_file(coded[0].with_name(f"back-{number}.png"), save_image(Image.fromarray(image), "PNG"))


def growth(
    model: Model | None, options: Sequence[str], effort: int, megapixels: float, repeats: int, folder: Path
) -> Entry:
    """Of a synthetic photograph: seconds in this process on all threads, and peak memory of processes of their own.

    model: None for the embedded one for images of this size.
    """
    photo, coded = folder / "photo.png", folder / "photo.ddpm"
    height = round((1e6 * megapixels * ASPECT) ** 0.5)
    picture = synthetic_photo(round(1e6 * megapixels / height), height)
    picture.save(photo, compress_level=1)
    coder = of_effort(model or default_model(picture.width * picture.height), effort)
    timings = throughput(coder, [np.asarray(picture)], torch.get_num_threads(), repeats)
    encode = ddpmcodec("encode", photo, "-o", coded, "-f", "-q", "--no-verify", f"--effort={effort}", *options)
    decode = ddpmcodec("decode", coded, "-o", folder / "back.png", "-f", "-q", *options)
    peaks = {"encode_peak_bytes": encode.peak_bytes, "decode_peak_bytes": decode.peak_bytes}
    return {"megapixels": picture.width * picture.height / 1e6} | timings | peaks


def start_up(options: Sequence[str], repeats: int, folder: Path) -> list[Entry]:
    """Seconds of the help, and of one tiny image there and back, each a process of its own."""
    tiny, coded = folder / "tiny.png", folder / "tiny.ddpm"
    synthetic_photo(TINY, TINY).save(tiny)
    commands: dict[str, list[str | Path]] = {
        "--help": ["--help"],
        f"encode one {TINY}x{TINY} image": ["encode", tiny, "-o", coded, "-f", "-q", *options],
        "decode it": ["decode", coded, "-o", folder / "tiny-back.png", "-f", "-q", *options],
    }
    return [
        {"command": name, "seconds": [ddpmcodec(*words).seconds for _ in range(repeats)]}
        for name, words in commands.items()
    ]
