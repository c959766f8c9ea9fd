"""The codecs that are measured: ours, and baselines through Pillow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.archive.model_selection import selected_model
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import SegmentCost
from ddpmcodec.comparison import jpeg_options, webp_options
from ddpmcodec.format.header import DEFAULT_LEVELS
from ddpmcodec.models import THUMBNAIL_PIXELS, registry
from ddpmcodec.models.context import ContextModel

from ._data import Pixels
from ._work import say

# --- ours

OURS = "ddpmcodec"
PRODUCTS_PER_COST = 5e4  # multiply-accumulates a pixel that take about as long as a fast codec


def name_of(coding: Coding, container: str = "") -> str:
    """Return the name that our files have in results. container: 'archive', or none.

    >>> name_of(Coding(2, 2)), name_of(Coding(3, 0)), name_of(Coding(1, 2), "archive")
    ('ddpmcodec e2 levels 2', 'ddpmcodec e3 levels 0', 'ddpmcodec archive e1 levels 2')
    """
    return " ".join(filter(None, (OURS, container, f"e{coding.effort}", f"levels {coding.levels}")))


def is_ours(name: str) -> bool:
    return name.startswith(OURS)


def find_model(source: str | None, images: Sequence[Pixels]) -> ContextModel:
    """The named model, or the embedded one that suits most of the images without noise levels. Raises ModelError."""
    if source is not None:
        return registry.find_context(source)
    pixels = int(np.median([image[..., 0].size for image in images]))
    thumbnails = [image for image in images if image[..., 0].size <= THUMBNAIL_PIXELS]
    return (
        selected_model(thumbnails, Coding(effort=1, levels=0))
        if pixels <= THUMBNAIL_PIXELS
        else registry.default(pixels)
    )


def cost(model: ContextModel, coding: Coding) -> float:
    """Time a pixel, in that of a fast codec: for progress bars."""
    return model.macs_per_pixel(coding.effort, coding.levels) / PRODUCTS_PER_COST


class CodeLength:
    """A `report` of the codec that keeps what every segment took. Threads may call it at the same time."""

    def __init__(self) -> None:
        self.costs: list[SegmentCost] = []

    def __call__(self, cost: SegmentCost) -> None:
        self.costs.append(cost)

    @property
    def bits(self) -> float:
        """The ideal code length of all segments."""
        return sum(cost.bits for cost in self.costs)


# --- baselines

JPEG_XL, JPEG_XL_PACKAGE = "pillow_jxl", "pillow-jxl-plugin"
REFERENCE = "JPEG XL e9"  # what sizes and times are compared with
BASELINE_COST = 2.0  # time a pixel, as of `cost`


class Baseline(NamedTuple):
    """A file format of Pillow, and the options of `Image.save` to write it with. threads: inside JPEG XL."""

    name: str
    format: str
    options: Mapping[str, Any]
    threads: int = 1

    @property
    def skipped(self) -> str | None:
        """Why it cannot be measured here."""
        _register_plugins()
        if self.format in Image.SAVE:
            return None
        package = JPEG_XL_PACKAGE if self.format == "JXL" else f"a Pillow with {self.format}"
        return f"skipped: needs {package}"

    def encode(self, pixels: Pixels) -> bytes:
        _register_plugins()  # nobody has asked what is skipped on a cluster's other machines
        stream = BytesIO()
        threads = {"num_threads": self._workers} if self.format == "JXL" else {}
        Image.fromarray(pixels).save(stream, self.format, **self.options, **threads)
        return stream.getvalue()

    def decode(self, data: bytes) -> Pixels:
        if self.format == "JXL":  # whose plugin of Pillow decodes on all cores
            _, info, pixels, *_ = import_module(JPEG_XL).Decoder(num_threads=self._workers)(data)
            return np.frombuffer(pixels, np.uint8).reshape(info.height, info.width, 3)
        with Image.open(BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))

    @property
    def _workers(self) -> int:
        return self.threads if self.threads > 1 else 0  # 0: the thread that calls


@cache
def _register_plugins() -> None:
    Image.init()
    if find_spec(JPEG_XL):
        import_module(JPEG_XL)


B = TypeVar("B", "Baseline", "JpegStore")

WEBP = Baseline("WebP lossless", "WEBP", {"lossless": True, "exact": True, "quality": 100, "method": 6})
BASELINES = (
    Baseline("PNG", "PNG", {"optimize": True}),
    WEBP,
    Baseline("JPEG XL e7", "JXL", {"lossless": True, "effort": 7}),
    Baseline(REFERENCE, "JXL", {"lossless": True, "effort": 9}),
)


def sort_out(baselines: Iterable[B]) -> tuple[list[B], list[dict[str, str]]]:
    """(those that can be measured, {codec, skipped} of the rest, which are named on stderr)."""
    measured, skipped = [], []
    for baseline in baselines:
        if reason := baseline.skipped:
            skipped.append({"codec": baseline.name, "skipped": reason})
            say(f"{baseline.name}: {reason}")
        else:
            measured.append(baseline)
    return measured, skipped


# --- codecs of JPEG files, which come back byte for byte


class JpegStore(NamedTuple):
    """A codec of whole JPEG files. module, package: that it is from; it is ours without.

    pixels: decodes to pixels. None: by way of the JPEG file, which Pillow decodes.
    """

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]
    module: str = ""
    package: str = ""
    pixels: Callable[[bytes], Pixels] | None = None

    def decode_pixels(self, data: bytes) -> Pixels:
        if self.pixels is not None:
            return self.pixels(data)
        with Image.open(BytesIO(self.decode(data))) as image:
            return np.asarray(image)

    @property
    def skipped(self) -> str | None:
        """Why it cannot be measured here."""
        return None if not self.module or find_spec(self.module) else f"skipped: needs {self.package}"


def our_store(effort: int, levels: int = DEFAULT_LEVELS, *, verify: bool = True) -> JpegStore:
    """Our codec. verify: also decode each file, and compare."""
    return JpegStore(
        f"{OURS} e{effort}" + f" levels {levels}" * (levels != DEFAULT_LEVELS),
        lambda data: codec.encode(BytesIO(data), effort=effort, levels=levels, verify=verify),
        codec.decode_original,
        pixels=partial(codec.decode, as_array=True),  # type: ignore[arg-type]  # an overload
    )


def _as_jpeg_xl(jpeg: bytes) -> bytes:
    """Pillow's plugin takes JPEG files by their path alone."""
    import_module(JPEG_XL)
    with TemporaryDirectory() as folder:
        path, file = Path(folder) / "image.jpg", BytesIO()
        path.write_bytes(jpeg)
        with Image.open(path) as image:
            image.save(file, "JXL", lossless_jpeg=True)
    return file.getvalue()


