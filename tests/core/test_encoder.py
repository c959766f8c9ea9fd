"""An encoder: what it is given comes back, however the work is shared out and whatever is coded with it."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jpegs import ARITHMETIC, jpeg_of
from numpy.typing import NDArray

from ddpmcodec import codec
from ddpmcodec._native import LEVELS, MAX_METADATA, MODES, SAMPLE_BITS, Encoder, Event, parse_header, read_jpeg
from ddpmcodec.errors import FormatError, ImageError, ModelError
from ddpmcodec.models import registry
from ddpmcodec.models.context import ContextModel

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
COLOURS = {"L": 1, "LA": 1, "RGB": 3, "RGBA": 3, "1": 1}
NUMBERS = {"cifar10": 1, "photo": 2, "jpeg": 3}
LARGE = 80  # a side that is cut into tiles of 64


@dataclass(frozen=True)
class Given:
    """An image as an encoder takes it."""

    mode: str
    planes: NDArray[Any]  # [height, width, colours and alpha]
    bits: int = SAMPLE_BITS
    metadata: tuple[bytes, bytes, bytes, bytes] = (b"", b"", b"", b"")

    def arguments(self) -> dict[str, Any]:
        colours, is_deep = COLOURS[self.mode], self.bits > SAMPLE_BITS
        return {
            "mode": self.mode, "size": self.planes.shape[1::-1], "sample_bits": self.bits, "metadata": self.metadata,
            "colour": None if is_deep else np.ascontiguousarray(self.planes[..., :colours]),
            "alpha": None if is_deep or "A" not in self.mode else np.ascontiguousarray(self.planes[..., colours]),
            "samples": np.ascontiguousarray(self.planes) if is_deep else None,
            "kept": None,
        }  # fmt: skip


def drawn(mode: str, height: int, width: int, seed: int, bits: int = SAMPLE_BITS) -> Given:
    """A slope under more or less noise, or of a bilevel image noise alone."""
    rng = np.random.default_rng(seed)
    shape = (height, width, COLOURS[mode] + ("A" in mode))
    y, x = np.mgrid[:height, :width]
    found = (3 * x + 2 * y)[..., None] + rng.integers(0, rng.choice([1, 8, 256]), shape)
    if mode == "1":
        return Given(mode, (255 * rng.integers(0, 2, shape)).astype(np.uint8))
    if bits > SAMPLE_BITS:
        return Given(mode, (found * 37 % (1 << bits)).astype(np.uint16), bits)
    return Given(mode, (found % 256).astype(np.uint8))


@st.composite
def images(draw: st.DrawFn) -> Given:
    mode, bits = draw(st.sampled_from(MODES)), draw(st.sampled_from([8, 8, 8, 9, 12, 16]))
    sides = st.sampled_from([1, 2, 7, 20, LARGE])
    return drawn(mode, draw(sides), draw(sides), draw(st.integers(0, 9)), SAMPLE_BITS if mode == "1" else bits)


def finished(encoder: Encoder, threads: int = 1, seconds: float = 1e9) -> int:
    """Encode to the end with all models that are embedded. Return the number of calls."""
    calls, event = 0, Event.MORE
    while event != Event.DONE:
        event, calls = encoder.advance(seconds, threads), calls + 1
        if event == Event.NEED_MODEL:
            (name,) = (name for name, number in NUMBERS.items() if number == encoder.needed_model)
            encoder.set_model(registry.find(name))
    return calls


def encoder_of(images: list[Given], model: ContextModel | None = None, **options: Any) -> Encoder:
    encoder = Encoder(**{"effort": 1, **options})
    if model is not None:
        encoder.use_model(model)
    for image in images:
        encoder.add(**image.arguments())
    return encoder


def files(images: list[Given], model: ContextModel, threads: int = 1, **options: Any) -> list[bytes]:
    encoder = encoder_of(images, model, **options)
    finished(encoder, threads)
    return [encoder.file(number) for number in range(len(images))]


@settings(max_examples=40)
@given(image=images(), effort=st.integers(0, 3), levels=st.sampled_from([None, *LEVELS]), tile=st.sampled_from([0, 64]))
def test_planes_come_back(context_model: ContextModel, image: Given, effort: int, levels: int, tile: int) -> None:
    (file,) = files([image], context_model, effort=effort, levels=levels, tile=tile)
    found = codec.decode(file, model=context_model, as_array=True)
    assert np.array_equal(found.reshape(image.planes.shape), image.planes)
    header = parse_header(file)
    assert (header.mode, header.source_bits) == (image.mode, image.bits)
    assert header.is_tiled == (tile > 0 and LARGE in image.planes.shape)


@settings(max_examples=10)
@given(several=st.lists(images(), min_size=1, max_size=5), tile=st.sampled_from([0, 64]))
def test_neither_threads_nor_calls_nor_other_images_change_a_byte(
    context_model: ContextModel, several: list[Given], tile: int
) -> None:
    several += several[:2]  # coded side by side
    expected = [files([image], context_model, tile=tile)[0] for image in several]
    for threads in (1, 2, 3):
        assert files(several, context_model, threads, tile=tile) == expected
    encoder = encoder_of(several, context_model, tile=tile)
    finished(encoder, 2, seconds=0)
    assert [encoder.file(number) for number in range(len(several))] == expected


def test_calls_are_short_and_work_is_done_once_they_end(context_model: ContextModel) -> None:
    encoder, done = encoder_of([drawn("RGB", 60, 70, 1), drawn("LA", 20, 30, 2)], context_model), [0.0]
    while encoder.advance(0, 1) != Event.DONE:
        done.append(encoder.done)
    assert len(done) > 20
    assert done == sorted(done)
    assert encoder.done == pytest.approx(encoder.work)
    assert encoder.work == 2 * (60 * 70 + 20 * 30)
    costs = encoder.take_costs()  # of coding, not of verification
    assert sum(cost[5] * cost[4] * cost[6] for cost in costs) == pytest.approx(encoder.work / 2)
    assert encoder.take_costs() == []


def test_jpeg_files_are_encoded_beside_images() -> None:
    jpeg, image = jpeg_of(size=(50, 40)), drawn("RGB", 9, 8, 0)
    encoder = encoder_of([image])
    encoder.add_jpeg(read_jpeg(jpeg))
    finished(encoder, 2, seconds=0)
    assert encoder.file(1) == codec.encode(BytesIO(jpeg), effort=1)
    assert encoder.file(0) == codec.encode(image.planes, effort=1)
    assert encoder.done == pytest.approx(encoder.work) == 2 * (50 * 40 + 9 * 8)


# --- models


@pytest.mark.parametrize(
    ("sides", "needed"), [([64], [1, 2]), ([65], [2]), ([65, 9], [2, 1])], ids=["thumbnail", "photograph", "both"]
)
def test_models_are_asked_for_in_the_order_of_images(sides: list[int], needed: list[int]) -> None:
    encoder, found = encoder_of([drawn("L", side, side, 0) for side in sides]), list[int]()
    while encoder.advance(0, 1) == Event.NEED_MODEL:
        found.append(encoder.needed_model)
        assert encoder.advance(0, 1) == Event.NEED_MODEL  # until it is there
        encoder.set_model(registry.find({1: "cifar10", 2: "photo"}[found[-1]]))
    assert (found, encoder.needed_model) == (needed, 0)


def test_a_jpeg_file_needs_its_model_and_no_other() -> None:
    encoder = Encoder(effort=1)
    encoder.add_jpeg(read_jpeg(jpeg_of(size=(20, 20))))
    assert (encoder.advance(0, 1), encoder.needed_model) == (Event.NEED_MODEL, 3)
    encoder.set_model(registry.find("photo"))  # which nobody needs
    assert (encoder.advance(0, 1), encoder.needed_model) == (Event.NEED_MODEL, 3)
    encoder.set_model(registry.find("jpeg"))
    assert (finished(encoder) > 0, encoder.needed_model) == (True, 0)


def test_only_embedded_models_are_set(context_model: ContextModel) -> None:
    encoder = encoder_of([drawn("L", 9, 9, 0)])
    with pytest.raises(ValueError, match="embedded"):
        encoder.set_model(context_model)
    assert encoder.advance(0, 1) == Event.NEED_MODEL


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"size": (6, 5)}, "bytes, not 90"),
        ({"colour": None}, "colours have 0"),
        ({"mode": "L"}, "colours have"),
        ({"mode": "RGBA"}, "alpha plane has 0"),
        ({"alpha": np.zeros((5, 5), np.uint8)}, "alpha plane has 25"),
        ({"mode": "CMYK"}, "CMYK"),
        ({"mode": "1", "colour": np.full((5, 5), 254, np.uint8)}, "two levels"),
        ({"samples": np.zeros((5, 5, 2), np.uint16), "sample_bits": 12}, "50 samples"),
        ({"samples": np.full((5, 5, 3), 1 << 12, np.uint16), "sample_bits": 12}, "more than 12 bits"),
        ({"samples": np.zeros((5, 5, 3), np.uint16), "sample_bits": 8}, "9 to 16"),
        ({"samples": np.zeros((5, 5, 3), np.uint16), "sample_bits": 17}, "9 to 16"),
        ({"mode": "1", "samples": np.zeros((5, 5), np.uint16), "sample_bits": 12}, "two levels"),
    ],
)  # fmt: skip
def test_planes_that_do_not_fit_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Encoder(effort=1).add(**{**drawn("RGB", 5, 5, 0).arguments(), **changes})


@pytest.mark.parametrize("size", [(0, 5), (-1, -25), (1 << 15, 1 << 14), (1 << 30, 1 << 30)])
def test_impossible_sizes_are_errors_of_the_image(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="pixels"):
        Encoder(effort=1).add(**{**drawn("RGB", 5, 5, 0).arguments(), "size": size})


def test_what_no_section_holds_is_refused() -> None:
    arguments = drawn("L", 5, 5, 0).arguments()
    with pytest.raises(ImageError, match="EXIF"):
        Encoder(effort=1).add(**{**arguments, "metadata": (b"", bytes(MAX_METADATA), b"", b"")})


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"effort": 4}, "effort"), ({"effort": -1}, "effort"), ({"levels": 3}, "levels"), ({"levels": -1}, "levels"),
        ({"tile": 32}, "tile"), ({"tile": 100}, "tile"), ({"tile": 2048}, "tile"), ({"tile": -64}, "tile"),
    ],
)  # fmt: skip
def test_options_that_do_not_exist_are_refused(options: dict[str, int], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Encoder(**{"effort": 1, **options})


def test_calls_in_another_order_are_refused(context_model: ContextModel) -> None:
    encoder = Encoder(effort=1)
    with pytest.raises(ValueError, match="no image"):
        encoder.advance(0, 1)
    encoder.add(**drawn("L", 9, 9, 0).arguments())
    with pytest.raises(ValueError, match="threads"):
        encoder.advance(0, 0)
    assert encoder.advance(0, 1) == Event.NEED_MODEL
    with pytest.raises(ValueError, match="begun"):
        encoder.add(**drawn("L", 9, 9, 0).arguments())
    with pytest.raises(ValueError, match="begun"):
        encoder.use_model(context_model)
    with pytest.raises(ValueError, match="not done"):
        encoder.file(0)
    finished(encoder)
    assert encoder.advance(0, 1) == Event.DONE
    with pytest.raises(ValueError, match="no such file"):
        encoder.file(1)


def test_an_encoder_that_failed_does_not_go_on() -> None:
    data = registry.find("photo").file
    start = 8 + int.from_bytes(data[:8], "little")
    broken = ContextModel.parse(
        data[:start] + bytes(len(data) - start), "broken", known_id=b"an id that no hash is like".ljust(32)
    )
    encoder = encoder_of([drawn("RGB", 9, 9, 0)], broken)
    with pytest.raises(ModelError, match="compute here what they must"):
        finished(encoder)
    with pytest.raises(ValueError, match="failed"):
        encoder.advance(0, 1)
    with pytest.raises(ValueError, match="not done"):
        encoder.file(0)


@pytest.mark.parametrize("file", [b"", b"\xff\xd8", jpeg_of()[:400], ARITHMETIC, PHOTO.read_bytes()])
def test_a_jpeg_file_that_cannot_be_rebuilt_is_refused(file: bytes) -> None:
    with pytest.raises(FormatError):
        read_jpeg(file)
