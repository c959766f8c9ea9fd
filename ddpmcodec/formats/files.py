"""Writing files so that nothing is lost: outputs appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import platform
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ddpmcodec.content import Part
from ddpmcodec.errors import DiskError, OutputError

try:
    import fcntl
except ImportError:  # Windows has no locks that end with their process
    fcntl = None  # type: ignore[assignment]

Publish = Callable[[Path, Path], None]  # gives a temporary file the name of its target
FULL = {errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}
CLEANED = 8  # names of temporary files that are cleaned up: enough for so many writers at a time


def check_output(output: Path, source: Path | None, *, force: bool) -> None:
    """Raises OutputError when writing `output` would destroy something: the source, or (without `force`) a file."""
    if output.is_dir():
        raise OutputError(f"{output}: is a folder: name a file")
    if not output.parent.is_dir():
        raise OutputError(f"{output}: there is no folder {output.parent}: make it first")
    if output.is_symlink() and not output.exists() and not force:
        raise OutputError(
            f"{output}: is a link that leads to no file: use -f to write there all the same, or name another output"
        )
    folder = os.path.dirname(os.path.realpath(output))
    if (output.is_file() or not output.exists()) and not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{output}: no file can be written in {folder}: name an output elsewhere, or permit it")
    if not output.is_file():
        return
    if source is not None and source.exists() and output.samefile(source):
        raise OutputError(f"{output}: is the input itself: name another output")
    if not force:
        raise OutputError(f"{output}: exists already: use -f to overwrite it, or name another output")


def write_file(
    output: Path, data: bytes | Iterable[Part], *, replace: bool = True, like: Iterable[Path] = (),
    restricted: bool = True, still: Callable[[], object] | None = None,
) -> None:  # fmt: skip
    """Write the file, complete or not at all: a temporary file in the same folder takes its name when all is on disk.

    Without `replace` a file of that name is kept, also one that appears meanwhile: of two programs that write to one
    output one fails. data: all of it, or parts, of which one at a time is in memory. like: the files that it is made
    from. It gets the modification time of the newest. It permits nobody more than the file that it replaces, or where
    there is none the umask, and unless `restricted` is off no more than each of `like`. still: called when all is on
    disk, before the file takes its name; where it raises, what is there stays. Of several such writers of a file one at
    a time does both. Devices and pipes are written to directly. Raises OutputError when the file is there, or cannot be
    written (no permission), DiskError where the disk takes no more, and BrokenPipeError when nobody reads a pipe.
    """
    publish: Publish = os.replace if replace else _take_free_name
    try:
        target = Path(os.path.realpath(output))  # a symbolic link stays, the file that it names is replaced
        if output.exists() and not output.is_file():  # asked of /dev/stdout itself: what it names has no path
            with output.open("wb", buffering=0) as file:
                _write_parts(file.fileno(), _parts(data))
        else:
            with _unfinished:
                publish = _if_still(still, publish) if still else publish
                _write(target, _parts(data), publish, _statuses(like), restricted)
    except BrokenPipeError:  # nobody reads a pipe any more
        raise
    except FileExistsError as error:
        raise OutputError(
            f"{output}: exists already, and did not when the work began: it was kept; use -f to overwrite it, or name"
            " another output"
        ) from error
    except (OSError, UnicodeEncodeError) as error:
        raise _unwritable(output, error) from error


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[bool]:
    """Whether no other process has this folder, which is made where it is missing, and removed where nothing was put
    into it. Where the system or the disk has no locks nobody knows. Raises OSError."""
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if fcntl is None:
            yield True
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            yield _locks(descriptor)
        finally:
            os.close(descriptor)
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it is in, where they are missing. Raises OutputError."""
    try:
        _make(folder)
    except (OSError, UnicodeEncodeError) as error:
        raise _unwritable(folder, error) from error


def _make(folder: Path) -> None:
    for each in (*reversed(folder.parents), folder):  # one by one: pathlib and os go down one call deeper for each
        each.mkdir(exist_ok=True)


def write_below(
    output: Path, data: bytes, *, replace: bool = True, like: Iterable[Path] = (), restricted: bool = True,
    still: Callable[[], object] | None = None,
) -> None:  # fmt: skip
    """`write_file` into a folder that is made where it is missing. Raises OutputError."""
    try:
        _make(output.parent)
    except (OSError, UnicodeEncodeError) as error:
        raise _unwritable(output, error) from error
    write_file(output, data, replace=replace, like=like, restricted=restricted, still=still)


