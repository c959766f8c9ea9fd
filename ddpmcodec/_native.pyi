"""The compiled core of ddpmcodec, made from `_core/*.cpp`."""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.errors import FormatError

BANDS_OF_STEP: int
LEARNING_PIXELS: int  # of an image, or of a run of images, whose weights and colours learn
SCHEDULES: Mapping[int, Sequence[tuple[int, int]]]  # by number of noise levels: number and cell width of each step

# --- constants of the format

MAGIC: bytes
VERSION: int
VERSION_SHIFT: int  # in the third byte of a header, above flags and colour mode
SQUARE_FLAG: int
TILED_FLAG: int
SECTIONS_FLAG: int
MODES: tuple[str, ...]  # colour modes, by number
ALPHA_MODES: tuple[str, ...]
EFFORT_SHIFT: int  # in the fourth byte
REPEATS_FLAG: int
REPEATS_UNIT: int  # in the effort of a block
EXTENDED_FLAG: int
DEPTH_SHIFT: int  # in the fifth byte, of an extended header
SAMPLE_BITS: int
KINDS: tuple[str, ...]  # of payloads, by number
LEVELS: tuple[int, ...]  # how many noise levels a file can have
MIN_EFFORT: int
MAX_EFFORT: int
MODEL_ID_BYTES: int
EMBEDDED_MODELS: tuple[str, ...]  # names, by number less 1
UPRIGHT: int  # as EXIF counts orientations
ALPHA_TAG: int
METADATA_TAG: int
FRAME_TAG: int
RECIPE_TAG: int
KEPT_TAG: int
LOW_BITS_TAG: int
CODED_ALPHA: int  # in the first byte of an alpha section, as is the next
CODED_ALPHA_REPEATS: int
SCALINGS: tuple[str, ...]  # how samples are made of coded values, by number
SCALING_SHIFT: int  # in the sixth byte, of an extended header of pixels
MAX_PIXELS: int  # of an image
MAX_CHUNKS: int
MAX_TILE_PIXELS: int  # of one tile: bounds the memory of a decoder
SINGLE_STREAM_PIXELS: int  # images up to this size are one stream
LEAST_TILE_SIDE: int  # pixels, of square tiles that a caller asks for
MOST_TILE_SIDE: int
TILE_SIDE_STEP: int
DEFAULT_EFFORT: int  # of encoders
DEFAULT_LEVELS: int
MAX_METADATA: int  # bytes, before and after compression
MAX_KEPT: int  # bytes of a file that is kept whole
MAX_ENDING: int  # characters of the ending of its name
MAX_JPEG_BYTES: int  # of a JPEG file
END_MARK: bytes  # begins the mark of a file that was cut on purpose
MARK_BYTES: int  # of the whole mark
LANES: int  # streams of a tile
WORD_BYTES: int
LEAST_STATE: int  # that an encoder ends with
MOST_STATE: int
LEAST_STATE_BYTES: int
STATE_SIZES: int  # number of sizes that a state can have
CHECK_BITS: int
CRC16_BYTES: int
CRC32_BYTES: int
MAX_VARINT_BYTES: int
SEGMENTS_OF_LEVEL: int  # segments of a tile to a noise level
SEGMENTS_OF_EXACT: int  # segments of a tile from the last level to exact pixels
SEGMENTS_OF_JPEG: int  # segments of the coarsest level of a tile of JPEG coefficients; each finer one is a segment
MOST_JPEG_LEVELS: int  # besides the exact one
BLOCK_SIDE: int  # pixels of a block of JPEG coefficients
ARCHIVE_MAGIC: bytes
ARCHIVE_VERSION: int
BLOCK_MARK: bytes
MAX_IMAGES: int  # of an archive
MAX_BLOCK_IMAGES: int
MAX_RUN_PIXELS: int  # of all images of a run
MAX_LATENT_LEVELS: int
MAX_LATENT_LEVEL: int  # in 1/1024 grey level
MAX_NAME: int  # bytes of UTF-8
MAX_LETTERS: int  # of all names of an archive

