"""JPEG files whose coefficients are coded: every prefix is a picture, and better than shorter ones."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from jpegs import encoded, jpeg_of, turned
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.stream_decoder import ProgressiveDecoder
from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.parallel import threads_of

SEGMENTS = 9  # of the coarsest level
KINDS = {
    "4:2:0": jpeg_of(quality=85),
    "4:4:4": jpeg_of(quality=95, subsampling=0),
    "grey": jpeg_of("L", quality=90),
    "CMYK": jpeg_of("CMYK", quality=90),
    "tiles": jpeg_of(quality=90),
}


def file_of(kind: str, levels: int = 2) -> bytes:
    return encoded(KINDS[kind], tile=64 if kind == "tiles" else None, levels=levels)


def psnr(shown: np.ndarray, expected: np.ndarray) -> float:
    error = np.mean((shown.astype(float) - expected) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB") if image.mode == "CMYK" else image)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pictures_of_prefixes_grow_better(kind: str) -> None:
    data, expected = file_of(kind), pixels(KINDS[kind])
    qualities, steps = [], codec.info(data)["steps"]
    assert steps > SEGMENTS
    for step in range(1, steps + 1):
        prefix = codec.truncate(data, step=step)
        preview = decode_details(prefix, partial=True)
        assert preview.steps_done >= step  # high frequencies may take no bytes
        assert preview.exact == (step == steps)
        qualities.append(psnr(np.asarray(preview.image), expected))
    assert qualities == sorted(qualities)
    assert qualities[0] > 15
    assert qualities[-1] == float("inf")


@pytest.mark.parametrize("wanted", [{}, {"box": (9, 7, 40, 30)}, {"reduce": 4}])
def test_parts_and_small_images_keep_metadata(wanted: dict[str, Any]) -> None:
    jpeg = jpeg_of(exif=turned(6), icc_profile=bytes(range(200)))
    shown = codec.decode(encoded(jpeg), **wanted)
    assert (shown.info["icc_profile"], shown.getexif()[0x112]) == (bytes(range(200)), 6)


def test_any_prefix_shows_the_whole_picture_upright() -> None:
    data = encoded(jpeg_of(exif=turned(8)))
    for size in np.linspace(codec.info(data)["header_bytes"], len(data) - 1, 7).astype(int).tolist():
        preview = decode_details(data[:size], partial=True)
        assert (preview.exact, preview.damaged, preview.image.size) == (False, False, (200, 150))
        assert preview.image.getexif()[0x112] == 8
        for read in (codec.decode, codec.decode_original):
            with pytest.raises(TruncatedError):
                read(data[:size])


def test_bytes_that_arrive_become_pictures() -> None:
    data, decoder = file_of("4:2:0"), ProgressiveDecoder()
    shown = [decoder.feed(data[start : start + 500]) for start in range(0, len(data), 500)]
    assert sum(image is not None for image in shown) >= 5
    assert decoder.complete
    assert decoder.close() == codec.decode(data)


def test_unless_levels_are_asked_for_a_frequency_is_sent_at_once() -> None:
    data = encoded(KINDS["4:2:0"])
    assert codec.info(data)["steps"] == SEGMENTS
    assert codec.decode_original(data) == KINDS["4:2:0"]


def test_a_lossy_file_is_whole_segments() -> None:
    data = file_of("4:2:0")
    lossy = codec.truncate(data, bytes=len(data) // 2, mark=True)
    assert codec.info(lossy)["lossy"]
    assert psnr(np.asarray(codec.decode(lossy)), pixels(KINDS["4:2:0"])) > 25


@pytest.mark.parametrize("kind", ["4:2:0", "tiles"])
def test_a_mark_that_arrives_is_no_damage(kind: str) -> None:
    """Wherever a file was cut: for a while the mark looks like the end of a chunk."""
    data = file_of(kind)
    ends = [len(codec.truncate(data, step=step)) for step in (1, 2, SEGMENTS)]
    for size in {end + apart for end in ends for apart in range(-7, 2) if end + apart < len(data)}:
        lossy, decoder = codec.truncate(data, bytes=size, mark=True), ProgressiveDecoder()
        for start, end in ((0, size - 1), *((n, n + 1) for n in range(size - 1, len(lossy)))):
            decoder.feed(lossy[start:end])
        assert decoder.close() == codec.decode(lossy)


def test_threads_change_nothing() -> None:
    jpeg, files = KINDS["tiles"], []
    for threads in (1, 3):
        with threads_of(threads):
            files.append(encoded(jpeg, tile=64))
            assert codec.decode_original(files[-1]) == jpeg
    assert files[0] == files[1]


def test_a_flipped_bit_is_found_wherever_it_is() -> None:
    data, expected = file_of("tiles"), pixels(KINDS["tiles"])
    for place in np.random.default_rng(5).integers(codec.info(data)["header_bytes"], len(data), 60).tolist():
        damaged = bytearray(data)
        damaged[place] ^= 16
        for read in (codec.decode, codec.decode_original):
            with pytest.raises(FormatError):
                read(bytes(damaged))
        shown = decode_details(bytes(damaged), partial=True)
        assert (shown.exact, shown.damaged, shown.image.size) == (False, True, expected.shape[1::-1])


@pytest.mark.parametrize("kind", ["4:4:4", "grey", "CMYK"])
def test_a_part_is_that_of_the_picture(kind: str) -> None:
    data = encoded(KINDS[kind], tile=64)
    part = codec.decode(data, box=(40, 50, 130, 120))
    assert np.array_equal(np.asarray(part), pixels(KINDS[kind])[50:120, 40:130])


def test_information_counts_segments_as_steps() -> None:
    facts = codec.info(file_of("tiles"))
    assert {key: facts[key] for key in ("coding", "effort", "levels", "steps", "model", "segments")} == {
        "coding": "JPEG coefficients", "effort": 2, "levels": 2, "steps": 11, "model": "jpeg", "segments": 11,
    }  # fmt: skip


def test_progress_counts_the_pixels_of_both_directions() -> None:
    done: list[float] = []
    encoded(KINDS["tiles"], tile=64, progress=done.append)
    assert sum(done) == pytest.approx(2 * 200 * 150)
