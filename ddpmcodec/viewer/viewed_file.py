"""What the page shows of a .ddpm file: its facts, a map of its bytes, previews, and other codecs beside them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from ddpmcodec import codec
from ddpmcodec._native import MARK_BYTES, Container
from ddpmcodec.comparison import CODECS, encode_within, psnr_of
from ddpmcodec.errors import ImageError
from ddpmcodec.models.registry import find, written_with
from ddpmcodec.viewer.jobs import Advance

if TYPE_CHECKING:
    from ddpmcodec.codec.passes import SegmentCost
    from ddpmcodec.models.registry import ModelSource

KINDS = ("preview", "original", *CODECS)
POSITIONS = 121  # of the slider, at most
MOST_PIXELS = 1 << 26  # of an image that a browser shows beside others
# Pixels that a file may claim, as time and memory go with them. Drawings take hardly any bytes.
FREE_PIXELS, PIXELS_A_BYTE, PIXELS_A_BYTE_OF_JPEG = 1 << 22, 1 << 7, 1 << 10


class Stripe(NamedTuple):
    """Bytes of the file that belong together. part: "alpha", "pixels", "JPEG", "metadata" or "end mark"; of
    pixels the step, from 1 on, the number of the finest band, and the share of all the decoder's work."""

    part: str
    start: int
    end: int
    step: int | None = None
    band: int | None = None
    work: float = 0.0


@dataclass(frozen=True)
class Picture:
    """An image file for the page. size: what it costs, in bytes: of a preview those of the prefix."""

    content: bytes
    media_type: str
    size: int
    facts: dict[str, Any]


class ViewedFile:
    """A file, or a prefix of one.

    original: the image that it was encoded from; without it the file's own, once it was decoded, if it is whole.
    damaged: whether a check has failed; known once it was decoded.
    model: for a file whose model is not embedded.

    Raises FormatError for what is no .ddpm file, ModelError where its model is missing, and ImageError for more than
    MOST_PIXELS, for claims that are out of proportion, or where the original has another size.
    """

    def __init__(
        self, name: str, data: bytes, *, original: Image.Image | None = None, model: ModelSource = None
    ) -> None:
        self.name = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
        self.facts = codec.info(data)
        self.data, self.original, self.stripes, self.damaged = data, original, list[Stripe](), False
        self.is_jpeg = self.facts["noise"] is None
        self._model = model if self.facts["model"] is None else None
        self.sizes = slider_sizes(self.facts["header_bytes"], len(data))
        self._check_sizes()
        if not self.is_jpeg:
            header = Container(data).header
            written_with(header.model_number, header.model_id, find(self._model))  # is it there?

    @property
    def pixels(self) -> int:
        return int(self.facts["width"] * self.facts["height"])

    def _check_sizes(self) -> None:
        width, height = self.facts["width"], self.facts["height"]
        if self.pixels > MOST_PIXELS:
            raise ImageError(
                f"{width} x {height} pixels are too many to view, at most {MOST_PIXELS} are shown:"
                " decode previews with `ddpmcodec decode --max-bytes`"
            )
        a_byte = PIXELS_A_BYTE_OF_JPEG if self.is_jpeg else PIXELS_A_BYTE
        if self.pixels > max(FREE_PIXELS, a_byte * len(self.data)):
            raise ImageError(
                f"{len(self.data)} bytes are too few of an image that claims {width} x {height} pixels: give more of it"
            )
        if self.original is not None and self.original.size != (width, height):
            raise ImageError(
                f"the original is {self.original.width} x {self.original.height}, the file {width} x {height}:"
                " name the image that it was encoded from"
            )

    def describe(self) -> dict[str, Any]:
        """JSON values: `info`, the sizes that the slider stops at, and whether there is an original already."""
        return {"name": self.name, "sizes": self.sizes, "original": self.original is not None, **self.facts}

    def decode_whole(self, advance: Advance) -> list[Stripe]:
        """Makes the map of the file, and the original where none was given."""
        costs: list[SegmentCost] = []
        decoded = codec.decode_details(
            self.data, max_bytes=len(self.data), model=self._model, progress=advance, report=costs.append
        )
        self.damaged = decoded.damaged
        if self.original is None and decoded.exact:
            self.original = decoded.image
        self.stripes = _stripes(self.facts, costs)
        return self.stripes

    def picture(self, kind: str, size: int, advance: Advance) -> Picture:
        """One of KINDS for a prefix of so many bytes. Raises ImageError where an original is needed and missing."""
        if kind == "preview":
            return self._preview(size, advance)
        if self.original is None:
            raise ImageError("there is no original to compare with: the file is cut off or damaged; use --original")
        if kind == "original":
            return Picture(_png(self.original), "image/png", 3 * self.pixels, {})
        content = encode_within(
            self._reference(self.original), CODECS[kind], size, lambda part: advance(part * self.pixels)
        )
        return Picture(content, f"image/{kind}", len(content), {"fits": len(content) <= size})

    def measure(self, picture: Picture) -> dict[str, Any]:
        """Bits per pixel, and the PSNR as soon as there is an original (None: not yet, or there is no error)."""
        facts = {"bytes": picture.size, "bpp": 8 * picture.size / self.pixels, "psnr": None, "same": None}
        if self.original is not None:
            with Image.open(BytesIO(picture.content)) as image:
                facts["psnr"] = psnr_of(image, self._reference(self.original))
            facts["same"] = facts["psnr"] is None
        return {**picture.facts, **facts}

    def work(self, kind: str, size: int) -> float:
        """Pixels' worth of work that a picture takes, as far as is known: all, until there is a map."""
        if kind != "preview" or not self.stripes:
            return self.pixels
        return max(1.0, self.pixels * sum(stripe.work for stripe in self.stripes if stripe.start < size))

    def _preview(self, size: int, advance: Advance) -> Picture:
        decoded = codec.decode_details(self.data, max_bytes=size, model=self._model, progress=advance)
        facts = {"steps_done": decoded.steps_done, "exact": decoded.exact, "damaged": decoded.damaged}
        return Picture(_png(decoded.image), "image/png", size, facts)

    def _reference(self, original: Image.Image) -> Image.Image:
        """The colours of the original, which alone are compared."""
        return original.convert("L" if self.facts["mode"] in ("1", "L", "LA") else "RGB")


