"""Figures with matplotlib, each as PNG and as SVG, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddpmcodec.errors import DdpmError

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import LogLocator, NullLocator
except ImportError as error:
    raise DdpmError("figures need matplotlib: pip install 'ddpmcodec[bench]'") from error

__all__ = [
    "BASELINE_COLOUR",
    "LITERATURE_COLOUR",
    "OUR_COLOUR",
    "Axes",
    "Figure",
    "LogLocator",
    "NullLocator",
    "Patch",
    "save_figure",
]

OUR_COLOUR, BASELINE_COLOUR = "#1f5fa8", "#8a8a8a"
LITERATURE_COLOUR = "#d9d9d9"  # of figures that are not measured here
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "ddpmcodec",
    "svg.fonttype": "none",
    "figure.dpi": 160,
}


def save_figure(folder: Path, name: str, size: tuple[float, float], draw: Callable[[Figure], object]) -> list[Path]:
    """Write <name>.png and <name>.svg of a figure of that size in inches, drawn by `draw`. Returns their paths."""
    paths = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
    with matplotlib.rc_context(STYLE):
        figure = Figure(size, layout="constrained")
        draw(figure)
        for path in paths:
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
    return paths
