"""bench bpd: the sizes that it reports are those of the files that the codec writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec.benchmarks import bpd
from ddpmcodec.benchmarks._codecs import BASELINES, Baseline, CodeLength
from ddpmcodec.benchmarks._results import read
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.errors import ChecksumError
from ddpmcodec.models.context import ContextModel

pytestmark = pytest.mark.usefixtures("one_thread")

INSTALLED = [baseline for baseline in BASELINES if not baseline.skipped]
ALONE = "--no-baselines"
QUICK = Coding(1, 0)


def test_files_have_the_sizes_that_encode_gives_them(
    bench: Any, array: Path, pictures: np.ndarray, context_model: ContextModel
) -> None:
    ended = bench("bpd", "--data", array, "--limit", 2, "--settings", "1/2,2/0", ALONE)
    names = {"ddpmcodec e1 levels 2": Coding(1, 2), "ddpmcodec e2 levels 0": Coding(2, 0)}
    for row, (name, coding) in zip(ended.found["results"]["codecs"], names.items(), strict=True):
        files = codec.encode_many(list(pictures[:2]), **coding.options, model=context_model)
        sizes = [len(data) for data in files]
        assert row["codec"] == name
        assert row["bytes"] == sizes
        assert row["bits_per_dim"]["mean"] == pytest.approx(8 * sum(sizes) / pictures[:2].size)
    assert ended.found["dataset"]["images"] == 2
    assert ended.stdout.count("| ddpmcodec e") == 2


def test_beside_a_file_stand_its_ideal_code_length_and_its_overhead(
    bench: Any, array: Path, pictures: np.ndarray, context_model: ContextModel
) -> None:
    ended = bench("bpd", "--data", array, "--settings=1/0", ALONE)
    (row,) = ended.found["results"]["codecs"]
    length = CodeLength()
    for image in pictures:
        codec.encode(image, **QUICK.options, model=context_model, verify=False, report=length)
    assert row["ideal"] == pytest.approx(length.bits / pictures.size)
    assert 3 * row["overhead_bytes"] == pytest.approx(sum(row["bytes"]) - length.bits / 8)
    assert row["overhead_bytes"] > 8


def test_archives_have_the_size_that_create_gives_them(
    bench: Any, array: Path, pictures: np.ndarray, context_model: ContextModel
) -> None:
    ended = bench("bpd", "--data", array, "--settings=1/0", "--archives=1/0", ALONE)
    _, row = ended.found["results"]["codecs"]
    named = [(str(i), image) for i, image in enumerate(pictures)]
    assert row["codec"] == "ddpmcodec archive e1 levels 0"
    assert row["bytes"] == [len(archive.create(named, **QUICK.options, model=context_model))]
    assert row["bits_per_dim"] == {"mean": 8 * row["bytes"][0] / pictures.size, "standard_error": None}
    assert "ideal" not in row


def test_bits_back_stands_beside_the_variational_bound_of_its_levels(
    bench: Any, array: Path, pictures: np.ndarray
) -> None:
    """Where images are coded so: a few are all initial bits, which the context model codes."""
    few = bench("bpd", "--data", array, "--limit", 2, "--settings=1/0", "--bits-back", 2, ALONE)
    skipped = {"codec": "ddpmcodec bits back T=2", "skipped": "too few images: all of them serve as initial bits"}
    assert few.found["results"]["codecs"][1] == skipped
    many = np.concatenate([np.rot90(pictures[:, :12, :12], k, (1, 2)) + k for k in range(8)]).astype(np.uint8)
    np.save(array, many)
    ended = bench("bpd", "--data", array, "--settings=1/0", "--bits-back", 2, ALONE, "-f")
    _, row = ended.found["results"]["codecs"]
    made = archive.create(((str(i), image) for i, image in enumerate(many)), bits_back=2)
    assert (row["codec"], row["products"], row["bytes"]) == ("ddpmcodec bits back T=2", None, [len(made)])
    assert 0 < row["by_bits_back"] == archive.describe(made)["images_by_bits_back"] < len(many)
    assert "images by bits back" in ended.stdout
    bound = bpd.variational_bound(list(many), bpd.DenoiserChoice(None, 2), 0)["ideal_bits"]
    assert row["ideal"] == pytest.approx(sum(bound) / many.size)


def test_images_of_a_folder_have_lines_of_their_own_beside_the_baselines(
    bench: Any, tmp_path: Path, pictures: np.ndarray
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(pictures[0]).save(folder / "a.png")
    Image.fromarray(pictures[1, :20]).save(folder / "b.png")
    ended = bench("bpd", "--data", folder, "--settings=1/0")
    rows = {row["codec"]: row for row in ended.found["results"]["codecs"]}
    assert rows.keys() == {"ddpmcodec e1 levels 0", *(baseline.name for baseline in BASELINES)}
    for baseline in INSTALLED:
        sizes = np.array([len(baseline.encode(image)) for image in (pictures[0], pictures[1, :20])])
        assert rows[baseline.name]["bytes"] == sizes.tolist()
        rates = 8 * sizes / [pictures[0].size, pictures[1, :20].size]
        assert rows[baseline.name]["bits_per_dim"]["mean"] == pytest.approx(rates.mean())
    assert f"| b | {rows['ddpmcodec e1 levels 0']['bytes'][1]:,} | {rows['PNG']['bytes'][1]:,} |" in ended.stdout
    assert ended.found["results"]["literature"] == []
    assert all((tmp_path / "out" / f"bpd.{suffix}").stat().st_size > 1000 for suffix in ("png", "svg"))


def test_all_of_kodak_has_rows_beside_the_figures_of_the_literature(
    bench: Any, tmp_path: Path, pictures: np.ndarray
) -> None:
    """Crops under the names of its photographs: what is published does not depend on them."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(24):
        Image.fromarray(np.roll(pictures[0], number, 0)[:8, :8]).save(folder / f"kodim{number + 1:02}.png")
    ended = bench("bpd", "--data", folder, "--settings=1/0")
    assert (ended.found["dataset"]["name"], ended.found["dataset"]["images"]) == ("Kodak", 24)
    table = next(table for table in bpd.tables(ended.found) if table.name == "literature")
    systems = [row[""] for row in table.rows]
    assert systems[:5] == ["ddpmcodec e1 levels 0", *(baseline.name for baseline in BASELINES)]
    published = {row[""]: (row["bits/dim"], row["ratio to JPEG XL"]) for row in table.rows[5:]}
    assert published["HPAC, adapted"] == ("2.52", "0.878")
    assert published["JPEG XL"] == ("2.87", "1.000")
    assert "lattice" in table.caption
    assert "sparse lattice" in ended.stdout


