"""Charts of the committed results: what each must say, and that nothing hides anything."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from ddpmcodec._native import LEVELS
from ddpmcodec.benchmarks import _charts
from ddpmcodec.benchmarks._charts import COLOURS, Chart, bpd_charts, colour_of, drawn, rd_charts, speed_charts
from ddpmcodec.benchmarks._codecs import BASELINES, SWEEPS, is_ours, name_of
from ddpmcodec.benchmarks._results import read
from ddpmcodec.benchmarks._timing import fits
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.models.context import EFFORTS

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
CHARTS = {"bpd": bpd_charts, "rd": rd_charts, "speed": speed_charts, "loading": lambda _: [], "jpeg": lambda _: []}


def growing() -> dict[str, Any]:
    """The committed times, as if those of one photograph were of synthetic ones of two sizes."""
    found = read(RESULTS / "kodak" / "bench-speed.json")
    peaks = dict.fromkeys(("encode_peak_bytes", "encode_with_verification_peak_bytes", "decode_peak_bytes"), 10**8)
    rows = [row | {"megapixels": 6, **peaks} for row in found["results"]["throughput"] if row["threads"] == 1]
    found["results"]["megapixels"] = rows
    rows += [
        row | {"megapixels": 4 * row["megapixels"], "encode_seconds": [4 * value for value in row["encode_seconds"]]}
        for row in rows
    ]
    found["results"]["fits"] = fits(rows)
    return found


@cache
def charts() -> dict[str, Chart]:
    """Of all committed results, and of growth."""
    found = [(path.parent.name, read(path)) for path in sorted(RESULTS.glob("*/bench-*.json"))]
    every = [
        (name, each) for name, result in [*found, ("growing", growing())] for each in CHARTS[result["kind"]](result)
    ]
    return {f"{name}/{each.name}": each for name, each in every}


def figure_of(chart: Chart) -> Figure:
    with matplotlib.rc_context(_charts.STYLE):
        figure = drawn(chart)
        figure.draw_without_rendering()
    return figure


@cache
def figure(name: str) -> Figure:
    return figure_of(charts()[name])


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


# Every kind of chart, and the data sets with other codecs: others differ in their numbers alone.
DIFFERENT = [f"kodak/{name}" for name in ("bpd", "rd", "rd-ssim", "rd-ssimulacra2", "speed-throughput")]
DIFFERENT += ["cifar10/bpd", "cifar10/rd", "cifar10-all/bpd", "bits-back/bpd", "growing/speed-growth"]


@pytest.mark.parametrize("name", DIFFERENT)
def test_legends_and_titles_lie_beside_the_curves_and_no_panel_is_empty(name: str) -> None:
    shown = figure(name)
    boxes = [legend.get_window_extent() for legend in shown.legends]
    panels = [axes.get_window_extent() for axes in shown.axes]
    (title,) = (text for text in shown.texts if text.get_text() == charts()[name].title)
    assert boxes
    for box in [*boxes, title.get_window_extent()]:
        assert not any(box.overlaps(panel) for panel in panels)
        assert shown.bbox.x0 <= box.x0 < box.x1 <= shown.bbox.x1
    assert not any(box.overlaps(title.get_window_extent()) for box in boxes)
    for axes in shown.axes:
        assert axes.get_legend() is None
        assert axes.patches or any(len(line.get_xdata()) for line in axes.lines)


def test_titles_and_captions_say_how_many_images_of_which_data() -> None:
    sets = ("12 images of kodak", "images of cid22_val", "images of clic", "CIFAR-10", "11 images of drawn", "2 synth")
    for name, chart in charts().items():
        for words in (chart.title, chart.caption):
            assert any(number in words for number in sets), name


def test_every_codec_has_a_colour_of_its_own() -> None:
    families = [*(name_of(Coding(*each)) for each in product(EFFORTS, LEVELS)), "ddpmcodec bits back T=8", "PNG"]
    families += [sweep.name for sweep in SWEEPS]
    assert len({colour_of(name) for name in families}) == len(families) == len(COLOURS)
    for baseline in BASELINES:
        assert colour_of(baseline.name) == colour_of(baseline.name.split(" e")[0].removesuffix(" lossless"))
    assert colour_of("ddpmcodec archive e2 levels 0") == colour_of("ddpmcodec e2 levels 0")


def test_a_codec_has_the_same_colour_in_every_chart() -> None:
    curves = {str(line.get_label()): line.get_color() for line in figure("kodak/rd").axes[0].lines}
    name = next(filter(is_ours, curves))
    bars = figure("kodak/bpd").axes[0]
    names = [text.get_text() for text in bars.get_yticklabels()]
    places = [patch.get_facecolor() for patch in bars.patches]
    points = [point.lines[0].get_color() for point in figure("kodak/speed-throughput").axes[0].containers]
    assert curves[name] == colour_of(name)
    own = next(filter(is_ours, names))
    assert places[names.index(own)] == to_rgba(colour_of(own))
    assert colour_of(name) in points


# --- what is drawn


def errors(figure: Figure) -> list[ErrorbarContainer]:
    return [each for axes in figure.axes for each in axes.containers if isinstance(each, ErrorbarContainer)]


def test_a_codec_without_errors_at_any_quality_has_no_curve() -> None:
    found = read(RESULTS / "cifar10" / "bench-rd.json")
    row = next(row for row in found["results"]["curves"] if row["codec"] == "JPEG")
    for point in row["points"]:
        point["psnr"] = None
    chart = next(chart for chart in rd_charts(found) if chart.name == "rd")
    shown = labels(figure_of(chart))
    assert "JPEG" not in shown
    assert "WebP" in shown


def test_means_have_error_bars() -> None:
    found = read(RESULTS / "kodak" / "bench-bpd.json")
    (widths,) = (each.lines[2][0].get_segments() for each in errors(figure("kodak/bpd"))[:1])
    first = min((row["bits_per_dim"] for row in found["results"]["codecs"]), key=lambda rate: rate["mean"])
    assert np.ptp(widths[0][:, 0]) == pytest.approx(2 * first["standard_error"])
    assert len(errors(figure("kodak/bpd"))) == len(found["results"]["codecs"])
    times = read(RESULTS / "kodak" / "bench-speed.json")["results"]["throughput"]
    assert len(errors(figure("kodak/speed-throughput"))) == 2 * len(times)


def test_curves_have_the_standard_error_of_the_qualities_at_a_rate() -> None:
    found = read(RESULTS / "kodak" / "bench-rd.json")
    at = found["results"]["at_rates"]
    values = np.array(next(row["psnr"] for row in at["codecs"] if row["codec"] == "JPEG")[1])
    halves = [np.ptp(each.lines[2][0].get_segments()[0][:, 1]) / 2 for each in errors(figure("kodak/rd"))]
    assert min(abs(half - values.std(ddof=1) / len(values) ** 0.5) for half in halves) < 1e-9
    for row in at["codecs"]:
        row["ms_ssim"] = [{"mean": 0.9, "standard_error": 0.01}] * len(at["bpp"])
    assert rd_charts(found)[1].name == "rd-ssim"
    (half, *_) = (
        np.ptp(each.lines[2][0].get_segments()[0][:, 1]) / 2 for each in errors(figure_of(rd_charts(found)[1]))
    )
    assert half == pytest.approx(10 / np.log(10) * 0.1)


def test_no_curve_of_real_files_lies_above_a_bound() -> None:
    lines = [line for line in figure("cifar10-bound/rd").axes[0].lines if len(line.get_xdata()) > 2]
    bounds = [line for line in lines if "(bound)" in str(line.get_label())]
    assert len(bounds) == 3  # VDM, DDPM, and our own Gaussian model
    for bound in bounds:
        for line in (each for each in lines if each not in bounds):
            bpp, quality = line.get_data()
            inside = (bpp >= bound.get_xdata()[0]) & (bpp <= bound.get_xdata()[-1])
            least = np.interp(np.log(bpp[inside]), np.log(bound.get_xdata()), bound.get_ydata())
            assert (quality[inside] < least).all()


def test_growth_is_drawn_where_photographs_of_two_sizes_were_measured() -> None:
    names = [name for name in charts() if "/speed" in name and name.startswith(("kodak/", "growing/"))]
    assert names == ["kodak/speed-throughput", "growing/speed-throughput", "growing/speed-growth"]
    entries = labels(figure("growing/speed-growth"))
    assert [entry.partition(", ")[2] for entry in entries[:2]] == ["encode: k = 1.00", "decode: k = 0.00"]


def test_charts_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    files = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        _charts.write_charts(bpd_charts(read(RESULTS / "clic" / "bench-bpd.json")), tmp_path / name)
        files.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert files[0] == files[1]
    assert files[0].keys() == {"bpd.png", "bpd.svg"}
