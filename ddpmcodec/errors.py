"""Every error the library raises on purpose, and the exit code each one gives the command line."""

from __future__ import annotations

from errno import ENOENT
from typing import TypeAlias, TypeVar


class DdpmError(Exception):
    """Base of all errors raised on purpose: says what is wrong, where, and what to do about it."""

    exit_code = 1


class ImageError(DdpmError):
    """The input is not an image this codec can code (not an image, 16-bit, CMYK, too large)."""


class LimitError(ImageError):
    """The input claims more pixels than its reader was allowed to decode."""


class MissingFileError(ImageError, FileNotFoundError):
    """The path of an image, a file or an archive leads to none. Python's own error for that is a base of it."""

    errno = ENOENT


class OutputError(DdpmError):
    """The output exists already, equals the input, or cannot be written."""


class DiskError(OutputError):
    """The disk is full, or takes nothing: what would be written next to it cannot be, either."""


class FormatError(DdpmError):
    """The data is not a ddpmcodec file, or its structure contradicts itself."""

    exit_code = 3


class TruncatedError(FormatError):
    """The data ends before the image does: ask for a preview, or get the rest."""


class ChecksumError(FormatError):
    """The data decodes to something other than what was encoded."""


class CorruptError(FormatError):
    """The data is damaged: it does not decode to anything that an encoder writes."""


class ModelError(DdpmError):
    """The model is missing, is not the one the file was written with, or does not compute exactly."""

    exit_code = 4


class TrainingError(DdpmError):
    """The data set, the configuration or the saved state cannot be trained on."""


class ClusterError(DdpmError):
    """The Ray cluster cannot be reached, cannot run this program, or lost a piece of work too often."""


Failure: TypeAlias = DdpmError | OSError | MemoryError
FAILURES = (DdpmError, OSError, MemoryError)  # of one piece of work, which do not keep others from being done


def bytes_follow(count: int, kind: str, end: int) -> str:
    """Return what is wrong with data that go on after the end of an image or an archive, and how to put it right."""
    follow = "1 byte follows" if count == 1 else f"{count} bytes follow"
    return f"{follow} the end of the {kind}: keep what precedes it, `head -c {end}`"


def unreadable(name: str, error: OSError | ValueError, remedy: str, kind: type[DdpmError] = DdpmError) -> DdpmError:
    """Return the error for a file that cannot be read. kind: its class, unless there is no such file."""
    kind = MissingFileError if isinstance(error, FileNotFoundError) else kind
    return kind(f"{name}: cannot be read ({reason_of(error)}); {remedy}")


def reason_of(error: OSError | ValueError) -> str:
    """Why a file cannot be read, without its name. A path with a NUL and a file that is closed raise ValueError."""
    return getattr(error, "strerror", None) or str(error)


AnyDdpmError = TypeVar("AnyDdpmError", bound=DdpmError)


def without_traceback(error: AnyDdpmError) -> AnyDdpmError:
    """The same error, to be kept: the traceback of one that was raised, and those of its causes, hold all variables of
    the functions that it left, such as open files."""
    return type(error)(str(error))