def remove_source(source: Path, output: Path) -> None:
    """Remove a file that `output` was written from, once the name of `output` is on disk, too: a machine may lose its
    power in between. Raises OutputError where it stays, as it does where `output` is no file, but a pipe, say."""
    if not output.is_file():
        raise OutputError(f"{source}: was encoded, but not removed, as {output} is no file: remove it yourself")
    try:
        if fcntl is not None:  # Windows opens no folders
            folder = os.open(os.path.dirname(os.path.realpath(output)), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        source.unlink()
    except OSError as error:
        raise OutputError(f"{source}: was encoded, but not removed ({error.strerror}): remove it yourself") from error


def append_file(output: Path, data: bytes) -> None:
    """Add to the end of a file, which is made where there is none: all of the data or nothing. Raises OutputError."""
    try:
        with output.open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                write_all(file.fileno(), data)
            except BaseException:
                file.truncate(before)
                raise
    except OSError as error:
        raise _unwritable(output, error) from error


def _unwritable(output: Path, error: OSError | UnicodeEncodeError) -> OutputError:
    reason = error.strerror if isinstance(error, OSError) else f"this system's names are {error.encoding}"
    kept = "it is as it was" if os.path.isfile(output) else "nothing was kept of it"
    is_full = isinstance(error, OSError) and error.errno in FULL
    return (DiskError if is_full else OutputError)(f"{output}: cannot be written ({reason}): {kept}")


def _statuses(paths: Iterable[Path]) -> list[os.stat_result]:
    """The statuses of those paths that are regular files."""
    statuses = []
    for path in paths:
        with contextlib.suppress(OSError):
            statuses.append(path.stat())
    return [status for status in statuses if stat.S_ISREG(status.st_mode)]


class _WriteCounter:
    """Counts the files that threads are writing."""

    def __init__(self) -> None:
        self.changed, self.files = threading.Condition(), 0

    def __enter__(self) -> None:
        with self.changed:
            self.files += 1

    def __exit__(self, *_: object) -> None:
        with self.changed:
            self.files -= 1
            self.changed.notify_all()


_unfinished = _WriteCounter()


def end_writing() -> None:
    """Wait until no thread is writing a file, and let none begin: for a process that leaves without its threads."""
    _unfinished.changed.acquire()  # and keep it
    _unfinished.changed.wait_for(lambda: not _unfinished.files)


def _write(target: Path, parts: Iterable[Part], publish: Publish, like: list[os.stat_result], restricted: bool) -> None:
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666
    for source in like if restricted else ():
        mode &= source.st_mode
    temporary, descriptor = _temporary(target, mode)
    created = os.fstat(descriptor)
    with open(descriptor, "wb", buffering=0) as file:
        try:
            _write_parts(descriptor, parts)
            if like:
                with contextlib.suppress(OSError):  # not every disk keeps times
                    newest = max(like, key=lambda source: source.st_mtime_ns)
                    os.utime(temporary, ns=(newest.st_atime_ns, newest.st_mtime_ns))
            os.fsync(descriptor)
            if fcntl is None:
                file.close()  # Windows gives no other name to an open file
            publish(temporary, target)
        except BaseException:  # Ctrl-C too leaves nothing behind
            if fcntl is None:
                file.close()  # nor does it remove one
            if _is_named(temporary, created):
                temporary.unlink()
            raise


def _if_still(still: Callable[[], object], publish: Publish) -> Publish:
    def publish_if_still(temporary: Path, target: Path) -> None:
        with _locked(target):
            still()
            publish(temporary, target)

    return publish_if_still


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """One process at a time is in here for a file, where there is one, and the system and the disk have locks."""
    with contextlib.ExitStack() as opened:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                descriptor = os.open(target, os.O_RDONLY)
                opened.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _temporary(target: Path, mode: int) -> tuple[Path, int]:
    """A new file beside the target, locked for as long as its writer lives. Files that killed writers left are removed.

    The machine's name is part of the file's: there are disks whose locks other machines do not see.
    """
    owner = hashlib.sha256(os.fsencode(f"{platform.node()}/{target.name}")).hexdigest()[:16]

    def path_of(number: int) -> Path:
        return target.with_name(f".ddpmcodec-{owner}-{number}.tmp")

    for number in range(CLEANED):
        _clean(path_of(number))
    for number in itertools.count():
        descriptor = _created(path_of(number), mode)
        if descriptor is not None:
            return path_of(number), descriptor
    raise AssertionError


def _clean(path: Path) -> None:
    """Remove a temporary file that no writer has locked."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError):  # there is none, or it is locked, or the disk has no locks
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb"):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_named(path, os.fstat(descriptor)):
                path.unlink()


def _created(path: Path, mode: int) -> int | None:
    """The descriptor of a new file with a lock; None where there is a file already, or another writer removes this one
    before it is locked."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        if _locks(descriptor) and _is_named(path, os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)
    return None


def _locks(descriptor: int) -> bool:
    """Lock a file. Whether nobody else has the lock; where there are no locks nobody removes files either."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return not isinstance(error, BlockingIOError)
    return True


def _is_named(path: Path, file: os.stat_result) -> bool:
    """Whether a file still has that name."""
    try:
        return os.path.samestat(path.lstat(), file)
    except OSError:
        return False


def _take_free_name(temporary: Path, target: Path) -> None:
    """Give the file the target's name. Raises FileExistsError when a file has it already."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links here: an empty file of our own takes the name first
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        placeholder = os.fstat(descriptor)
        os.close(descriptor)
        try:
            os.replace(temporary, target)
        except BaseException:
            if _is_named(target, placeholder):
                target.unlink()
            raise
    else:
        temporary.unlink()


def _parts(data: bytes | Iterable[Part]) -> Iterable[Part]:
    return [data] if isinstance(data, (bytes, bytearray, memoryview)) else data


def _write_parts(descriptor: int, parts: Iterable[Part]) -> None:
    for part in parts:
        write_all(descriptor, bytes(part))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it to an open file. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest[: 1 << 26]) :]
