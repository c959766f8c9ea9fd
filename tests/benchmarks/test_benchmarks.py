"""Every benchmark runs, and what it reports is what the codec does: no figure is judged here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.ans.logistic import cost_bits
from ddpmcodec.benchmarks import _common, _process, _stages, ans_speed, lossless, progressive, speed
from ddpmcodec.benchmarks._peers import PEERS, Peer
from ddpmcodec.benchmarks._photo import synthetic_photo
from ddpmcodec.channels import uniform
from ddpmcodec.errors import OutputError
from ddpmcodec.networks.model import Model

HEAD = ["name", "description", "command", "machine", "versions", "model", "dataset", "results"]
INSTALLED = [peer for peer in PEERS if not peer.skipped]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Three crops of the synthetic photograph, uint8 [3, 32, 32, 3]."""
    photo = np.asarray(synthetic_photo(96, 32))
    return np.stack([photo[:, left : left + 32] for left in (0, 32, 64)])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    synthetic_photo(48, 32).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def code_length(pixels: np.ndarray, model: Model) -> float:
    """Bits of the coder's symbols at effort 1, from another run of the channel: its own, without streams."""
    walk = uniform.encode_symbols(pixels, model, model.presets[1], group=0)
    return sum(float(cost_bits(freqs).sum()) for symbols, _ in walk for _, freqs in symbols)


Bench = Callable[..., tuple[Any, str]]


