"""What a pass refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from passes import CHECK, END, Layout, networks, new_pass, picture, words_of

from ddpmcodec import _native as native
from native_testing import testing


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (1, 0, 4, 3), (1, 4, 0, 3), (1, 4, 4, 2), (1, 4, 4, 4)])
def test_images_that_cannot_be_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"one channel or three|sides"):
        new_pass(shape, 0)


@pytest.mark.parametrize(("streams", "threads"), [(0, 1), (1, 0)])
def test_layouts_that_cannot_be_are_refused(streams: int, threads: int) -> None:
    with pytest.raises(ValueError, match="one stream"):
        new_pass((3, 4, 4, 3), 0, Layout(streams), threads)


def test_networks_of_other_roles_are_refused() -> None:
    for levels, own in ((0, networks(2)[:1]), (2, networks(2)[::-1]), (2, networks(0)), (0, [])):
        with pytest.raises(ValueError, match=r"roles|a pass takes"):
            native.Pass(own, levels, (1, 4, 4, 3), streams=1, learns=False, threads=1)


def test_a_pass_begins_with_pixels_or_words() -> None:
    coder = new_pass((1, 4, 4, 3), 0)
    with pytest.raises(RuntimeError, match="begins with"):
        coder.advance(1, 1)
    with pytest.raises(ValueError, match="shape"):
        coder.encode(picture(4, 5))
    with pytest.raises(ValueError, match="as many states"):
        coder.decode([1 << 24, 1 << 24], [words_of(b"")] * 2)


def test_a_pass_codes_once() -> None:
    pixels = picture(4, 4)
    coder = new_pass(pixels.shape, 0)
    coder.encode(pixels)
    for begin in (lambda: coder.encode(pixels), lambda: coder.decode([1 << 24], [words_of(b"")])):
        with pytest.raises(RuntimeError, match="once"):
            begin()


@pytest.mark.parametrize("stream", [-1, 1, 1 << 20])
def test_streams_that_are_not_there_are_refused(stream: int) -> None:
    coder = new_pass((1, 4, 4, 3), 0)
    coder.encode(picture(4, 4))
    coder.advance(END, END)
    ends = partial(testing.ends, coder)
    for ask in (coder.symbols, ends, coder.state, coder.position, lambda number: coder.stream(number, CHECK)):
        with pytest.raises(IndexError):
            ask(stream)


def test_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="None"):
        native.Pass([None], 0, (1, 4, 4, 3), streams=1, learns=False, threads=1)


def test_any_number_of_waves_may_be_asked_for() -> None:
    coder = new_pass((1, 4, 4, 3), 0)
    coder.encode(picture(4, 4))
    coder.advance(3, END)
    assert coder.advance(2**31 - 1, END) == coder.segments


class Failing:
    """A network that cannot predict, or whose predictions ask for the pass itself."""

    def __init__(self, ask: Callable[[Any], object]) -> None:
        self.ask, self.coder = ask, None

    def outputs(self, rows: Any, condition: int) -> Any:
        self.ask(self.coder)


def failing_pass(failing: Failing) -> Any:
    network = native.ContextNetwork.wrap(failing, "direct", 1, 1)
    failing.coder = coder = native.Pass([network], 0, (1, 4, 4, 3), streams=1, learns=False, threads=1)
    coder.encode(picture(4, 4))
    return coder


def test_after_an_error_nothing_is_coded_any_more() -> None:
    def fail(coder: Any) -> None:
        raise MemoryError

    coder = failing_pass(Failing(fail))
    with pytest.raises(MemoryError):
        coder.advance(END, END)
    assert (coder.ended, coder.advance(END, END), coder.is_exact) == (True, 0, False)
    with pytest.raises(RuntimeError, match="packed"):
        coder.stream(0, CHECK)


@pytest.mark.parametrize(
    "use",
    [
        lambda coder: coder.advance(1, 1),
        lambda coder: testing.extend(coder, 0, np.zeros(1, np.uint32)),
        lambda coder: coder.pixels(),
        lambda coder: coder.bits(),
        lambda coder: testing.ends(coder, 0),
        lambda coder: coder.state(0),
        lambda coder: coder.position(0),
        lambda coder: coder.is_exact,
        lambda coder: coder.ended,
        lambda coder: coder.segments_done,
        lambda coder: testing.means(coder),
    ],
)
def test_one_thread_at_a_time_uses_a_pass(use: Callable[[Any], object]) -> None:
    coder = failing_pass(Failing(use))
    with pytest.raises(RuntimeError, match="another thread"):
        coder.advance(END, END)
    assert coder.ended


WITHOUT_MEMORY = """
import resource, sys
import numpy as np
from ddpmcodec import _native
from known_networks import network

pixels = np.zeros((1, 1024, 1024, 3), np.uint8)
coder = _native.Pass([network("last"), *[network("band")] * 3], 2, pixels.shape, streams=4, learns=True, threads=1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), -1))
try:
    coder.encode(pixels)
except MemoryError:
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    print(coder.advance(1 << 30, 1000), coder.is_exact, coder.ended)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
def test_a_pass_whose_memory_ran_out_codes_nothing() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT_MEMORY], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("0 False True\n", "", 0)


@pytest.mark.parametrize("shape", [(1, 0, 4, 3), (1, 4, 0, 3)])
def test_training_takes_no_empty_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="row and a column"):
        native.pixel_positions(np.zeros(shape, np.uint8), 0, [(0, 0, 1, 1)])
    with pytest.raises(ValueError, match="row and a column"):
        native.band_positions(np.zeros(shape, np.uint8), 2, 1.0, 1, 4, 0)


@pytest.mark.parametrize("level", [-1, 7, 2**31 - 1])
def test_training_takes_no_other_levels(level: int) -> None:
    with pytest.raises(ValueError, match=f"noise level {level}"):
        native.pixel_positions(np.zeros((1, 4, 4, 3), np.uint8), level, [(0, 0, 4, 4)])
