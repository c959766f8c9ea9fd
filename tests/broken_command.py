"""Breaks one thing, then runs the command line; test_verification runs it in processes of its own.

Arguments: what to break, then those of the command.
"""

from __future__ import annotations

import ctypes
import inspect
import platform
import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

UPWARD = {"x86_64": 0x800, "AMD64": 0x800, "aarch64": 0x400000, "arm64": 0x400000}


def wrong_table() -> None:
    """One entry of the logistic's table is one too large when it is read."""
    load = np.load

    def wrong(path: Any) -> Any:
        table = load(path)
        table[77] += str(path).endswith("logistic_table.npy")
        return table

    np.load = wrong


def off_by_one_kernel() -> None:
    """The root's mean, in the one kernel that encodes and decodes it: both sides agree."""
    from ddpmcodec.channels import band_coder

    right = inspect.getsource(band_coder.code_root.py_func)
    wrong = right.replace("(known[0] + known[1])", "(known[0] + known[1] + 1)")
    assert wrong != right
    exec(wrong.replace("@kernel", "@numba.njit(nogil=True)"), vars(band_coder) | {"numba": numba}, vars(band_coder))


def off_by_one_encoder() -> None:
    """Every interval begins one unit late, and only for the encoder."""
    from ddpmcodec.channels import progressive

    encode = progressive.encode

    def shifted(*arguments: Any, **options: Any) -> Any:
        found = encode(*arguments, **options)
        return [s._replace(starts=np.minimum(s.starts + 1, (1 << 24) - s.freqs).astype(np.uint32)) for s in found]

    progressive.encode = shifted


def flipped_weight() -> None:
    """One bit of a model, after it was loaded and its known answers were asked."""
    from ddpmcodec.networks.context import model_file

    load = model_file.load_model

    def flipped(source: Any) -> Any:
        model = load(source)
        model.networks[1].blocks.reshape(-1)[1234] ^= 4
        return model

    model_file.load_model = flipped


def autocast() -> None:
    import torch

    torch.autocast("cpu").__enter__()


def rounding_up() -> None:
    assert ctypes.CDLL(None).fesetround(UPWARD[platform.machine()]) == 0


def nothing() -> None:
    pass


BREAKS: dict[str, Callable[[], None]] = {
    break_it.__name__: break_it
    for break_it in (
        nothing, wrong_table, off_by_one_kernel, off_by_one_encoder, flipped_weight, autocast, rounding_up,
    )
}  # fmt: skip

if __name__ == "__main__":
    from ddpmcodec.cli import run

    BREAKS[sys.argv[1]]()
    sys.exit(run(sys.argv[2:]))