@pytest.fixture
def bench(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Bench:
    """Runs a benchmark with the tiny model: its arguments in, the JSON it wrote and what it printed out."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the processes that it starts

    def run(module: Any, *arguments: object, out: str = "results.json") -> tuple[Any, str]:
        module.main([*map(str, arguments), f"--model={tiny_model}", f"--out={tmp_path / out}"])
        return json.loads((tmp_path / out).with_suffix(".json").read_text()), capsys.readouterr().out

    return run


# --- lossless


def test_lossless_reports_the_sizes_of_the_files_that_encode_writes(
    bench: Bench, tmp_path: Path, pictures: np.ndarray, model: Model
) -> None:
    np.save(tmp_path / "pictures.npy", pictures)
    found, _ = bench(lossless, "--data", tmp_path / "pictures.npy", "--limit", 2, "--efforts", 1, 5)
    for row, effort in zip(found["results"], (1, 5), strict=False):
        files = codec.encode_many(list(pictures[:2]), effort=effort, model=model)
        assert row["bytes"] == sum(map(len, files))
        assert row["bits_per_dim"] == pytest.approx(8 * row["bytes"] / pictures[:2].size)
        assert row["calls"] == len(model.presets[effort])
        assert row["mismatches"] == 0


def test_lossless_reports_the_models_code_length_and_what_the_files_have_beyond_it(
    bench: Bench, tmp_path: Path, pictures: np.ndarray, model: Model
) -> None:
    np.save(tmp_path / "pictures.npy", pictures)
    found, _ = bench(lossless, "--data", tmp_path / "pictures.npy", "--efforts", 1)
    row = found["results"][0]
    ideal_bytes = code_length(pictures, model) / 8
    assert row["code_length"] == pytest.approx(8 * ideal_bytes / pictures.size)
    assert 3 * row["overhead_mean"] == pytest.approx(row["bytes"] - ideal_bytes)
    assert 0 < row["overhead_min"] <= row["overhead_mean"] <= row["overhead_max"]


def test_lossless_measures_photographs_of_any_size_beside_the_other_codecs(
    bench: Bench, tmp_path: Path, pictures: np.ndarray
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(pictures[0]).save(folder / "a.png")
    Image.fromarray(pictures[1, :20]).save(folder / "b.png")
    found, printed = bench(lossless, "--data", folder, "--efforts", 1)
    rows = {row["codec"]: row for row in found["results"]}
    assert list(rows) == ["ddpmcodec effort 1", *(peer.name for peer in PEERS)]
    for peer in INSTALLED:
        sizes = [len(peer.encode(pixels)) for pixels in (pictures[0], pictures[1, :20])]
        assert rows[peer.name]["bytes"] == sum(sizes)
        assert rows[peer.name]["mismatches"] == 0
    assert found["dataset"]["images"] == 2
    assert all(f"| {name} |" in printed for name in rows)


def test_streams_cost_what_their_symbols_cost(pictures: np.ndarray, model: Model) -> None:
    with lossless.code_lengths() as costs:
        (stream,) = uniform.encode_group(pictures[:1], model, model.presets[1], group=0, per_step=False)[0]
    assert costs[stream] == pytest.approx(code_length(pictures[:1], model))


# --- progressive


def test_progressive_previews_are_prefixes_of_the_file_that_encode_writes(
    bench: Bench, photo: Path, model: Model
) -> None:
    data = codec.encode(Image.open(photo), effort=1, model=model)
    budgets = ["--budgets", 100, 1000, len(data), 10**6]
    found, printed = bench(progressive, "--image", photo, "--effort", 1, *budgets, out="strip.png")
    results = found["results"]
    assert results["bytes"] == [100, 1000, len(data)]
    assert results["bpp"] == pytest.approx([8 * size / (48 * 32) for size in results["bytes"]])
    assert results["psnr-rgb"][-1] is None
    preview = np.asarray(codec.decode(data, max_bytes=1000, model=model), float)
    error = math.sqrt(np.mean((preview - np.asarray(Image.open(photo))) ** 2))
    assert results["psnr-rgb"][1] == pytest.approx(20 * math.log10(255 / error))
    assert printed.count("\n") == 2 + len(results["bytes"])


def test_progressive_draws_every_preview(bench: Bench, photo: Path, tmp_path: Path) -> None:
    bench(progressive, "--image", photo, "--effort", 1, "--budgets", 100, 1000, out="strip.png")
    with Image.open(tmp_path / "strip.png") as strip:
        pixels = np.asarray(strip)
    across = (strip.width - progressive.MARGIN) // 3
    left = progressive.MARGIN + 2 * across
    last = pixels[progressive.MARGIN :][:32, left : left + 48]
    assert np.array_equal(last, np.asarray(Image.open(photo)))
    below = pixels[progressive.MARGIN + 32 :]
    assert all((below[:, i * across : (i + 1) * across] < 128).any() for i in range(3))  # labels


def test_progressive_refuses_a_budget_below_the_header(bench: Bench, photo: Path) -> None:
    with pytest.raises(SystemExit, match=r"--budgets 3: the header of this file alone takes \d+ bytes"):
        bench(progressive, "--image", photo, "--effort", 1, "--budgets", 3, out="strip.png")


# --- speed


def test_speed_splits_the_time_and_compares_it(bench: Bench, photo: Path, model: Model) -> None:
    found, printed = bench(speed, "--image", photo, "--efforts", 1, "--runs", 1)
    results = found["results"]
    assert list(results) == ["codecs", "ratios", "stages", "processes", "start_up"]
    own, png = results["codecs"][:2]
    data = codec.encode(Image.open(photo), effort=1, model=model)
    assert own["bits_per_dim"] == pytest.approx(8 * len(data) / (48 * 32 * 3))
    assert own["encode_mb_s"] * own["encode_seconds"] == pytest.approx(48 * 32 * 3 / 1e6)
    assert results["ratios"][0]["PNG"] == pytest.approx(own["encode_seconds"] / png["encode_seconds"])
    for row in results["stages"]:
        assert sum(value for key, value in row.items() if key.endswith("_percent")) == pytest.approx(100)
    assert [row["command"] for row in results["processes"]] == ["encode effort 1", "decode effort 1"]
    assert all(row["peak_mb"] > 50 for row in results["processes"])  # PyTorch alone takes more
    assert [row["command"] for row in results["start_up"]] == ["--help", "encode one 32x32"]
    assert printed.count("\n| ---") == len(results)


def test_speed_of_a_large_picture_is_that_of_fresh_processes(bench: Bench) -> None:
    found, _ = bench(speed, "--megapixels", 0.0024)
    assert list(found["results"]) == ["processes"]
    assert found["dataset"]["name"] == "synthetic"
    for row in found["results"]["processes"]:
        assert row["mb_s"] * row["seconds"] == pytest.approx(3 * 60 * 40 / 1e6)


def test_stages_lie_inside_one_another_and_the_clock_changes_nothing(pictures: np.ndarray, model: Model) -> None:
    before = torch.nn.functional.conv2d
    with _stages.watching(model) as (clock, watched):
        data = codec.encode(pictures[0], effort=1, model=watched, verify=False)
    assert data == codec.encode(pictures[0], effort=1, model=model)
    assert torch.nn.functional.conv2d is before
    assert 0 < clock.seconds["convolutions"] < clock.seconds["network"] < clock.seconds["groups"]
    first, last = clock.moments["groups"]
    assert clock.stages(last - first + 1)["io"] == pytest.approx(1)


def test_peak_memory_is_that_of_the_command_and_not_of_this_process() -> None:
    big = np.ones(1 << 28, np.uint8)
    assert _process.run("true").peak_bytes < len(big)


def test_a_command_that_fails_ends_the_benchmark_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"decode .*nothing\.ddpm failed: .*No such file"):
        _process.ddpmcodec("decode", tmp_path / "nothing.ddpm")


def test_the_synthetic_photograph_is_always_the_same() -> None:
    first = synthetic_photo(40, 30)
    assert first.size == (40, 30)
    assert first.tobytes() == synthetic_photo(40, 30).tobytes()


# --- ans_speed


def test_ans_speed_reports_both_searches(tmp_path: Path) -> None:
    ans_speed.main(["--symbols", "2000", "--repeats", "1", "--out", str(tmp_path / "ans.json")])
    rows = json.loads((tmp_path / "ans.json").read_text())["results"]
    assert [row["coder"] for row in rows][:3] == ["unknown", "refined", "constriction"]
    assert 0 < rows[1]["bits_per_symbol"] < rows[0]["bits_per_symbol"]


def test_ans_speed_reports_latents_at_the_length_of_their_entropy(tmp_path: Path) -> None:
    ans_speed.main(["--symbols", "5000", "--repeats", "1", "--out", str(tmp_path / "ans.json")])
    row = json.loads((tmp_path / "ans.json").read_text())["results"][-1]
    assert row["coder"] == "gaussian"
    assert row["encode"] > 0 < row["decode"]
    mean_log_std = (8 * math.log2(8) - 4 * math.log2(4)) / 4 - 1 / math.log(2)  # of a uniform one in 4..8
    assert row["bits_per_symbol"] == pytest.approx(mean_log_std + math.log2(math.sqrt(2 * math.pi * math.e)), abs=0.06)


# --- what they share


def test_every_results_file_says_where_with_what_and_how(bench: Bench, photo: Path, model: Model) -> None:
    found, _ = bench(progressive, "--image", photo, "--effort", 1, "--budgets", 100, out="strip.png")
    assert list(found) == HEAD
    assert found["command"].startswith(f"python -m ddpmcodec.benchmarks.progressive --image {photo} --effort 1")
    assert found["model"] == {"name": "tiny0", "id": model.id.hex()}
    assert found["machine"].keys() >= {"processor", "cores", "threads"}
    assert found["versions"]["torch"] == torch.__version__


def test_the_data_set_is_named_by_its_pixels(pictures: np.ndarray) -> None:
    first, other = (_common.dataset("x", list(images))["sha256"] for images in (pictures, pictures[::-1]))
    assert first == _common.dataset("x", list(pictures))["sha256"] != other


def test_a_missing_effort_is_refused_before_anything_is_measured(tiny_model: Path, model: Model) -> None:
    short = replace(model, presets={1: model.presets[1]})
    assert _common.load(str(tiny_model), short.presets).presets == model.presets
    with pytest.raises(SystemExit, match=r"model 'tiny0' has no effort 11: it has \[1, "):
        _common.load(str(tiny_model), [1, 11])


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        ans_speed.main(["--out", str(tmp_path / "nowhere" / "ans.json")])


def test_a_format_that_pillow_does_not_write_is_skipped(pictures: np.ndarray) -> None:
    absent = Peer("absent", "ABSENT", {})
    assert lossless.theirs(list(pictures), absent) == {"codec": "absent", "skipped": "skipped: needs a Pillow with ABSENT"}
    assert speed.theirs(pictures[0], absent) == {"codec": "absent", "skipped": "skipped: needs a Pillow with ABSENT"}


@pytest.mark.parametrize("peer", INSTALLED, ids=lambda peer: peer.name)
def test_the_other_codecs_are_lossless(peer: Peer, pictures: np.ndarray) -> None:
    assert np.array_equal(peer.decode(peer.encode(pictures[0])), pictures[0])


def test_tables_show_what_a_row_lacks_as_a_dash() -> None:
    rows = [{"codec": "a", "bytes": 5, "seconds": 1.23456}, {"codec": "b", "bytes": None}]
    lines = ["| codec | bytes | seconds |", "| --- | --- | --- |", "| a | 5 | 1.235 |", "| b | - | - |"]
    assert _common.table(rows).splitlines() == lines
