"""A pass: whatever the size, layout, levels and threads, images come back exactly, prefixes as far as they reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pytest

from ddpmcodec import _native as native
from ddpmcodec.codec import known_answer
from ddpmcodec.codec.known_answer import network

END = 1 << 30
CHECK = 0x123456
BASE = 1 << 24  # what an encoder's state begins with, beside the check
LEVELS = [0, 2, 5]
SIZES = [(1, 1, 3), (1, 7, 3), (5, 1, 1), (2, 2, 3), (33, 47, 3), (70, 3, 3), (20, 24, 1)]


class Layout(NamedTuple):
    """As of `Pass`."""

    streams: int = 1
    learns: bool = False


ALONE_FIXED = Layout()


class Streams(NamedTuple):
    """What an encoder wrote. words: of each stream, by segment."""

    states: list[int]
    words: list[list[bytes]]

    def of(self, segments: int) -> list[Any]:
        """Words of the first segments."""
        return [words_of(b"".join(own[:segments])) for own in self.words]


def words_of(data: bytes) -> Any:
    return np.frombuffer(data, "<u4").astype(np.uint32)


@cache
def networks(levels: int) -> list[Any]:
    return [network("last"), *[network("band")] * 3] if levels else [network("direct")]


def picture(height: int, width: int, channels: int = 3, images: int = 1) -> Any:
    """uint8 [images, height, width, channels]: smooth, with some noise."""
    rng = np.random.default_rng([height, width, channels])
    steps = rng.integers(-3, 4, (images, height, width, channels))
    return (np.cumsum(np.cumsum(steps, 1), 2) // 4 + 128).clip(0, 255).astype(np.uint8)


def new_pass(shape: Sequence[int], levels: int, layout: Layout = ALONE_FIXED, threads: int = 1) -> Any:
    return native.Pass(networks(levels), levels, tuple(shape), **layout._asdict(), threads=threads)


def encoded(pixels: Any, levels: int, layout: Layout = ALONE_FIXED, threads: int = 1) -> Streams:
    coder = new_pass(pixels.shape, levels, layout, threads)
    coder.encode(pixels)
    assert coder.advance(END, END) == coder.segments
    found = [coder.stream(stream, CHECK) for stream in range(layout.streams)]
    return Streams([state for state, _ in found], [by_segment(words, pixels.shape, levels) for _, words in found])


def by_segment(parts: Sequence[Any], shape: Sequence[int], levels: int) -> list[Any]:
    """What each segment has of a stream, from what its parts have."""
    of_parts = iter(parts)
    return [b"".join(islice(of_parts, count)) for *_, count in native.segments(levels, *shape[1:3])]


def opened(streams: Streams, shape: Sequence[int], levels: int, layout: Layout = ALONE_FIXED, threads: int = 1) -> Any:
    """A decoder that has all words."""
    coder = new_pass(shape, levels, layout, threads)
    coder.decode(streams.states, streams.of(END))
    return coder


ALONE = [Layout(), Layout(4), Layout(1, True), Layout(4, True)]
TOGETHER = [Layout(3), Layout(1), Layout(2), Layout(1, True)]


def assert_exact(coder: Any, pixels: Any, streams: int) -> None:
    """All of the pixels, the check of every stream, and no word left."""
    found, known = coder.pixels()
    assert coder.is_exact
    assert known.all()
    np.testing.assert_array_equal(found, pixels)
    assert [coder.state(stream) for stream in range(streams)] == [BASE + CHECK] * streams


@pytest.mark.parametrize("layout", ALONE)
@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(("height", "width", "channels"), SIZES)
def test_an_image_comes_back_exactly(height: int, width: int, channels: int, levels: int, layout: Layout) -> None:
    pixels = picture(height, width, channels)
    streams = encoded(pixels, levels, layout)
    coder = opened(streams, pixels.shape, levels, layout)
    coder.advance(END, END)
    assert_exact(coder, pixels, layout.streams)
    assert [coder.position(s) for s in range(layout.streams)] == [len(words) for words in streams.of(END)]


@pytest.mark.parametrize("layout", TOGETHER)
@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_a_batch_come_back_exactly(channels: int, levels: int, layout: Layout) -> None:
    pixels = picture(9, 13, channels, images=3)
    coder = opened(encoded(pixels, levels, layout), pixels.shape, levels, layout)
    coder.advance(END, END)
    assert_exact(coder, pixels, layout.streams)


@pytest.mark.parametrize("levels", LEVELS)
def test_images_of_their_own_streams_do_not_depend_on_each_other(levels: int) -> None:
    pixels = picture(9, 13, images=3)
    together = encoded(pixels, levels, Layout(3))
    for n in range(3):
        alone = encoded(pixels[n : n + 1], levels)
        assert (alone.states[0], alone.words[0]) == (together.states[n], together.words[n])


@pytest.mark.parametrize("levels", LEVELS)
def test_scales_adapt_to_each_image_on_its_own(levels: int) -> None:
    """Also to those of one stream: they take as many bits as if each were alone."""
    pixels = np.concatenate([picture(12, 9, images=2), picture(12, 9, images=2)[:1] // 16])

    def bits(images: Any) -> float:
        coder = new_pass(images.shape, levels)
        coder.encode(images)
        coder.advance(END, END)
        return float(coder.bits())

    assert bits(pixels) == pytest.approx(sum(bits(pixels[n : n + 1]) for n in range(3)), rel=1e-9)


@pytest.mark.parametrize("noise", [0, 255])
@pytest.mark.parametrize("levels", LEVELS)
def test_flat_images_and_noise_come_back_exactly(levels: int, noise: int) -> None:
    pixels = np.random.default_rng(0).integers(0, noise + 1, (1, 24, 19, 3)).astype(np.uint8)
    for layout in (Layout(), Layout(2, True)):
        coder = opened(encoded(pixels, levels, layout), pixels.shape, levels, layout)
        coder.advance(END, END)
        assert_exact(coder, pixels, layout.streams)


# --- threads, and pieces of work


OF_ONE = [(1, Layout(4)), (1, Layout(4, True))]
OF_SEVERAL = [(5, Layout(1, True)), (5, Layout(3, True)), (5, Layout(5))]


@pytest.mark.parametrize(("images", "layout"), OF_ONE + OF_SEVERAL)
@pytest.mark.parametrize("levels", [0, 5])
def test_threads_change_no_byte(levels: int, images: int, layout: Layout) -> None:
    # Several steps of learning, and waves that are long enough for four threads.
    pixels = picture(24, 40) if images == 1 else picture(14, 20, images=images)
    expected = encoded(pixels, levels, layout)
    for threads in (3, 8):
        assert encoded(pixels, levels, layout, threads) == expected
        coder = opened(expected, pixels.shape, levels, layout, threads)
        coder.advance(END, END)
        assert_exact(coder, pixels, layout.streams)


@pytest.mark.parametrize("share", [0.4, 0.9])
@pytest.mark.parametrize("levels", [0, 5])
def test_cut_streams_show_the_same_on_all_threads(levels: int, share: float) -> None:
    pixels, layout = picture(24, 40), Layout(4, True)
    streams = encoded(pixels, levels, layout)
    words = [own[: int(share * len(own))] for own in streams.of(END)]

    def shown(threads: int) -> list[Any]:
        coder = new_pass(pixels.shape, levels, layout, threads)
        coder.decode(streams.states, words, for_previews=True)
        coder.advance(END, END)
        assert coder.ended
        _, known = coder.pixels()
        return [coder.segments_done, known.tobytes(), native.means(coder, threads).tobytes()]

    assert shown(2) == shown(3) == shown(1)


@pytest.mark.parametrize("waves", [1, 7])
@pytest.mark.parametrize("levels", LEVELS)
def test_calls_of_a_few_waves_change_no_byte(levels: int, waves: int) -> None:
    pixels, layout = picture(20, 24), Layout(2, True)
    coder = new_pass(pixels.shape, levels, layout)
    coder.encode(pixels)
    while coder.segments_done < coder.segments:
        coder.advance(waves, END)
    expected = encoded(pixels, levels, layout)
    for stream, (state, words) in enumerate(zip(*expected, strict=True)):
        found_state, parts = coder.stream(stream, CHECK)
        assert (found_state, by_segment(parts, pixels.shape, levels)) == (state, words)


# --- words that are not there, or not yet


@pytest.mark.parametrize("layout", [Layout(), Layout(4, True)])
@pytest.mark.parametrize("levels", LEVELS)
def test_words_of_the_first_segments_hold_them(levels: int, layout: Layout) -> None:
    """A decoder never misses a word that a later segment has, and needs all of those before."""
    pixels = picture(20, 24)
    streams = encoded(pixels, levels, layout)
    for segments in range(0, new_pass(pixels.shape, levels).segments, 5):
        coder = new_pass(pixels.shape, levels, layout)
        words = streams.of(segments)
        coder.decode(streams.states, words)
        assert coder.advance(END, segments) == segments
        assert not coder.ended
        assert [coder.position(s) for s in range(layout.streams)] == [len(own) for own in words]


@pytest.mark.parametrize("layout", [Layout(), Layout(4, True)])
@pytest.mark.parametrize("levels", LEVELS)
def test_words_that_come_segment_by_segment_give_the_same_image(levels: int, layout: Layout) -> None:
    pixels = picture(20, 24)
    streams = encoded(pixels, levels, layout)
    coder = new_pass(pixels.shape, levels, layout)
    coder.decode(streams.states, streams.of(0))
    for segment in range(coder.segments):
        for stream, words in enumerate(streams.words):
            for word in words_of(words[segment]):
                coder.extend(stream, np.array([word], np.uint32))
        assert coder.advance(END, segment + 1) == segment + 1
    assert_exact(coder, pixels, layout.streams)


def wrong(coder: Any, pixels: Any) -> int:
    """How many pixels that are known are not those of the image."""
    found, known = coder.pixels()
    return int(((found != pixels).any(-1) & (known == 1)).sum())


@pytest.mark.parametrize("levels", LEVELS)
def test_decoding_ends_where_words_do_and_what_is_known_until_then_is_right(levels: int) -> None:
    """But for a value or two: that the last word is missing shows when seven more bits are decoded."""
    pixels = picture(12, 17)
    (state,), (words,) = encoded(pixels, levels)
    whole, shown = words_of(b"".join(words)), []
    for count in range(0, len(whole), 1 + len(whole) // 40):
        coder = new_pass(pixels.shape, levels)
        coder.decode([state], [whole[:count]], for_previews=True)
        coder.advance(END, END)
        assert coder.ended
        assert not coder.is_exact
        assert coder.position(0) == count
        assert wrong(coder, pixels) <= 2
        shown.append(int(coder.pixels()[1].sum()))
    assert shown == sorted(shown)
    assert shown[-1] > 0.8 * pixels[..., 0].size


@pytest.mark.parametrize("levels", LEVELS)
def test_one_stream_that_ends_ends_all(levels: int) -> None:
    pixels, layout = picture(20, 24), Layout(4)
    streams = encoded(pixels, levels, layout)
    words = streams.of(END)
    words[2] = words[2][: len(words[2]) // 2]
    coder = new_pass(pixels.shape, levels, layout)
    coder.decode(streams.states, words)
    coder.advance(END, END)
    assert coder.ended
    assert coder.advance(END, END) < coder.segments
    assert wrong(coder, pixels) <= 2


def test_previews_change_nothing_that_is_decoded() -> None:
    pixels = picture(20, 24)
    streams = encoded(pixels, 5)
    coder = new_pass(pixels.shape, 5)
    coder.decode(streams.states, streams.of(END), for_previews=True)
    coder.advance(END, END)
    assert_exact(coder, pixels, 1)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("levels", LEVELS)
def test_any_words_decode_to_something_or_end(levels: int, learns: bool) -> None:
    """Streams that no encoder writes."""
    rng = np.random.default_rng(levels)
    for _ in range(10):
        state = int(rng.integers(1 << 24, 1 << 62))
        coder = new_pass((1, 16, 11, 3), levels, Layout(1, learns))
        coder.decode(
            [state], [rng.integers(0, 1 << 32, int(rng.integers(0, 900))).astype(np.uint32)], for_previews=True
        )
        coder.advance(END, END)
        assert coder.ended != coder.is_exact


# --- what it costs


@pytest.mark.parametrize("levels", LEVELS)
def test_bits_are_those_of_the_symbols(levels: int) -> None:
    pixels = picture(20, 24)
    coder = new_pass(pixels.shape, levels)
    coder.encode(pixels)
    coder.advance(END, END)
    starts, freqs = coder.symbols(0)
    assert coder.bits() == pytest.approx((24 - np.log2(freqs)).sum())
    assert coder.ends(0)[-1] == len(starts)
    state, words = coder.stream(0, 0)
    assert 32 * len(words_of(b"".join(words))) + np.log2(state) - 24 == pytest.approx(coder.bits(), abs=1)


def test_learning_helps() -> None:
    """Where networks know nothing, an image teaches a lot."""
    pixels = picture(120, 120)

    def bits(layout: Layout) -> float:
        coder = new_pass(pixels.shape, 0, layout)
        coder.encode(pixels)
        coder.advance(END, END)
        return float(coder.bits())

    assert bits(Layout(1, True)) < 0.95 * bits(Layout())


@pytest.fixture
def networks_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[Any]]:
    """The networks of noise levels, so wide."""

    def drawn(width: int) -> list[Any]:
        monkeypatch.setattr(known_answer, "WIDTH", width)
        monkeypatch.setattr(known_answer, "BLOCK_INPUTS", width + 3 * 16)
        return [network("last"), *[network("band")] * 3]

    return drawn


@pytest.mark.parametrize(("width", "learning"), [(80, {0}), (96, {0, 2, 3})])
def test_networks_learn_in_pixels_and_wide_ones_in_all_bands_but_the_finest(
    width: int, learning: set[int], networks_of: Callable[[int], list[Any]]
) -> None:
    """Bands by number, all coarser ones 3, pixels 0: those that are coded otherwise where weights learn."""
    drawn, pixels = networks_of(width), picture(120, 120)

    def symbols(learns: bool) -> list[list[tuple[int, int]]]:
        coder = native.Pass(drawn, 2, pixels.shape, streams=1, learns=learns, threads=1)
        coder.encode(pixels)
        coder.advance(END, END)
        intervals, ends = list(zip(*coder.symbols(0), strict=True)), coder.ends(0)
        return [intervals[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]

    bands = [band for _, _, band, _, parts in native.segments(2, 120, 120) for _ in range(parts)]
    parts = zip(bands, symbols(False), symbols(True), strict=True)
    assert {min(band, 3) for band, fixed, learned in parts if fixed != learned} == learning


def test_bands_that_learn_come_back_from_other_threads(networks_of: Callable[[int], list[Any]]) -> None:
    drawn, pixels = networks_of(96), picture(64, 72)
    coders = [native.Pass(drawn, 2, pixels.shape, streams=4, learns=True, threads=threads) for threads in (1, 3)]
    coders[0].encode(pixels)
    coders[0].advance(END, END)
    streams = [coders[0].stream(stream, CHECK) for stream in range(4)]
    coders[1].decode([state for state, _ in streams], [words_of(b"".join(words)) for _, words in streams])
    coders[1].advance(END, END)
    assert_exact(coders[1], pixels, 4)


# --- what it refuses


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (1, 0, 4, 3), (1, 4, 0, 3), (1, 4, 4, 2), (1, 4, 4, 4)])
def test_images_that_cannot_be_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images have one channel or three|sides of an image are"):
        new_pass(shape, 0)


@pytest.mark.parametrize(("streams", "threads"), [(0, 1), (1, 0)])
def test_layouts_that_cannot_be_are_refused(streams: int, threads: int) -> None:
    with pytest.raises(ValueError, match="one stream and one thread or more"):
        new_pass((3, 4, 4, 3), 0, Layout(streams), threads)


def test_networks_of_other_roles_are_refused() -> None:
    for levels, own in ((0, networks(2)[:1]), (2, networks(2)[::-1]), (2, networks(0)), (0, [])):
        with pytest.raises(ValueError, match=r"networks of other roles|a pass takes the network"):
            native.Pass(own, levels, (1, 4, 4, 3), streams=1, learns=False, threads=1)


def test_a_pass_begins_with_pixels_or_words() -> None:
    coder = new_pass((1, 4, 4, 3), 0)
    with pytest.raises(RuntimeError, match="begins with"):
        coder.advance(1, 1)
    with pytest.raises(ValueError, match="another shape"):
        coder.encode(picture(4, 5))
    with pytest.raises(ValueError, match="as many states"):
        coder.decode([1 << 24, 1 << 24], [words_of(b"")] * 2)


def test_a_pass_codes_once() -> None:
    pixels = picture(4, 4)
    coder = new_pass(pixels.shape, 0)
    coder.encode(pixels)
    for begin in (lambda: coder.encode(pixels), lambda: coder.decode([1 << 24], [words_of(b"")])):
        with pytest.raises(RuntimeError, match="a pass codes once"):
            begin()


@pytest.mark.parametrize("stream", [-1, 1, 1 << 20])
def test_streams_that_are_not_there_are_refused(stream: int) -> None:
    coder = new_pass((1, 4, 4, 3), 0)
    coder.encode(picture(4, 4))
    coder.advance(END, END)
    for ask in (coder.symbols, coder.ends, coder.state, coder.position, lambda number: coder.stream(number, CHECK)):
        with pytest.raises(IndexError):
            ask(stream)


def test_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="a network is None"):
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
    with pytest.raises(RuntimeError, match="nothing is packed before all is coded"):
        coder.stream(0, CHECK)


@pytest.mark.parametrize(
    "use",
    [
        lambda coder: coder.advance(1, 1),
        lambda coder: coder.extend(0, np.zeros(1, np.uint32)),
        lambda coder: coder.pixels(),
        lambda coder: coder.bits(),
        lambda coder: coder.ends(0),
        lambda coder: coder.state(0),
        lambda coder: coder.position(0),
        lambda coder: coder.is_exact,
        lambda coder: coder.ended,
        lambda coder: coder.segments_done,
        lambda coder: native.means(coder),
    ],
)
def test_one_thread_at_a_time_uses_a_pass(use: Callable[[Any], object]) -> None:
    coder = failing_pass(Failing(use))
    with pytest.raises(RuntimeError, match="another thread uses this pass"):
        coder.advance(END, END)
    assert coder.ended
