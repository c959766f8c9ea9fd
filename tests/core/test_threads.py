"""Threads of the core where memory is short: fewer do the same work, and what does not fit is a MemoryError."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own for each limit: memory that was freed does not count as new.
PROGRAM = """
import os, resource, sys
import numpy as np
from ddpmcodec import _native
from known_networks import network

levels, rooms = int(sys.argv[1]), list(map(int, sys.argv[2:]))
pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 32, 3)).astype(np.uint8)
networks = [network("last"), *[network("band")] * 3] if levels else [network("direct")]

def coded(threads):
    coder = _native.Pass(networks, levels, pixels.shape, streams=4, learns=True, threads=threads)
    coder.encode(pixels)
    coder.advance(1 << 30, coder.segments)
    return [coder.stream(s, 1) for s in range(4)]

def in_a_room_of(megabytes):
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), -1))
    try:
        return 10 + (coded(4) == expected)
    except MemoryError:
        return 20

expected = coded(1)
for room in rooms:
    if not (child := os.fork()):
        os._exit(in_a_room_of(room))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
"""
OTHERS, THE_SAME, NO_MEMORY = 10, 11, 20
NOT_A_BYTE = 127  # with which glibc ends a process that has no memory for what an exception itself needs
ROOMS = [1, 2, 4, 6, 8, 10, 12, 14, 18, 22, 26, 100]  # MB; the stack of a thread takes 8


@pytest.mark.skipif(sys.platform != "linux", reason="what a process takes is read from /proc")
@pytest.mark.parametrize("levels", [0, 2])
def test_a_process_that_is_short_of_memory_codes_the_same_or_says_so(levels: int) -> None:
    arguments = [sys.executable, "-c", PROGRAM, *map(str, (levels, *ROOMS))]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
    codes = list(map(int, ended.stdout.split()))
    assert {*codes} <= {THE_SAME, NO_MEMORY, NOT_A_BYTE}, codes
    assert THE_SAME in codes[:-1], codes  # by fewer threads than were wanted
    assert codes[-1] == THE_SAME
