"""bench strips: its pictures show what the first bytes decode to, and say how many there were and how close it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.benchmarks import strips
from ddpmcodec.benchmarks._codecs import Baseline
from ddpmcodec.benchmarks._results import read
from ddpmcodec.benchmarks.strips import COLUMNS, GAP, LINE, TILE, Cell, Strip, picture
from ddpmcodec.models.context import ContextModel

pytestmark = pytest.mark.usefixtures("one_thread")

Bench = Any


@pytest.fixture
def photo(tmp_path: Path, pictures: np.ndarray) -> Path:
    """32 x 48."""
    Image.fromarray(np.concatenate([pictures[0], pictures[1][:, :16]], 1)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def decibel(shown: Any, image: Any) -> float:
    return float(10 * np.log10(255**2 / np.square(np.asarray(shown, float) - np.asarray(image)).mean()))


def test_cells_are_previews_of_prefixes_of_one_file(bench: Bench, photo: Path, context_model: ContextModel) -> None:
    ended = bench("strips", photo, "--effort", 1, "--bytes", "1000,100,1000000", "--no-baselines")
    data, image = codec.encode(Image.open(photo), effort=1, model=context_model), Image.open(photo)
    (found,) = ended.found["results"]["images"]
    assert (found["name"], found["width"], found["height"]) == ("photo", 48, 32)
    assert found["budgets"] == [100, 1000, len(data)]
    (strip,) = found["strips"]
    first, second, last = strip["cells"]
    assert first["psnr"] == pytest.approx(decibel(codec.decode(data, max_bytes=100, model=context_model), image))
    assert second["psnr"] == pytest.approx(decibel(codec.decode(data, max_bytes=1000, model=context_model), image))
    assert second["bpp"] == pytest.approx(8 * 1000 / (32 * 48))
    assert (last["psnr"], last["steps"]) == (None, 2)
    assert f"| photo | {len(data):,} | {last['bpp']:.2f} | lossless |" in ended.stdout


def test_budgets_are_ten_up_to_the_whole_file(bench: Bench, photo: Path) -> None:
    ended = bench("strips", photo, "--effort", 1, "--no-baselines")
    (found,) = ended.found["results"]["images"]
    sizes = found["budgets"]
    assert len(sizes) == 10
    assert sizes[0] == round(sizes[-1] / 64)
    assert np.diff(np.log(sizes)) == pytest.approx(np.log(64) / 9, abs=0.05)
    assert found["strips"][0]["cells"][-1]["psnr"] is None


def test_budgets_of_a_small_file_begin_at_its_header(bench: Bench, tmp_path: Path, context_model: ContextModel) -> None:
    Image.new("L", (8, 8), 77).save(tmp_path / "small.png")
    ended = bench("strips", tmp_path / "small.png", "--effort", 1, "--no-baselines")
    (found,) = ended.found["results"]["images"]
    sizes = found["budgets"]
    data = codec.encode(tmp_path / "small.png", effort=1, model=context_model)
    assert (len(sizes), sizes[0]) == (10, codec.info(data)["header_bytes"])


def test_jpeg_and_webp_show_the_best_file_that_fits(pictures: np.ndarray) -> None:
    qualities = [Baseline("JPEG", "JPEG", {"quality": quality}) for quality in (10, 50, 90)]
    files = [quality.encode(pictures[0]) for quality in qualities]
    found = strips.theirs(qualities, pictures[0], [len(files[0]) - 1, len(files[0]), len(files[2]) - 1, 10**6])
    assert found.least == len(files[0])
    assert found.cells[0] is None
    for cell, data, quality in zip(found.cells[1:], files, qualities, strict=True):
        assert cell is not None
        assert cell.bytes == len(data)
        assert np.array_equal(cell.pixels, quality.decode(data))
        assert cell.psnr == pytest.approx(decibel(cell.pixels, pictures[0]))


def test_webp_without_loss_is_shown_where_it_fits(bench: Bench, photo: Path) -> None:
    ended = bench("strips", photo, "--effort", 1, "--levels", 5, "--bytes", "1000000")
    (found,) = ended.found["results"]["images"]
    cells = {strip["codec"]: strip["cells"][0] for strip in found["strips"]}
    assert list(cells) == ["ddpmcodec", "AVIF", "WebP", "JPEG"]
    assert cells["WebP"]["psnr"] is None
    assert cells["JPEG"]["psnr"] > 30


def test_a_budget_below_the_header_is_refused(
    bench: Bench, photo: Path, tmp_path: Path, context_model: ContextModel
) -> None:
    header = codec.info(codec.encode(Image.open(photo), effort=1, model=context_model))["header_bytes"]
    ended = bench("strips", photo, "--effort", 1, "--bytes", 3, "--no-baselines")
    assert ended.code == 1
    assert re.search(rf"\b3 bytes .* {header}\b.* --bytes", ended.stderr)
    assert not (tmp_path / "out" / "strip-photo.png").exists()


def test_images_of_one_name_are_refused(bench: Bench, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.png").write_bytes(photo.read_bytes())
    ended = bench("strips", photo, tmp_path / "other" / "photo.png")
    assert ended.code == 1
    assert "photo: two images have this name" in ended.stderr


def test_an_interrupted_run_does_not_go_on_with_other_codecs(
    bench: Bench, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(strips, "_strip", interrupt)
        assert bench("strips", photo, "--no-baselines").code == 130
    ended = bench("strips", photo)
    assert ended.code == 1
    assert "unfinished work" in ended.stderr


# --- the picture


def tile(shown: Image.Image, row: int, column: int, size: tuple[int, int], left: int = 0) -> np.ndarray:
    """Pixels of a tile of the first block."""
    x = left + GAP + column * (size[0] + GAP)
    y = GAP + LINE + row * (size[1] + LINE + GAP // 2)
    return np.asarray(shown)[y : y + size[1], x : x + size[0]]


def cells(image: np.ndarray, count: int) -> list[Cell]:
    return [Cell(100 * (number + 1), 20.0 + number, image - number) for number in range(count)]


def test_small_images_are_enlarged_pixel_by_pixel(pictures: np.ndarray) -> None:
    image = pictures[0] // 2 + 64
    shown = picture([Strip("a", cells(image, 2), 10)], [100, 200])
    factor = TILE // 32
    for column in (0, 1):
        expected = (image - column).repeat(factor, 0).repeat(factor, 1)
        assert np.array_equal(tile(shown, 0, column, (32 * factor, 32 * factor)), expected)


def test_large_images_are_reduced_to_the_width_of_a_tile() -> None:
    image = np.full((400, 2 * TILE, 3), 90, np.uint8)
    shown = picture([Strip("a", cells(image, 1), 10)], [100])
    assert (tile(shown, 0, 0, (TILE, 200)) == 90).all()


def test_under_every_tile_stand_rate_and_quality_and_above_the_budget(pictures: np.ndarray) -> None:
    budgets = [100, 200, 300, 400, 500, 600]
    shown = np.asarray(picture([Strip("a", cells(pictures[0] // 2 + 64, 6), 10)], budgets))
    size, block = TILE // 32 * 32, shown.shape[0] // 2
    assert shown.shape[1] == GAP + COLUMNS * (size + GAP)  # the sixth stands below
    for top in (0, block):
        x, y = slice(GAP, GAP + size), top + GAP + LINE
        assert (shown[y - LINE : y, x] < 128).any()
        assert (shown[y + size : y + size + LINE, x] < 128).any()


def test_a_codec_without_a_file_so_small_has_an_empty_tile(pictures: np.ndarray) -> None:
    image = pictures[0] // 2 + 64
    first, second = cells(image, 2)
    shown = picture([Strip("a", [first, second], 10), Strip("b", [None, second], 150)], [100, 200])
    size = TILE // 32 * 32
    left = shown.width - GAP - 2 * (size + GAP)
    assert len(np.unique(tile(shown, 1, 0, (size, size), left).reshape(-1, 3), axis=0)) == 1
    assert np.array_equal(tile(shown, 0, 1, (size, size), left), tile(shown, 1, 1, (size, size), left))
    assert (np.asarray(shown)[:, :left] < 128).any()  # the codecs' names


# --- what a result says


def test_every_picture_has_a_caption_and_files_a_measure(bench: Bench, photo: Path, tmp_path: Path) -> None:
    bench("strips", photo, "--effort", 1, "--no-baselines")
    found = read(tmp_path / "out" / "bench-strips.json")
    assert list(strips.figures(found)) == ["strip-photo"]
    assert (tmp_path / "out" / "strip-photo.png").exists()
    (measure,) = strips.measures(found)
    assert measure.values == {found["dataset"]["ids"][0]: found["results"]["images"][0]["budgets"][-1]}
