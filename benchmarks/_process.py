"""Seconds, processor seconds and peak memory of a command in a process of its own.

python -m ddpmcodec.benchmarks._process COMMAND... runs the command and prints the figures as JSON. It stands between
because the peak of a child counts from that of its parent: the parent must be small, and have no other children.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ddpmcodec.errors import DdpmError

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in one unit of ru_maxrss
DDPMCODEC = (sys.executable, "-m", "ddpmcodec")


class ProcessCost(NamedTuple):
    """How a process ended: wall seconds from start to exit, the largest resident memory in bytes, and seconds of all
    processors together."""

    seconds: float
    peak_bytes: int
    processor_seconds: float


def run(*command: str | Path) -> ProcessCost:
    """Run it to its end, its standard output thrown away. Raises DdpmError with what it said when it fails."""
    between = [sys.executable, "-m", __spec__.name, *map(str, command)]
    ended = subprocess.run(between, capture_output=True, text=True)
    if ended.returncode:
        raise DdpmError(f"{' '.join(map(str, command))} failed: {ended.stderr.strip()}")
    return ProcessCost(*json.loads(ended.stdout))


def ddpmcodec(*arguments: str | Path) -> ProcessCost:
    """`run` for a command of the project."""
    return run(*DDPMCODEC, *arguments)


def main(command: Sequence[str]) -> int:
    import resource  # which Windows lacks, where only this cannot be measured

    start = time.perf_counter()
    code = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps(ProcessCost(seconds, used.ru_maxrss * MAXRSS_UNIT, used.ru_utime + used.ru_stime)))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
