"""The coder's own benchmark: what it codes is as long as it must be."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from ddpmcodec.benchmarks import ans_speed
from ddpmcodec.errors import OutputError


def test_both_searches_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ans_speed.main(["--symbols", "2000", "--repeats", "1", "--out", str(tmp_path / "ans.json")])
    found = json.loads((tmp_path / "ans.json").read_text())
    rows = found["results"]["coders"]
    assert [row["coder"] for row in rows][:3] == ["unknown", "refined", "constriction"]
    assert 0 < rows[1]["bits_per_symbol"] < rows[0]["bits_per_symbol"]
    assert found["command"].startswith("python -m ddpmcodec.benchmarks.ans_speed --symbols 2000 --repeats 1")
    assert capsys.readouterr().out.startswith("| coder | encode | decode | bits_per_symbol |\n")


def test_latents_have_the_length_of_their_entropy(tmp_path: Path) -> None:
    ans_speed.main(["--symbols", "5000", "--repeats", "1", "--out", str(tmp_path / "ans.json")])
    row = json.loads((tmp_path / "ans.json").read_text())["results"]["coders"][-1]
    assert row["coder"] == "gaussian"
    assert row["encode"] > 0 < row["decode"]
    mean_log_std = (8 * math.log2(8) - 4 * math.log2(4)) / 4 - 1 / math.log(2)  # of a uniform one in 4..8
    assert row["bits_per_symbol"] == pytest.approx(mean_log_std + math.log2(math.sqrt(2 * math.pi * math.e)), abs=0.06)


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        ans_speed.main(["--out", str(tmp_path / "nowhere" / "ans.json")])