def slider_sizes(first: int, last: int) -> list[int]:
    """Sizes from `first` to `last` bytes, each larger than the one before by about the same factor.

    >>> sizes = slider_sizes(17, 100_000)
    >>> len(sizes), sizes[0], sizes[60], sizes[-1]
    (121, 17, 1304, 100000)
    """
    last = max(first, last)
    return sorted({first, last, *(round(first * (last / first) ** (k / (POSITIONS - 1))) for k in range(POSITIONS))})


def _png(image: Image.Image) -> bytes:
    """A PNG without metadata: prefixes have none, and what stands side by side must be shown alike."""
    stream = BytesIO()
    bare = image.copy()
    bare.info.clear()
    bare.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _stripes(facts: dict[str, Any], costs: list[SegmentCost]) -> list[Stripe]:
    """The stripes of all bytes behind the header. What the decoder read for each segment says where it ends."""
    start = facts["header_bytes"]
    alpha = min(start + facts["alpha_bytes"], facts["bytes"])
    pixels = alpha + facts["pixel_bytes"]
    mark = facts["bytes"] - (MARK_BYTES if facts["lossy"] else 0)
    if facts["segment_bytes"] is not None:  # with what rebuilds the file
        stripes = [Stripe("JPEG", start, mark), Stripe("end mark", mark, facts["bytes"])]
        return [stripe for stripe in stripes if stripe.start < stripe.end]
    stripes = [Stripe("alpha", start, alpha), *_segments(alpha, pixels, facts["tiles"], costs)]
    if not costs:
        stripes.append(Stripe("pixels", alpha, pixels))
    stripes += [Stripe("metadata", pixels, mark), Stripe("end mark", mark, facts["bytes"])]
    return [stripe for stripe in stripes if stripe.start < stripe.end]


def _segments(start: int, end: int, tiles: int, costs: list[SegmentCost]) -> list[Stripe]:
    """Stripes of pixels in coding order: from wide cells to exact ones, from coarse bands to fine ones. Tiles are added
    up. The work of a segment without bytes is added to the next stripe."""
    bits, work = defaultdict[tuple[int, int], float](float), defaultdict[tuple[int, int], float](float)
    for cost in costs:
        bits[cost.level, cost.band] += cost.bits
        work[cost.level, cost.band] += cost.share * cost.images / tiles
    total = sum(bits.values()) or 1
    levels = sorted({level for level, _ in bits}, reverse=True)
    stripes, done, position, pending_work = list[Stripe](), 0.0, start, 0.0
    for level, band in sorted(bits, reverse=True):
        done += bits[level, band]
        first, position = position, start + round((end - start) * done / total)
        pending_work += work[level, band]
        if first < position:
            stripes.append(Stripe("pixels", first, position, levels.index(level) + 1, band, pending_work))
            pending_work = 0.0
    return stripes
