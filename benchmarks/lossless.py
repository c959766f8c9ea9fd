"""Size of whole files beside PNG, WebP and JPEG XL: python -m ddpmcodec.benchmarks.lossless --data PATH.

One file per image; every file is decoded and compared. The code length is what the coder's symbols cost under the
model, in the coder's own integers; the overhead is all that a file has beyond it: header, index, the coder's states and
its rounding.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import codec
from ddpmcodec.ans.logistic import cost_bits
from ddpmcodec.ans.stream import encode_reverse
from ddpmcodec.channels import uniform
from ddpmcodec.container import split
from ddpmcodec.networks import Model
from ddpmcodec.training.data import load_images

from ._common import add_model, add_out, dataset, document, load, parse, replaced, report, table, timed
from ._peers import PEERS, Peer

Images = Sequence[NDArray[np.uint8]]
DESCRIPTION = "whole files, one per image; bits/dim = 8 bytes / (3 H W), the mean over images; seconds of all images"


@contextmanager
def code_lengths() -> Iterator[dict[bytes, float]]:
    """Bits that the symbols of every stream cost, by the stream's bytes, for the streams written inside."""
    found: dict[bytes, float] = {}

    def encode(starts: NDArray[np.uint32], freqs: NDArray[np.uint32], check: int) -> bytes:
        stream = encode_reverse(starts, freqs, check)
        found[stream] = float(cost_bits(freqs).sum())
        return stream

    with replaced(uniform, "encode_reverse", encode):
        yield found


def bits_per_dim(images: Images, sizes: Sequence[float]) -> float:
    """Mean over the images of 8 bytes / dimensions."""
    return float(np.mean([8 * size / image.size for image, size in zip(images, sizes, strict=True)]))


def measure(
    images: Images, encode: Callable[[Images], list[bytes]], decode: Callable[[list[bytes]], list[Any]]
) -> tuple[list[bytes], dict[str, Any]]:
    """The files, and the figures that every codec has."""
    files, encode_seconds = timed(lambda: encode(images))
    found, decode_seconds = timed(lambda: decode(files))
    mismatches = sum(not np.array_equal(a, b) for a, b in zip(images, found, strict=True))
    return files, {
        "bytes": sum(map(len, files)),
        "bits_per_dim": bits_per_dim(images, [len(file) for file in files]),
        "mismatches": mismatches,
        "encode_seconds": encode_seconds,
        "decode_seconds": decode_seconds,
    }


def ours(images: Images, model: Model, effort: int) -> dict[str, Any]:
    with code_lengths() as costs:
        files, figures = measure(
            images,
            lambda originals: codec.encode_many(originals, effort=effort, model=model, verify=False),
            lambda files: codec.decode_many(files, model=model),
        )
    ideal = np.array([sum(costs[chunk] for chunk in split(file).chunks) / 8 for file in files])  # bytes
    overhead = np.array([len(file) for file in files]) - ideal
    return {
        "codec": f"ddpmcodec effort {effort}",
        "calls": len(model.presets[effort]),
        **figures,
        "code_length": bits_per_dim(images, ideal.tolist()),
        "overhead_min": float(overhead.min()),
        "overhead_mean": float(overhead.mean()),
        "overhead_max": float(overhead.max()),
        "overhead_max_percent": float((100 * overhead / ideal).max()),
    }


def theirs(images: Images, peer: Peer) -> dict[str, Any]:
    if peer.skipped:
        return {"codec": peer.name, "skipped": peer.skipped}
    _, figures = measure(
        images,
        lambda originals: [peer.encode(image) for image in originals],
        lambda files: [peer.decode(file) for file in files],
    )
    return {"codec": peer.name, **figures}


def line(row: dict[str, Any]) -> dict[str, Any]:
    """A line of the printed table."""
    overhead = [row.get(f"overhead_{part}") for part in ("min", "mean", "max")]
    return {
        "codec": row["codec"],
        "network calls": row.get("calls"),
        "bits/dim": row.get("skipped") or f"{row['bits_per_dim']:.3f}",
        "code length": f"{row['code_length']:.3f}" if "code_length" in row else None,
        "overhead (bytes a file: min / mean / max)": " / ".join(f"{x:.1f}" for x in overhead if x is not None) or None,
        "mismatches": row.get("mismatches"),
        "encode s": row.get("encode_seconds"),
        "decode s": row.get("decode_seconds"),
    }


def setup_args() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Size of whole files, one per image, beside PNG, WebP and JPEG XL.")
    parser.add_argument("--data", required=True, help="folder of images, .npy/.npz array [N, H, W, 3] or CIFAR-10 root")
    parser.add_argument("--split", default="test", choices=("train", "test"), help="of CIFAR-10 (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=1000, help="the first so many images (default: %(default)s)")
    parser.add_argument("--efforts", type=int, nargs="+", default=[1, 5, 7], help="(default: 1 5 7)")
    add_model(parser)
    add_out(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(setup_args(), argv)
    model = load(args.model, args.efforts)
    images = load_images(args.data, args.split)[: args.limit]
    rows = [ours(images, model, effort) for effort in args.efforts] + [theirs(images, peer) for peer in PEERS]
    data = dataset(Path(args.data).name, images, split=args.split)
    found = document("lossless", DESCRIPTION, argv, rows, model=model, dataset=data)
    report(found, args.out, table([line(row) for row in rows]))


if __name__ == "__main__":
    main()
