"""The one table of README.md: sizes and times of every effort beside its baselines, and sizes from the literature.

It is put together from several results, and so has no result of its own: `bench: summary table sizes-and-times`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

from ddpmcodec.codec.efforts import DEFAULT_EFFORT
from ddpmcodec.errors import DdpmError

from ._literature import LOSSLESS, WHOLE, Published
from ._ours import is_ours, name_of
from ._results import Document, dimensions, of_images
from ._tables import Row, Table, plus_minus

NAME = "summary"  # in place of a result's
KODAK, CIFAR10, SPEED = "kodak/bpd", "cifar10/bpd", "kodak/speed"
SHOWN = (
    "FLIF",
    "IDF++",
    "Improved DDPM, bits back, 4000 steps",
    "VDM, bits back, 1000 steps",
    "ARDM-Upscale 4",
    "Warm start, bits back",
    "W-PCDM, bits back",
)  # of the literature


class Times(NamedTuple):
    """Medians in seconds an image, and of how many threads."""

    encode: float
    decode: float
    threads: int


def tables(found: Mapping[str, Document]) -> list[Table]:
    """found: all results by name. Raises DdpmError where one of the three is missing."""
    if missing := [name for name in (KODAK, CIFAR10, SPEED) if name not in found]:
        raise DdpmError(f"the summary needs the result {missing[0]}: measure it (benchmarks/README.md)")
    kodak, cifar10, times = _sizes(found[KODAK]), _sizes(found[CIFAR10]), _times(found[SPEED])
    codecs = [codec for codec in dict.fromkeys([*kodak, *cifar10]) if not _is_archive(codec)]
    rows = [_row(codec, kodak.get(codec), cifar10.get(codec), times.get(codec)) for codec in codecs]
    return [Table("sizes-and-times", _caption(found, times), [*rows, *map(_published, _literature())])]


def _is_archive(codec: str) -> bool:
    return is_ours(codec) and "effort" not in codec.split()[1]


def _sizes(found: Document) -> dict[str, str | None]:
    """Bits/dim by codec."""
    rows = found["results"]["codecs"]
    return {row["codec"]: plus_minus(row["bits_per_dim"], 2) for row in rows if "bits_per_dim" in row}


def _times(found: Document) -> dict[str, Times]:
    """On the most threads that were measured."""
    rows = [row for row in found["results"]["throughput"] if "skipped" not in row]
    return {row["codec"]: _times_of(row) for row in sorted(rows, key=lambda row: row["threads"])}


def _times_of(row: Mapping[str, Any]) -> Times:
    encode, decode = (statistics.median(row[f"{name}_seconds"]) / row["images"] for name in ("encode", "decode"))
    return Times(encode, decode, row["threads"])


def _row(codec: str, kodak: str | None, cifar10: str | None, times: Times | None) -> Row:
    return {
        "": f"**{codec}, the default**" if codec == name_of(DEFAULT_EFFORT) else codec,
        "Kodak, bits/dim": kodak,
        "CIFAR-10, bits/dim": cifar10,
        "encode, s": None if times is None else times.encode,
        "decode, s": None if times is None else times.decode,
    }


def _literature() -> list[Published]:
    """From the largest to the smallest."""
    shown = (each for each in LOSSLESS if each.system in SHOWN)
    return sorted(shown, key=lambda each: -each.bits_per_dim)


def _published(each: Published) -> Row:
    note = "" if each.what == WHOLE else f"; {each.what}"
    return {"": f"{each.system} (literature{note})", "CIFAR-10, bits/dim": f"{each.bits_per_dim:.2f}"}


def _caption(found: Mapping[str, Document], times: Mapping[str, Times]) -> str:
    threads = max((each.threads for each in times.values()), default=1)
    speed = found[SPEED]
    megapixels = sum(dimensions(speed)) / len(dimensions(speed)) / 3e6
    models = (f"{found[name]['model']['name']} ({found[name]['model']['id'][:8]})" for name in (KODAK, CIFAR10))
    return (
        "Bits per colour sample of whole lossless files, which were decoded and compared:"
        f" {of_images(found[KODAK])}; {of_images(found[CIFAR10])}. Models {' and '.join(models)}. Medians of seconds an"
        f" image of {megapixels:.2f} megapixels, {of_images(speed)}, on {threads} threads of"
        f" {speed['machine']['processor']}. Rows of the literature were not measured here"
    )