# --- constants of model files, and of the integers that networks read and write

MODEL_FORMAT: int
LARGEST_MODEL_HEADER: int  # bytes of a safetensors file
LARGEST_NUMBER: float  # of factors and biases: all that networks predict stays finite
ZERO: int  # the input that stands for 0
ONE_INPUT: int  # how far above it an input is that is on
OUTPUT_LIMIT: int  # the largest output
MEAN_UNIT: int  # integers to a grey level of a mean
SCALES: int  # number of scales of a logistic
CORRECTION_UNIT: float  # of previews: integers to a standard deviation

# --- limits of callers

DEFAULT_MAX_PIXELS: int  # of an image to decode: twice Pillow's MAX_IMAGE_PIXELS, above which it refuses
MOST_THREADS: int

def version() -> str:
    """The version of ddpmcodec that this was compiled from."""

# --- kernels

def kernels() -> list[str]:
    """Names of the kernels that this processor can run, the fastest first."""

def kernel() -> str:
    """The name of those in use."""

def use_kernel(name: str) -> None:
    """Choose the kernels that networks are made for from now on. Raises ValueError unless `kernels` has the name."""

# --- JPEG files

class Coefficients:
    """The quantised coefficients of a JPEG file, by component."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def colour(self) -> int: ...
    @property
    def factors(self) -> list[tuple[int, int]]:
        """Sampling factors of each component, horizontal and vertical."""

    def suited_levels(self, most: int) -> int:
        """Return how many levels of cells are coded before the exact one: as many as the steps have, at most `most`."""

    @property
    def steps(self) -> list[NDArray[np.uint16]]:
        """Quantisation steps of each component [64], in zigzag order."""

    def values(self, component: int) -> NDArray[np.int16]:
        """A view [rows, columns, 64] of blocks, in zigzag order."""

def parse_jpeg(file: bytes) -> tuple[Coefficients, bytes, bytes]:
    """Coefficients, frame and recipe (without deflate) of a file.

    Raises:
        FormatError: if the file is damaged, not supported, or cannot be rebuilt byte for byte.
    """

def parse_frame(frame: bytes, width: int, height: int) -> Coefficients:
    """Coefficients that are zero."""

def rebuild_jpeg(image: Coefficients, recipe: bytes) -> bytes:
    """Return the file that was parsed.

    Raises:
        FormatError: if the recipe is damaged, or the coefficients are not those of the file.
    """

def write_preview_jpeg(image: Coefficients) -> bytes:
    """Return a baseline file of these coefficients."""

# --- low bits

def encode_low_bits(high: NDArray[np.uint8], low: NDArray[np.uint8], low_bits: int) -> bytes:
    """The stream of the low bits of samples [H, W, C], whose high bits are coded before."""

# --- the decoder

REDUCTIONS: tuple[int, ...]  # 1, and the scales of reduced images

class FileHeader:
    """The header of a .ddpm file, as it was read. Lengths and positions are bytes."""

    mode: str
    kind: str  # one of KINDS
    has_coefficients: bool  # of a JPEG file
    has_alpha: bool
    channels: int  # of colour
    bits: int  # of a coded value
    source_bits: int  # of a sample of the image
    scaling: str  # one of SCALINGS
    low_bits_length: int
    width: int
    height: int
    effort: int
    levels: int
    repeats: bool  # whether exact pixels are first sought among repeats
    model_number: int
    model_id: bytes
    orientation: int
    is_tiled: bool
    is_plain: bool
    tile_size: tuple[int, int]  # width and height
    tile_count: int
    segments: int  # of a tile
    steps: int
    state_bytes: int  # of a single stream
    payload_length: int
    covered: int  # by the check of a plain stream
    chunk_lengths: list[int]
    payload: tuple[int, int]  # begin and end
    alpha_length: int
    metadata_length: int
    frame_length: int
    recipe_length: int
    kept_length: int
    def section(self, tag: int) -> tuple[int, int]:
        """Begin and end of a section; 0, 0 if there is none."""
    size: int  # of header and index
    end: int  # of the whole file

def parse_header(data: bytes | memoryview) -> FileHeader:
    """Raises FormatError, TruncatedError where the data ends inside the header."""

class Container:
    """A .ddpm file, or as much of one as there is, cut into its parts. Nothing is decoded."""

    def __init__(self, data: Any) -> None:
        """data: bytes, or an object with a length whose slices `bytes` reads. Raises as `parse_header`."""
    header: FileHeader
    jpeg_length: int | None
    """Bytes of the JPEG file that was encoded; None if there is none, or if its length was not received."""
    kept_facts: tuple[str, str, str, int, int, int] | None
    """Format, ending, reason, width, height and length of a file that is kept whole."""
    is_lossy: bool
    size: int  # of the file, as far as it is there, without a mark
    missing: int
    following: int
    def bytes(self, begin: int, end: int) -> bytes: ...
    def end_of_segment(self, segments: int) -> int:
        """Where so many segments of all tiles end; of a single stream, where its payload begins."""
    def require_whole(self) -> None: ...
    def require_undamaged(self) -> None: ...
    def require_sound_sections(self) -> None: ...

class Event(enum.Enum):
    """What a decoder needs, or has."""

    NEED_BYTES = 0
    NEED_MODEL = 1
    NEED_PIXELS = 2
    MORE = 3
    PREVIEW = 4
    DONE = 5

class Verdict:
    """What a file turned out to be."""

    is_exact: bool
    is_damaged: bool
    is_lossy: bool
    alpha_damaged: bool
    low_bits_damaged: bool
    metadata_damaged: bool
    kept_damaged: bool
    colours_exact: bool
    steps_done: int
    steps: int
    bytes_used: int
    missing: int
    following: int

Cost = tuple[int, int, float, float, int, float, float]  # a SegmentCost

class Decoder:
    """A decoder of one .ddpm file."""

    def __init__(
        self,
        *,
        box: tuple[int, int, int, int] | None = None,
        scale: int = 1,
        step: int | None = None,
        partial: bool = False,
        max_pixels: int | None = None,
        each_segment: bool = False,
    ) -> None: ...
    def feed(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def open(self, data: Any) -> None:
        """data: as of a Container."""
    def set_networks(self, networks: Sequence[ContextNetwork]) -> None: ...
    @property
    def needs_alpha_networks(self) -> bool: ...
    def set_alpha_networks(self, networks: Sequence[ContextNetwork]) -> None: ...
    def set_pixels(self, colour: NDArray[np.uint8]) -> None: ...
    def set_tile(self, pixels: NDArray[np.uint8] | None) -> None: ...
    def advance(self, seconds: float, threads: int) -> Event: ...
    def picture(
        self, threads: int
    ) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.uint16] | None]:
        """Mode, colours, alpha, and samples [H, W, colours and alpha] if they have more than 8 bits."""

    def set_jpeg_networks(self, model: CoefficientModel, effort: int) -> None: ...
    def file_inside(self) -> bytes:
        """The JPEG file of the coefficients that are known, whose pixels are needed; the very file once all is done."""
    @property
    def box_inside(self) -> tuple[int, int, int, int]:
        """Where the pixels of that file lie."""
    def payload(self) -> bytes: ...
    def covered(self) -> bytes: ...
    def take_costs(self) -> list[Cost]: ...
    @property
    def header(self) -> FileHeader | None: ...
    @property
    def is_batchable(self) -> bool: ...
    @property
    def bytes_shown(self) -> int: ...
    @property
    def metadata(self) -> tuple[bytes, bytes, bytes, bytes]: ...
    @property
    def kept(self) -> tuple[tuple[str, str, str, int, int, int], bytes] | None:
        """Facts and bytes of a file that is kept whole, once it was checked."""
    @property
    def verdict(self) -> Verdict: ...

class Batch:
    """Images of one size that are decoded together."""

    def __init__(
        self,
        networks: Sequence[ContextNetwork],
        levels: int,
        shape: tuple[int, int, int, int],
        *,
        is_shared: bool,
        repeats: bool,
        threads: int,
    ) -> None: ...
    def add(self, stream: bytes, state_bytes: int, covered: bytes) -> None: ...
    def advance(self, seconds: float) -> bool: ...
    def image(self, stream: int) -> NDArray[np.uint8] | None: ...
    @property
    def costs(self) -> list[Cost]: ...

# --- archives

# (values of a field of all images, ...): name, mode, width, height, number, length, icc, exif
EntryColumns = tuple[list[str], list[str], list[int], list[int], list[int], list[int], list[int], list[int]]
# (values of a field of all runs, ...): images, check, initial, state_bytes, words, alpha_images, alpha_state_bytes,
# alpha_words
RunColumns = tuple[list[int], list[int], list[bool], list[int], list[int], list[int], list[int], list[int]]
# effort, levels, model_number, model_id, latent_levels, latent_id, profile, repeats, alpha_repeats
CodingFacts = tuple[int, int, int, bytes, tuple[int, ...], bytes, str, bool, bool]
# entries, total, coding, runs, value_lengths, words
BlockFacts = tuple[EntryColumns, int, CodingFacts | None, RunColumns, tuple[int, ...], int]

class ArchiveIndex:
    """The index of an archive, and where the parts of its blocks are."""

    blocks: list[BlockFacts]
    # values, sections, alpha streams, streams; the head is intact
    parts: list[tuple[list[slice], list[slice], list[slice], list[slice], bool]]
    size: int
    missing: int
    following: int
    index_bytes: int
    damage: FormatError | None
    problem: FormatError | None

def open_archive(data: Any) -> ArchiveIndex:
    """data: as of a Container. Raises FormatError, TruncatedError where the data ends inside the index."""

def parse_block(header: bytes) -> BlockFacts:
    """The block of a header that is not deflated. Raises FormatError."""

# --- sections

def parse_alpha(section: bytes, height: int, width: int) -> NDArray[np.uint8]: ...
def parse_metadata(section: bytes) -> tuple[bytes, bytes, bytes, bytes]: ...
def parse_kept(section: bytes) -> tuple[tuple[str, str, str, int, int, int], bytes]:
    """Facts and bytes of a file that is kept whole. Raises FormatError."""

# --- the coder

class ContextNetwork:
    """A network of the context model in exact integers."""

    @staticmethod
    def make(tensors: Mapping[str, NDArray[Any]], role: str, components: int) -> ContextNetwork: ...
    @staticmethod
    def wrap(network: Any, role: str, components: int, conditions: int) -> ContextNetwork:
        """Of an object whose `outputs(rows, condition)` the coder calls, on one thread; nothing of it learns."""
    def outputs(self, rows: NDArray[np.uint8], condition: int = 0, width: int = 0) -> NDArray[np.int32]:
        """width: rows are the pixels of an image so wide, in raster order; 0: each is alone."""
    def answer(self, role: str, one_by_one: bool = False) -> str:
        """Return the SHA-256, in hexadecimal digits, of the outputs for seeded inputs. one_by_one: a network that was
        wrapped is asked for one position at a time."""
    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def components(self) -> int: ...
    @property
    def conditions(self) -> int: ...

class NetworkFacts:
    """What a model file says of a network."""

    stored: str  # the network whose tensors it has, mostly its own: <effort>.<role>
    components: int  # of its mixtures
    answer: str  # SHA-256 in hexadecimal digits
    architecture: str | None  # if it is not the core's
    conditions: int | None  # of another architecture

class ContextModel:
    """A model of pixels: its networks are made, and their answers checked, when they are first asked for."""

    @staticmethod
    def parse(
        data: bytes,
        source: str,
        number: int = 0,
        known_id: bytes | None = None,
        make_other: Callable[[str], ContextNetwork | None] | None = None,
    ) -> ContextModel:
        """Read a model file.

        Parameters:
            data: the file; copied.
            source: what errors call it.
            number: that of an embedded model; 0 of others.
            known_id: SHA-256 of the data, if they have been compared with it; None: they must be as they were sealed.
            make_other: makes a network of another architecture, by the name that its tensors are stored under. Any
                thread may call it.

        Raises:
            ModelError: if it is not a model, is one of another kind or format, or is damaged.
        """
    @property
    def name(self) -> str: ...
    @property
    def id(self) -> bytes:
        """SHA-256 of the file."""
    @property
    def number(self) -> int: ...
    @property
    def file(self) -> bytes: ...
    @property
    def facts(self) -> dict[str, NetworkFacts]:
        """By `<effort>.<role>`."""
    def networks(self, effort: int, levels: int) -> list[ContextNetwork]:
        """Return the network of exact pixels; with noise levels also those of the bands, and that of previews if there
        is one.

        Raises:
            ValueError: if there is no such effort or schedule.
            ModelError: if networks do not compute here what they must, cannot be made here, or were trained before
                there was a schedule of so many levels.
        """
    def macs_per_pixel(self, effort: int, levels: int) -> float:
        """Return the multiply-accumulates for a pixel of a large image, about as many in both directions."""

class JpegImage:
    """A JPEG file whose coefficients can be coded."""
    @property
    def size(self) -> tuple[int, int]: ...

def predicted_shares(image: NDArray[np.uint8]) -> tuple[float, float]:
    """The shares of the pixels of an image [H, W, C] that equal the one to the left, and that slopes predict."""

def trial_bytes(images: Sequence[NDArray[np.uint8]], model: ContextModel, threads: int) -> list[int]:
    """The bytes of the words of each image [H, W, C], by small networks straight to exact."""

def coder_answer() -> str:
    """SHA-256 of what the whole coder makes of a small picture under small networks."""

def require_coder_answer() -> None:
    """Raises ModelError unless this process codes as every other does."""

def read_jpeg(file: bytes) -> JpegImage:
    """Raises FormatError for a file that cannot be rebuilt from its coefficients."""

class Encoder:
    """An encoder of images, each to a .ddpm file."""

    def __init__(self, *, effort: int, levels: int | None = None, tile: int = 0, verify: bool = True) -> None:
        """Raises ValueError."""
    def use_model(self, model: ContextModel | CoefficientModel) -> None:
        """Code by this model in place of embedded ones."""
    def add(
        self,
        *,
        mode: str,
        size: tuple[int, int],
        colour: NDArray[np.uint8] | None,
        alpha: NDArray[np.uint8] | None,
        samples: NDArray[np.uint16] | None,
        sample_bits: int,
        metadata: tuple[bytes, bytes, bytes, bytes],
        kept: tuple[str, str, str, int, int, bytes] | None,
    ) -> None:
        """size: width and height. metadata: ICC profile, EXIF, XMP, how a PNG was made. kept: fields of `KeptFile`."""
    def add_jpeg(self, image: JpegImage) -> None: ...
    def advance(self, seconds: float, threads: int) -> Event:
        """Work until an embedded model is needed, all is done, or about so many seconds have passed."""
    @property
    def needed_model(self) -> int:
        """The number of an embedded model."""
    def set_model(self, model: ContextModel | CoefficientModel) -> None: ...
    def file(self, image: int) -> bytes: ...
    @property
    def work(self) -> float:
        """Pixels that are coded, and once more if they are verified."""
    @property
    def done(self) -> float: ...
    def take_costs(self) -> list[Cost]: ...

class Pass:
    """Images of one size, from nothing to exact."""

    def __init__(
        self,
        networks: Sequence[ContextNetwork],
        levels: int,
        shape: tuple[int, int, int, int],
        *,
        streams: int,
        learns: bool,
        repeats: bool = False,
        threads: int,
    ) -> None: ...
    def encode(self, pixels: NDArray[np.uint8], for_previews: bool = False) -> None: ...
    def decode(
        self,
        states: Sequence[int],
        words: Sequence[NDArray[np.uint32]],
        for_previews: bool = False,
        is_cut: bool = False,
    ) -> None: ...
    def advance(self, waves: int, segment: int) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def segments_done(self) -> int: ...
    @property
    def ended(self) -> bool: ...
    @property
    def is_exact(self) -> bool: ...
    def bits(self) -> float: ...
    def symbols(self, stream: int) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def stream(self, stream: int, check: int) -> tuple[int, list[bytes]]: ...
    def state(self, stream: int) -> int: ...
    def position(self, stream: int) -> int: ...
    def pixels(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...

def segments(levels: int, height: int, width: int) -> list[tuple[int, int, int, int, int]]:
    """(step, level, finest band, positions, parts) of each."""

class CoefficientModel:
    """Networks of JPEG coefficients."""

    @staticmethod
    def parse(data: bytes, source: str, number: int = 0) -> CoefficientModel:
        """Raises ModelError."""
    name: str
    id: bytes
    number: int
    file: bytes
    def check(self, effort: int) -> None:
        """Make the networks of an effort. Raises ModelError if they do not compute what they must."""

class CoefficientTile:
    """A tile of the coefficients of a JPEG file that is encoded."""

    def __init__(
        self,
        model: CoefficientModel,
        effort: int,
        levels: int,
        image: Coefficients,
        box: tuple[int, int, int, int],
    ) -> None:
        """box: left, top, right, bottom. Raises FormatError unless it is one of whole MCUs."""
    def advance(self, segment: int, seconds: float) -> bool:
        """Code on to the end of a segment. Returns whether that is reached."""
    def chunks(self) -> list[bytes]:
        """Of all segments, once they are done."""

def jpeg_answers(data: bytes, source: str) -> dict[str, str]:
    """What the networks of a model of JPEG coefficients compute, as hashes by `<effort>.<role>`."""

def contract(role: str, components: int) -> tuple[int, int, int]:
    """Inputs, outputs and conditions of a network."""

def band_positions(
    images: NDArray[np.uint8], levels: int, share: float, least: int, side: int, seed: int
) -> list[dict[str, NDArray[Any]]]:
    """By kind of band. side: of the largest part that is taken."""

def pixel_positions(
    images: NDArray[np.uint8], level: int, parts: Sequence[tuple[int, int, int, int]]
) -> dict[str, NDArray[Any]]:
    """level: that noise levels end at, or 0. parts: top, left, height and width of what is taken of every image, in
    raster order."""

# --- previews

def estimate(coding_pass: Pass, threads: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and variances of the planes, as the bands say."""