def _from_jpeg_xl(data: bytes) -> bytes:
    _, _, jpeg, *_ = import_module(JPEG_XL).Decoder(num_threads=1)(data)
    return bytes(jpeg)


LEPTON = "lepton_jpeg_python"
JPEG_EFFORTS = (1, 2)
JPEG_LEVELS = (DEFAULT_LEVELS, 0)  # the higher effort is measured with both
OUR_JPEG_STORES = (our_store(1), *(our_store(2, levels) for levels in JPEG_LEVELS))
JPEG_STORES = (
    JpegStore("JPEG XL", _as_jpeg_xl, _from_jpeg_xl, JPEG_XL, JPEG_XL_PACKAGE),
    JpegStore(
        "Lepton",
        lambda data: bytes(import_module(LEPTON).compress_bytes(data, {"max_partitions": 1})),  # more are larger
        lambda data: bytes(import_module(LEPTON).decompress_bytes(data)),
        LEPTON,
        "lepton-jpeg-python",
    ),
)


# --- lossy baselines
# Where a codec can keep the full resolution of the colours or half of it, the choice is the one with the smaller error
# in R, G and B at the same rate on photographs of ours: JPEG halves it below a quality (`jpeg_options`), AVIF never.

QUALITIES = (0, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 93, 95, 97, 98, 100)
SLOW_QUALITIES = (5, 20, 40, 60, 80, 95)  # of encoders that take seconds an image
SLOW, FOR_PSNR = {"speed": 2}, {"advanced": {"tune": "psnr"}}  # of AVIF
JPEG_2000_RATIOS = (200, 140, 100, 70, 50, 35, 25, 18, 13, 9, 6.5, 4.5, 3)  # of compression


class Sweep(NamedTuple):
    """One codec at several qualities, from the smallest files to the largest; all baselines have its name."""

    name: str
    baselines: Sequence[Baseline]


def _sweep(name: str, form: str, values: Iterable[float], options: Callable[[Any], Mapping[str, Any]]) -> Sweep:
    return Sweep(name, [Baseline(name, form, options(value)) for value in values])


def jpeg(qualities: Iterable[int]) -> Sweep:
    return _sweep("JPEG", "JPEG", qualities, jpeg_options)


def webp(qualities: Iterable[int]) -> Sweep:
    return _sweep("WebP", "WEBP", qualities, webp_options)


def avif(qualities: Iterable[int], name: str = "AVIF", **options: Any) -> Sweep:
    """options: of the encoder; without any it is as Pillow's, at speed 6 and tuned for what people see."""
    return _sweep(name, "AVIF", qualities, lambda quality: {"quality": quality, "subsampling": "4:4:4", **options})


def _jpeg_2000_options(ratio: float) -> dict[str, Any]:
    return {"irreversible": True, "mct": 1, "quality_mode": "rates", "quality_layers": [ratio]}


SWEEPS = (
    jpeg(QUALITIES[1:-1]),
    webp(QUALITIES),
    _sweep("JPEG 2000", "JPEG2000", JPEG_2000_RATIOS, _jpeg_2000_options),
    avif(QUALITIES[1:-2]),
    avif(SLOW_QUALITIES, "AVIF slow", **SLOW),
    avif(SLOW_QUALITIES, "AVIF slow, for PSNR", **SLOW, **FOR_PSNR),
    _sweep("JPEG XL", "JXL", QUALITIES[:-2], lambda quality: {"quality": quality, "effort": 7}),
)
