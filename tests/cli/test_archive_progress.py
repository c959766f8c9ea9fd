"""The count of images that are done while an archive is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec.cli import _report
from ddpmcodec.cli._report import ArchiveProgress


@pytest.fixture
def thumbnails(tmp_path: Path) -> Path:
    """As many as bits back needs: the first ones are its initial bits."""
    y, x = np.mgrid[:12, :12]
    (tmp_path / "thumbnails").mkdir()
    for number in range(24):
        noise = np.random.Generator(np.random.Philox(number)).normal(0, 6, (12, 12, 3))
        pixels = np.stack([60 + 5 * x, 200 - 4 * y, 60 + 3 * x + 2 * y], axis=2) + noise + number
        Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)).save(tmp_path / "thumbnails" / f"{number}.png")
    return tmp_path / "thumbnails"


def test_bits_back_reports_images_while_it_codes_them(
    ddpm: Callable, thumbnails: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_report, "REPORT_SECONDS", 0.0)
    ended = ddpm("archive", "create", thumbnails.parent / "a.ddpma", thumbnails, "--bits-back", 2)
    lines = [line for line in ended.stderr.splitlines() if line.endswith(" of 24 images")]
    counts = [int(line.split()[1]) for line in lines]
    assert ", 0 of them by bits back" not in ended.stderr
    assert counts == sorted(counts)
    assert len({*counts}) > 12
    assert counts[-1] == 24


def test_a_bar_moves_by_the_pixels_that_are_coded() -> None:
    moves: list[float] = []
    progress = ArchiveProgress(4, 2, moves.append, quiet=False)
    progress.read(100)
    progress.read(300)
    assert moves == []
    progress.code(400)
    assert sum(moves) == 1
    progress.leave_out()
    assert sum(moves) == 2
    progress.read(100)  # the bar stays until its pixels are coded
    progress.code(700)
    assert min(moves) >= 0
    assert sum(moves) == pytest.approx(4)