def squares(mean: NDArray[np.float32], variance: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What a network of previews sees, [h, w, inputs]."""

# --- the stack of bits back
#
# What takes its head, words and size returns its head and size, or size -1 where it ran out of words. Arrays are
# contiguous, [n] but for words. ValueError where a symbol or its distribution cannot be, or words has no room.

def push_intervals(
    starts: NDArray[np.uint64],
    freqs: NDArray[np.uint64],
    precision: int,
    head: int,
    words: NDArray[np.uint32],
    size: int,
) -> tuple[int, int]:
    """Intervals in 2^-precision, the last first; words has room for one more a symbol."""

def logistic_intervals(
    starts: NDArray[np.uint32],
    freqs: NDArray[np.uint32],
    lo: NDArray[np.int32],
    hi: NDArray[np.int32],
    new_lo: NDArray[np.int32],
    new_hi: NDArray[np.int32],
    mean: NDArray[np.int32],
    scale: NDArray[np.int32],
) -> None:
    """Fills starts and freqs, in 2^-24: those of new_lo..new_hi given lo..hi."""

def pop_logistic(
    values: NDArray[np.int32],
    mean: NDArray[np.int32],
    scale: NDArray[np.int32],
    head: int,
    words: NDArray[np.uint32],
    size: int,
) -> tuple[int, int]:
    """Fills values with pixels."""

def push_normals(
    symbols: NDArray[np.int64],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    head: int,
    words: NDArray[np.uint32],
    size: int,
) -> tuple[int, int]:
    """The last first; words has room for four more a symbol."""

def pop_normals(
    symbols: NDArray[np.int64],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    head: int,
    words: NDArray[np.uint32],
    size: int,
) -> tuple[int, int]:
    """Fills symbols."""