def test_a_codec_that_is_not_installed_is_said_to_be_skipped(
    bench: Any, array: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bpd, "BASELINES", (Baseline("Absent", "ABSENT", {}),))
    ended = bench("bpd", "--data", array, "--limit", 1, "--settings=1/0")
    assert ended.found["results"]["codecs"][1] == {"codec": "Absent", "skipped": "skipped: needs a Pillow with ABSENT"}
    assert "ddpmcodec: Absent: skipped: needs a Pillow with ABSENT\n" in ended.stderr
    assert "| Absent | skipped: needs a Pillow with ABSENT |" in ended.stdout


def test_an_interrupted_run_goes_on_where_it_was(
    bench: Any, array: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bpd, "measure_baseline", interrupted)
        ended = bench("bpd", "--data", array, "--limit", 1, "--settings=1/0")
    assert (ended.code, ended.found) == (130, None)
    assert ended.stderr.count("interrupted: what is finished is kept in ") == 1
    monkeypatch.setattr(bpd, "measure_files", interrupted)  # it would be done a second time
    again = bench("bpd", "--data", array, "--limit", 1, "--settings=1/0")
    assert again.code == 0
    assert len(again.found["results"]["codecs"]) == 1 + len(BASELINES)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bench-bpd.json", "bpd.png", "bpd.svg"]


def test_a_result_is_not_overwritten_unless_asked(bench: Any, array: Path) -> None:
    arguments = ["bpd", "--data", array, "--limit", 1, "--settings=1/0", ALONE]
    first, second, third = bench(*arguments), bench(*arguments), bench(*arguments, "-f")
    assert [first.code, second.code, third.code] == [0, 1, 0]
    assert "bench-bpd.json: exists already" in second.stderr


def test_an_image_that_does_not_come_back_ends_the_run(
    bench: Any, array: Path, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Image.fromarray(pictures[0] ^ 1)
    monkeypatch.setattr(codec, "decode_many", lambda *_, **__: [wrong])
    ended = bench("bpd", "--data", array, "--limit", 1, "--settings=1/0", ALONE)
    assert (ended.code, ended.found) == (ChecksumError.exit_code, None)
    assert "ddpmcodec e1 levels 0: image 1 of 1 " in ended.stderr


def test_measures_are_bits_per_dimension_of_files_by_their_images(bench: Any, array: Path, tmp_path: Path) -> None:
    bench("bpd", "--data", array, "--settings=1/0", ALONE)
    found = read(tmp_path / "out" / "bench-bpd.json")
    (row,) = found["results"]["codecs"]
    many = row | {"codec": "archive", "images_a_file": 3, "bytes": [900]}
    found["results"]["codecs"] += [many, {"codec": "Absent", "skipped": "skipped"}]
    one, together = bpd.measures(found)
    ids = found["dataset"]["ids"]
    assert one.values[ids[0]] == pytest.approx(8 * row["bytes"][0] / 3072)
    assert together.values == {" ".join(ids): pytest.approx(8 * 900 / 3 / 3072)}


def test_sizes_are_compared_with_jpeg_xls(results: Path) -> None:
    found = read(results / "set" / "bench-bpd.json")
    (row, _) = found["results"]["codecs"]
    found["results"]["codecs"].append(row | {"codec": "JPEG XL e9", "bits_per_dim": {"mean": 5.5, "standard_error": 1}})
    lines = bpd.tables(found)[0].rows
    assert [line.get("ratio to JPEG XL e9") for line in lines] == ["0.750", None, "1.000"]
