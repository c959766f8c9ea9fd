"""Speed of the distributions on rANS, one thread, beside constriction: python -m ddpmcodec.benchmarks.ans_speed.

Rates in million symbols a second, the best of the repeats. Values are drawn from logistics with scales of 0.5 to 20
grey levels and means anywhere in 0..255. `unknown`: the value lies in [0, 255], the longest search. `refined`: in a
known range of up to three scales to either side, as in a later step. constriction codes the same values under quantised
Laplace distributions on [0, 255], its closest built-in one; the ratios are `unknown` over constriction. `gaussian`: the
latents of bits back, integers under normal distributions of a standard deviation of 4 to 8 cells, pushed on a stack
(encode) and popped (decode).
"""

from __future__ import annotations

import argparse
import shlex
import sys
import timeit
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.gaussian import pop_gaussian, push_gaussian
from ddpmcodec.ans.logistic import decode_values, encode_values
from ddpmcodec.ans.stack import Stack
from ddpmcodec.ans.stream import close_stream, encode_reverse, open_stream
from ddpmcodec.files import check_output, write_file

from ._results import Table, document, dumps

Column = NDArray[np.int32]


class Symbols(NamedTuple):
    """Values x of logistics truncated to lo..hi; mean in 1/64 grey level, scale as index; int32 [n]."""

    lo: Column
    hi: Column
    mean: Column
    scale: Column
    x: Column


def draw(n: int, refined: bool) -> Symbols:
    rng = np.random.default_rng(0)
    scale, mean = rng.integers(40, 83, n), rng.integers(0, 255 * 64, n)
    width = np.exp2((scale - 48) / 8)
    x = np.clip(np.rint(mean / 64 + width * rng.logistic(size=n)), 0, 255)
    lo, hi = np.zeros(n), np.full(n, 255)
    if refined:
        lo = np.maximum(x - np.ceil(3 * width * rng.random(n)), 0)
        hi = np.minimum(x + np.ceil(3 * width * rng.random(n)), 255)
    return Symbols(*(a.astype(np.int32) for a in (lo, hi, mean, scale, x)))


def rates(n: int, encode: Callable[[], Any], decode: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Of n symbols, in million a second."""
    found = {}
    for name, work in (("encode", encode), ("decode", decode)):
        work()  # the first call compiles
        found[name] = round(n / min(timeit.repeat(work, number=1, repeat=repeats)) / 1e6, 2)
    return found


def ours(s: Symbols, repeats: int) -> dict[str, float]:
    def encode() -> bytes:
        return encode_reverse(*encode_values(s.lo, s.hi, s.x, s.x, s.mean, s.scale), 1)

    data = encode()

    def decode() -> Column:
        state, words = open_stream(data)
        values, state, position = decode_values(s.lo, s.hi, s.mean, s.scale, state, words)
        close_stream(state, position, words)
        return values

    if not np.array_equal(decode(), s.x):
        raise SystemExit("the values did not come back")
    return rates(len(s.x), encode, decode, repeats) | {"bits_per_symbol": round(8 * len(data) / len(s.x), 4)}


def gaussians(n: int, repeats: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    mean, std = 1000 * rng.normal(size=n), rng.uniform(4, 8, n)
    k = np.floor(mean + std * rng.normal(size=n) + 0.5).astype(np.int64)
    full = Stack.empty()
    push_gaussian(full, k, mean, std)
    words = full.to_words()
    if not np.array_equal(pop_gaussian(Stack.from_words(words), mean, std), k):
        raise SystemExit("the values did not come back")

    def pop() -> None:
        pop_gaussian(Stack.from_words(words), mean, std)

    return rates(n, lambda: push_gaussian(Stack.empty(), k, mean, std), pop, repeats) | {
        "bits_per_symbol": round(32 * len(words) / n, 4)
    }


def constrictions(s: Symbols, repeats: int) -> dict[str, Any]:
    try:
        import constriction
    except ImportError:
        return {"skipped": "skipped: not installed"}
    family = constriction.stream.model.QuantizedLaplace(0, 255)
    parameters = (s.mean / 64).astype(np.float32), np.exp2((s.scale - 48) / 8).astype(np.float32)

    def encode() -> NDArray[np.uint32]:
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(s.x, family, *parameters)
        compressed: NDArray[np.uint32] = coder.get_compressed()
        return compressed

    data = encode()
    return rates(
        len(s.x), encode, lambda: constriction.stream.stack.AnsCoder(data).decode(family, *parameters), repeats
    ) | {"bits_per_symbol": round(32 * len(data) / len(s.x), 4)}


def measure(n: int, repeats: int) -> list[dict[str, Any]]:
    unknown, refined = (ours(draw(n, refined), repeats) for refined in (False, True))
    baseline = constrictions(draw(n, refined=False), repeats)
    rows = [{"coder": "unknown", **unknown}, {"coder": "refined", **refined}, {"coder": "constriction", **baseline}]
    if "skipped" not in baseline:
        rows.append(
            {"coder": "ratio"} | {name: round(unknown[name] / baseline[name], 2) for name in ("encode", "decode")}
        )
    rows.append({"coder": "gaussian", **gaussians(n, repeats)})
    return rows


def setup_args() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Speed of the distributions on rANS, one thread.")
    parser.add_argument("--symbols", type=int, default=2_000_000, help="values to code (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many counts (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="JSON", help="also write the figures to this file")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = setup_args().parse_args(argv)
    if args.out is not None:
        check_output(args.out, None, force=True)
    rows = measure(args.symbols, args.repeats)
    caption = f"million symbols a second on one core, {args.symbols} symbols, best of {args.repeats}"
    print(Table("ans_speed", caption, rows).markdown())
    if args.out is not None:
        words = shlex.join(sys.argv[1:] if argv is None else argv)
        command = f"python -m ddpmcodec.benchmarks.ans_speed {words}"
        found = document("ans_speed", command, {"description": caption, "coders": rows}, model=None, dataset=None)
        write_file(args.out, dumps(found).encode())


if __name__ == "__main__":
    main()
