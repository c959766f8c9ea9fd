"""The timings of bench speed, and the exponents that are fitted to them. No figure is judged here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ddpmcodec
from ddpmcodec.benchmarks import _process, _timing
from ddpmcodec.benchmarks._codecs import BASELINES
from ddpmcodec.benchmarks._timing import Coder, batches_of, exponent, fits, of_baseline, of_coding
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.errors import ChecksumError, DdpmError
from ddpmcodec.models.context import ContextModel

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", ["ours", "baseline"])
def test_coders_give_the_images_back(kind: str, context_model: ContextModel, pictures: np.ndarray) -> None:
    coder = {"ours": of_coding(context_model, Coding(1, 0)), "baseline": of_baseline(BASELINES[-1])}[kind]
    files = coder.encode(list(pictures))
    assert len(files) == len(pictures)
    assert np.array_equal(coder.decode(files), pictures)


def test_thumbnails_are_coded_in_batches_and_photographs_alone() -> None:
    thumbnails, photographs = [np.zeros((32, 32, 3), np.uint8)] * 300, [np.zeros((512, 768, 3), np.uint8)] * 2
    assert batches_of(thumbnails) == [slice(0, 256), slice(256, 300)]
    assert batches_of(photographs) == [slice(0, 1), slice(1, 2)]


def test_an_image_that_does_not_come_back_ends_the_run(pictures: np.ndarray) -> None:
    broken = Coder("broken", None, 1, lambda images: [b""] * len(images), lambda files: [pictures[0]] * len(files))
    with pytest.raises(ChecksumError, match=r"broken: .*defect"):
        _timing.throughput(broken, list(pictures), 1, 1)


def test_peak_memory_is_that_of_the_command_and_not_of_this_process() -> None:
    big = np.ones(1 << 27, np.uint8)
    assert _process.run("true").peak_bytes < len(big)


def test_processor_seconds_are_those_of_the_command() -> None:
    """A command that sleeps for longer takes less of the processor."""
    works = _process.run("python3", "-c", "sum(range(10**7))")
    assert _process.run("sleep", "1").processor_seconds < works.processor_seconds


def test_a_batch_of_thumbnails_is_of_pieces_of_the_images(pictures: np.ndarray) -> None:
    wide = np.concatenate(list(pictures), 1)
    for images in (list(pictures), [wide, wide[:20]]):
        found = _timing.thumbnails(images)
        assert len(found) == 256
        assert np.array_equal(found[:4], [*pictures, pictures[0]])
    assert len(_timing.thumbnails([wide[:20]])) == 256


def test_what_a_decoder_takes_on_a_disk_is_that_of_all_its_packages() -> None:
    sizes = {entry["package"]: entry["bytes"] for entry in _timing.installed()}
    assert list(sizes) == ["ddpmcodec", "numpy", "pillow", "click", "safetensors", "tqdm"]
    models = Path(ddpmcodec.__file__).parent / "models"
    assert sizes["ddpmcodec"] > sum(file.stat().st_size for file in models.glob("*.safetensors"))
    assert sizes["numpy"] > sizes["click"] > 50_000


def test_a_command_that_fails_ends_the_benchmark_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(DdpmError, match=r"nothing\.ddpm failed"):
        _process.ddpmcodec("decode", tmp_path / "nothing.ddpm")


def test_a_preview_is_timed_beside_the_whole_file(
    pictures: np.ndarray, context_model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = _timing.preview(context_model, Coding(1, 2), pictures[0], 1, 1)
    assert small["skipped"] == "the file is too small"
    monkeypatch.setattr(_timing, "PREVIEW_SHARE", 0.1)
    found = _timing.preview(context_model, Coding(1, 2), pictures[0], 1, 2)
    assert found["preview_bytes"] == round(0.1 * found["bytes"])
    assert len(found["preview_seconds"]) == len(found["decode_seconds"]) == 2


def test_growth_is_the_exponent_of_a_power_law() -> None:
    found = exponent([1, 2, 4, 8], [3, 12, 48, 192])
    assert found["mean"] == pytest.approx(2)
    assert found["standard_error"] == pytest.approx(0, abs=1e-9)
    assert exponent([1, 4], [5, 10]) == {"mean": pytest.approx(0.5), "standard_error": None}


def test_the_error_of_an_exponent_is_that_of_least_squares() -> None:
    x, y = np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.array([1.0, 2.5, 3.0, 9.0, 15.0])
    slope, covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    found = exponent(x.tolist(), y.tolist())
    assert found["mean"] == pytest.approx(slope[0])
    assert found["standard_error"] == pytest.approx(np.sqrt(covariance[0, 0]))


def test_growth_is_fitted_where_there_are_two_sizes() -> None:
    rows = [
        {"codec": "ddpmcodec e1 levels 2", "megapixels": size, "encode_seconds": [size], "decode_seconds": [3 * size]}
        for size in (1.0, 4.0)
    ]
    encode, decode = fits(rows)
    assert (encode["of"], decode["of"]) == ("a photograph, e1 levels 2, encode", "a photograph, e1 levels 2, decode")
    assert encode["exponent"]["mean"] == pytest.approx(1)
    assert fits(rows[:1]) == []
