"""The timings of ddpmcodec bench speed, each a function that returns one entry of the result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ddpmcodec import codec
from ddpmcodec.codec.tiles import SegmentCost
from ddpmcodec.errors import ChecksumError
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.model_file import default_model

from ._coders import Coder, batches_of, of_effort
from ._data import Pixels
from ._lossless import is_webp
from ._ours import CodeLength, name_of
from ._photo import synthetic_photo
from ._process import ddpmcodec
from ._timing import seconds, timed

Entry = dict[str, Any]

PREVIEW_SHARE = 0.02  # of a file
LEAST_PREVIEW = 32  # bytes beyond the header, to have something to show
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


def warm_up(coder: Coder) -> None:
    """Load everything: the first call of a kernel may compile it."""
    coder.decode(coder.encode([np.asarray(synthetic_photo(TINY, TINY))]))


def throughput(coder: Coder, images: Sequence[Pixels], threads: int, repeats: int) -> Entry:
    """Seconds of encoding and decoding all images; raw bytes are a byte a dimension."""
    with threads_of(threads):
        warm_up(coder)
        runs = [_there_and_back(coder, images) for _ in range(repeats)]
    return {
        "codec": coder.name,
        "products": coder.products and coder.products(images),
        "threads": threads,
        "images": len(images),
        "raw_bytes": sum(image.size for image in images),
        "bytes": runs[0][0],
        "encode_seconds": [encode for _, encode, _ in runs],
        "decode_seconds": [decode for _, _, decode in runs],
    }


def _there_and_back(coder: Coder, images: Sequence[Pixels]) -> tuple[int, float, float]:
    """(bytes, seconds to encode, seconds to decode)"""
    batches = [images[batch] for batch in batches_of(images)]
    files, encode = timed(lambda: list(map(coder.encode, batches)))
    found, decode = timed(lambda: list(map(coder.decode, files)))
    if not all(map(np.array_equal, chain.from_iterable(batches), chain.from_iterable(found))):
        raise ChecksumError(f"{coder.name}: an image did not come back as it was: a defect")
    return sum(map(len, chain.from_iterable(files))), encode, decode


def steps(model: ContextModel, effort: int, images: Sequence[Pixels]) -> Entry:
    """Bits and seconds of every step of the schedule, by the codec's own report, on one thread."""
    encoding, decoding = CodeLength(), CodeLength()
    with threads_of(1):
        warm_up(of_effort(model, effort))
        for image in images:
            data = codec.encode(image, effort=effort, model=model, verify=False, report=encoding)
            codec.decode_details(data, model=model, report=decoding)
    pixels = sum(image[..., 0].size for image in images)
    bits, encode = _by_level(encoding.costs)
    _, decode = _by_level(decoding.costs)
    return {
        "codec": name_of(effort),
        "images": len(images),
        "steps": [
            {
                "level": level,
                "bits_per_pixel": bits[level] / pixels,
                "encode_seconds": encode[level],
                "decode_seconds": decode.get(level, 0.0),
            }
            for level in bits
        ],
    }


def _by_level(costs: Sequence[SegmentCost]) -> tuple[dict[int, float], dict[int, float]]:
    """Bits and seconds of all segments of a step."""
    bits, times = defaultdict[int, float](float), defaultdict[int, float](float)
    for cost in costs:
        bits[cost.level] += cost.bits
        times[cost.level] += cost.seconds
    return bits, times


def preview(model: ContextModel, effort: int, image: Pixels, threads: int, repeats: int) -> Entry:
    """Seconds of a preview from the first bytes of a file, and of decoding all of it; none for files too small."""
    with threads_of(threads):
        data = codec.encode(image, effort=effort, model=model, verify=False)
        size = round(PREVIEW_SHARE * len(data))
        entry: Entry = {"codec": name_of(effort), "threads": threads, "bytes": len(data), "preview_bytes": size}
        if is_webp(data) or size < codec.info(data)["header_bytes"] + LEAST_PREVIEW:
            return entry | {"skipped": "the file is too small, or a lossless WebP"}
        return entry | {
            "preview_seconds": seconds(lambda: codec.decode(data, max_bytes=size, model=model), repeats),
            "decode_seconds": seconds(lambda: codec.decode(data, model=model), repeats),
        }


def growth(
    model: ContextModel | None, options: Sequence[str], effort: int, megapixels: float, repeats: int, folder: Path
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
