"""Breaks one thing, then runs the command line; test_verification runs it in processes of
its own.

Arguments: what to break, then those of the command.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import platform
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ddpmcodec import _native
from ddpmcodec.models import context, registry  # noqa: F401  which keeps the class of models itself

UPWARD = {"x86_64": 0x800, "AMD64": 0x800, "aarch64": 0x400000, "arm64": 0x400000}
TABLE = [0, 1073719979, 2147308902, 3220635778]  # how the table of the logistic function begins
READ_AND_WRITE = 3


def table() -> None:
    """Numbers of a table that encoder and decoder share: they agree with each other, and with nobody else."""
    libc, page = ctypes.CDLL(None), mmap.PAGESIZE
    for address in _addresses(b"".join(number.to_bytes(8, "little") for number in TABLE)):
        start = address // page * page
        assert libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(page + 4096), READ_AND_WRITE) == 0
        numbers = (ctypes.c_int64 * 256).from_address(address)
        for number in range(1, 256, 2):
            numbers[number] += 1 << 24


def _addresses(content: bytes) -> Iterator[int]:
    """Where this process has these bytes of the core."""
    data, maps = Path(_native.__file__).read_bytes(), Path("/proc/self/maps").read_text()
    parts = re.findall(rf"(?m)^(\w+)-(\w+) \S+ (\w+) .*{re.escape(Path(_native.__file__).name)}$", maps)
    for found in re.finditer(re.escape(content), data):
        for start, end, offset in ([int(number, 16) for number in part] for part in parts):
            if offset <= found.start() < offset + end - start:
                yield start + found.start() - offset


def flipped_weight() -> None:
    """One bit of every network, after its file was read and its hash compared."""
    parse = context.ContextModel.parse

    def flipped(data: bytes, source: str, number: int, known_id: bytes | None, *more: Any) -> context.ContextModel:
        broken, start = bytearray(data), 8 + int.from_bytes(data[:8], "little")
        for name, tensor in json.loads(data[8:start]).items():
            if name.endswith("skip.weight"):
                broken[start + tensor["data_offsets"][0] + 7] ^= 64
        return parse(bytes(broken), source, number, known_id or hashlib.sha256(data).digest(), *more)

    context.ContextModel = SimpleNamespace(parse=flipped)  # type: ignore[misc,assignment]


def rounding_up() -> None:
    assert ctypes.CDLL(None).fesetround(UPWARD[platform.machine()]) == 0


def plain_kernel() -> None:
    _native.use_kernel("plain")


def nothing() -> None:
    pass


BREAKS: dict[str, Callable[[], None]] = {
    break_it.__name__: break_it for break_it in (nothing, table, flipped_weight, rounding_up, plain_kernel)
}

if __name__ == "__main__":
    from ddpmcodec.cli import run

    BREAKS[sys.argv[1]]()
    sys.exit(run(sys.argv[2:]))
