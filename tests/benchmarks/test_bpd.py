"""bench bpd: the sizes that it reports are those of the files that the codec writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec.ans.logistic import cost_bits
from ddpmcodec.benchmarks import _lossless, bpd
from ddpmcodec.benchmarks._peers import PEERS, Peer, sort_out
from ddpmcodec.benchmarks._results import read
from ddpmcodec.channels import uniform
from ddpmcodec.errors import ChecksumError, ModelError
from ddpmcodec.networks.model import Model

pytestmark = pytest.mark.usefixtures("one_thread")

INSTALLED = [peer for peer in PEERS if not peer.skipped]


def code_length(pixels: np.ndarray, model: Model) -> float:
    """Bits of the coder's symbols at effort 1, from another run of the channel: its own, without streams."""
    walk = uniform.encode_symbols(pixels, model, model.presets[1], group=0)
    return sum(float(cost_bits(freqs).sum()) for symbols, _ in walk for _, freqs in symbols)


def test_files_have_the_sizes_that_encode_gives_them(
    bench: Any, array: Path, pictures: np.ndarray, model: Model
) -> None:
    ended = bench("bpd", "--data", array, "--limit", 2, "--efforts", "1,5", "--no-peers")
    for row, effort in zip(ended.found["results"]["codecs"], (1, 5), strict=True):
        sizes = [len(data) for data in codec.encode_many(list(pictures[:2]), effort=effort, model=model)]
        assert (row["codec"], row["calls"]) == (f"ddpmcodec effort {effort}", len(model.presets[effort]))
        assert row["bytes"] == sizes
        assert row["bits_per_dim"]["mean"] == pytest.approx(8 * sum(sizes) / pictures[:2].size)
    assert ended.found["dataset"]["images"] == 2
    assert ended.stdout.count("| ddpmcodec effort ") == 2


def test_efforts_of_one_list_and_images_that_are_equal_are_measured(
    bench: Any, tmp_path: Path, pictures: np.ndarray, model: Model
) -> None:
    np.save(tmp_path / "twice.npy", np.concatenate([pictures[:1], pictures[:1]]))
    ended = bench("bpd", "--data", tmp_path / "twice.npy", "--efforts", "1,5", "--no-peers")
    first, _ = ended.found["results"]["codecs"]
    assert first["bytes"][0] == first["bytes"][1] == len(codec.encode(pictures[0], effort=1, model=model))
    with _lossless.code_lengths() as costs:
        again = [_lossless.files(list(pictures[:1]), model, 1, costs) for _ in range(2)]
    assert again[0] == again[1]


def test_beside_a_file_stands_its_code_length_and_what_it_has_beyond(
    bench: Any, array: Path, pictures: np.ndarray, model: Model
) -> None:
    ended = bench("bpd", "--data", array, "--efforts", 1, "--no-peers")
    (row,) = ended.found["results"]["codecs"]
    needed = code_length(pictures, model)
    assert row["bound"]["mean"] == pytest.approx(needed / pictures.size)
    assert 3 * row["overhead_bytes"]["mean"] == pytest.approx(sum(row["bytes"]) - needed / 8)
    assert 0 < row["overhead_bytes"]["min"] <= row["overhead_bytes"]["mean"] <= row["overhead_bytes"]["max"]


def test_archives_have_the_size_that_create_gives_them_and_the_bound_of_their_levels(
    bench: Any, array: Path, pictures: np.ndarray, model: Model
) -> None:
    ended = bench("bpd", "--data", array, "--efforts", 1, "--archives", 2, "--no-peers")
    _, row = ended.found["results"]["codecs"]
    named = [(str(i), image) for i, image in enumerate(pictures)]
    assert row["bytes"] == [len(archive.create(named, levels=2, model=model))]
    assert row["bits_per_dim"] == {"mean": 8 * row["bytes"][0] / pictures.size, "standard_error": None}
    assert row["bound"]["mean"] == pytest.approx(np.mean(_lossless.bounds(pictures, model, 2, 0)["bound"]))
    assert 0 <= row["images_on_stacks"] <= 3


def test_archives_by_the_uniform_channel_stand_beside_their_code_length(
    bench: Any, array: Path, pictures: np.ndarray, model: Model
) -> None:
    ended = bench("bpd", "--data", array, "--efforts", 1, "--archive-efforts", 1, "--no-peers")
    single, row = ended.found["results"]["codecs"]
    named = [(str(i), image) for i, image in enumerate(pictures)]
    assert row["codec"] == "ddpmcodec archive effort 1"
    assert row["bytes"] == [len(archive.create(named, effort=1, model=model))]
    assert row["bound"] == pytest.approx(single["bound"])
    assert row["bits_per_dim"]["mean"] < single["bits_per_dim"]["mean"]
    assert row["images_on_stacks"] == len(pictures)


def test_photographs_of_any_size_stand_beside_the_other_codecs(
    bench: Any, tmp_path: Path, pictures: np.ndarray
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(pictures[0]).save(folder / "a.png")
    Image.fromarray(pictures[1, :20]).save(folder / "b.png")
    ended = bench("bpd", "--data", folder, "--efforts", 1)
    rows = {row["codec"]: row for row in ended.found["results"]["codecs"]}
    assert rows.keys() == {"ddpmcodec effort 1", *(peer.name for peer in PEERS)}
    for peer in INSTALLED:
        sizes = np.array([len(peer.encode(image)) for image in (pictures[0], pictures[1, :20])])
        assert rows[peer.name]["bytes"] == sizes.tolist()
        rates = 8 * sizes / [pictures[0].size, pictures[1, :20].size]
        assert rows[peer.name]["bits_per_dim"]["mean"] == pytest.approx(rates.mean())
    assert ended.found["results"]["literature"] == []
    assert all((tmp_path / "out" / f"bpd.{suffix}").stat().st_size > 1000 for suffix in ("png", "svg"))


def test_a_codec_that_is_not_installed_is_said_to_be_skipped(
    bench: Any, array: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bpd, "PEERS", (Peer("Absent", "ABSENT", {}),))
    ended = bench("bpd", "--data", array, "--limit", 1, "--efforts", 1)
    assert ended.found["results"]["codecs"][1] == {"codec": "Absent", "skipped": "skipped: needs a Pillow with ABSENT"}
    assert "ddpmcodec: Absent: skipped: needs a Pillow with ABSENT\n" in ended.stderr
    assert "| Absent | - | skipped: needs a Pillow with ABSENT |" in ended.stdout


def test_a_missing_plugin_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.SAVE", {})
    _, skipped = sort_out(PEERS)
    assert {"codec": "JPEG XL e9", "skipped": "skipped: needs pillow-jxl-plugin"} in skipped


def test_an_interrupted_run_goes_on_where_it_was(
    bench: Any, array: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_lossless, "peer_files", interrupted)
        ended = bench("bpd", "--data", array, "--limit", 1, "--efforts", 1)
    assert (ended.code, ended.found) == (130, None)
    assert ended.stderr.count("interrupted: what is finished is kept in ") == 1
    monkeypatch.setattr(_lossless, "files", interrupted)  # it would be done a second time
    again = bench("bpd", "--data", array, "--limit", 1, "--efforts", 1)
    assert again.code == 0
    assert len(again.found["results"]["codecs"]) == 1 + len(PEERS)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bench-bpd.json", "bpd.png", "bpd.svg"]


def test_a_result_is_not_overwritten_unless_told(bench: Any, array: Path) -> None:
    arguments = ["bpd", "--data", array, "--limit", 1, "--efforts", 1, "--no-peers"]
    first, second, third = bench(*arguments), bench(*arguments), bench(*arguments, "-f")
    assert [first.code, second.code, third.code] == [0, 1, 0]
    assert "bench-bpd.json: exists already: use -f to overwrite it, or name another folder with --out" in second.stderr


def test_an_image_that_does_not_come_back_ends_the_run(
    bench: Any, array: Path, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Image.fromarray(pictures[0] ^ 1)
    monkeypatch.setattr(codec, "decode_many", lambda *_, **__: [wrong])
    ended = bench("bpd", "--data", array, "--limit", 1, "--efforts", 1, "--no-peers")
    assert (ended.code, ended.found) == (ChecksumError.exit_code, None)
    assert "effort 1: image 1 of 1 did not come back as it was: a defect" in ended.stderr


def test_an_effort_that_the_model_does_not_have_is_refused_first(model: Model, tiny_model: Path) -> None:
    assert _lossless.load_model_with(str(tiny_model), model.presets, []).presets == model.presets
    with pytest.raises(ModelError, match=r"model 'tiny0' has no effort 11: it has 1, 2, 3"):
        _lossless.load_model_with(str(tiny_model), [1, 11], [])


def test_literature_stands_beside_cifar10s_test_set_alone_and_is_marked() -> None:
    test, train = (bpd.Dataset("CIFAR-10", [], of, split) for of, split in ((10_000, "test"), (50_000, "train")))
    assert bpd._literature(train) == []
    published = bpd._literature(test)
    assert {each["note"] for each in published} == {"literature, not measured"}
    assert all(each["source"] for each in published)


def test_measures_are_bits_per_dimension_of_files_by_their_images(bench: Any, array: Path, tmp_path: Path) -> None:
    bench("bpd", "--data", array, "--efforts", 1, "--archives", 2, "--no-peers")
    found = read(tmp_path / "out" / "bench-bpd.json")
    one, many = bpd.measures(found)
    ids = found["dataset"]["ids"]
    assert (list(one.values), list(many.values)) == (ids, [" ".join(ids)])
    codecs = found["results"]["codecs"]
    assert one.values[ids[0]] == pytest.approx(8 * codecs[0]["bytes"][0] / 3072)
    assert many.values[" ".join(ids)] == pytest.approx(codecs[1]["bits_per_dim"]["mean"])


@pytest.mark.parametrize("peer", INSTALLED, ids=lambda peer: peer.name)
def test_the_other_codecs_are_lossless(peer: Peer, pictures: np.ndarray) -> None:
    assert np.array_equal(peer.decode(peer.encode(pictures[0])), pictures[0])
