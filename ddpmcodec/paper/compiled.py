"""Kernels: functions that numba compiles once on a machine and keeps.

Numba knows a kept kernel by the file that it is defined in, not by the files of the kernels it calls: after an update
of those, an old one would go on to compute what it did, and a file that it wrote would decode nowhere else. So kernels
are kept in a folder whose name is a hash of all sources and of the compiler's versions (`CONTENT`), below the folder
that numba chooses (NUMBA_CACHE_DIR, beside the sources, or the user's). Each file carries a checksum.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import pickle
import secrets
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.serialize import dumps

FOLDERS = ("paper", "training")  # of the package: their files define kernels, and functions that kernels call
KEPT_FOLDERS = 3  # of other sources or compilers, in each cache: environments may share a checkout
CHECK_BYTES, SUFFIX = 32, ".nbc"

_complaints: set[str] = set()


def kernel(*, allocates: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: numba.njit that releases the GIL, and keeps the compiled kernel where a folder can be written.

    allocates: whether the kernel allocates arrays. Only then does numba count references to arrays, its arguments'
    too: two atomic operations for each array of each call, which once took half of the coding time. A kernel that
    allocates must not take an array as the result of one that does not.
    """

    njit: Any = numba.njit  # whose types leave out _nrt

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = njit(**options, nogil=True, _nrt=allocates)(function)
        with contextlib.suppress(RuntimeError):  # nowhere to keep it, as in a container that is read-only
            dispatcher._cache = _Cache(function)  # what numba does for cache=True, with its own class
        return dispatcher

    return compiled


def is_kept(dispatcher: Any) -> bool:
    """Whether a kernel is compiled already, for any types."""
    return isinstance(dispatcher._cache, _Cache) and not dispatcher._cache.is_empty()


def folder_of(dispatcher: Any) -> Path | None:
    """The folder that a kernel is kept in, or will be; None where there is no such folder."""
    return Path(dispatcher._cache.cache_path) if isinstance(dispatcher._cache, _Cache) else None


def content_of(package: Path) -> str:
    """A hash of all that kernels are compiled from: sources, the tables that are frozen into them, and the compiler.
    Numba's own key has the features of the processor."""
    compiler = f"numba {numba.__version__}, llvmlite {llvmlite.__version__}"
    digest = hashlib.sha256(compiler.encode())
    for path in sorted(path for folder in FOLDERS for path in (package / folder).rglob("*")):
        if path.suffix in (".py", ".npy"):
            digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


CONTENT = content_of(Path(__file__).parents[1])


class _Locator:
    """Numba's cache locator, which chooses a folder, pointed to the folder of `CONTENT` in it."""

    def __init__(self, chosen: Any) -> None:
        self._chosen = chosen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen, name)

    def get_cache_path(self) -> str:
        return os.path.join(self._chosen.get_cache_path(), f"ddpmcodec-{CONTENT}")

    def ensure_cache_path(self) -> None:
        self._chosen.ensure_cache_path()
        path = Path(self.get_cache_path())
        if not path.is_dir():
            path.mkdir(exist_ok=True)
            _forget_oldest(path)


class _Results(CompileResultCacheImpl):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._locator = _Locator(self._locator)


class _Files:
    """A file for each kernel and its types, without an index: processes may write at the same time."""

    def __init__(self, folder: str, stem: str, stamp: object) -> None:
        """stamp: of the file that defines the kernel, which need not be one of the package's."""
        self.folder, self.stem, self.stamp = Path(folder), stem, stamp

    def _path(self, key: object) -> Path:
        name = hashlib.sha256(repr((self.stamp, key)).encode()).hexdigest()[:16]
        return self.folder / f"{self.stem}.{name}{SUFFIX}"

    def save(self, key: object, data: object) -> None:
        content: bytes = dumps((key, data))  # type: ignore[no-untyped-call]
        path = self._path(key)
        temporary = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, key: object) -> object:
        """What was saved; None where nothing was. Raises ValueError where the file is damaged."""
        try:
            stored = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        check, content = stored[:CHECK_BYTES], stored[CHECK_BYTES:]
        if hashlib.sha256(content).digest() != check:
            raise ValueError("a checksum does not match")
        kept_key, data = pickle.loads(content)
        return data if kept_key == key else None

    def kept(self) -> list[Path]:
        return [*self.folder.glob(f"{glob.escape(self.stem)}.*{SUFFIX}")]

    def flush(self) -> None:
        for path in self.kept():
            path.unlink(missing_ok=True)


class _Cache(FunctionCache):
    """Where a kept kernel cannot be read or written, the kernel is compiled, and one warning says so."""

    _impl_class = _Results

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        stamp = self._impl.locator.get_source_stamp()
        self.files = _Files(self._cache_path, self._impl.filename_base, stamp)
        self._cache_file = self.files  # type: ignore[assignment]

    def is_empty(self) -> bool:
        return not self.files.kept()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever a pickle of another program does
            _complain(f"compiled kernels in {self.cache_path} are damaged ({error}): they are compiled again")
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        except OSError as error:
            where = f"compiled kernels cannot be kept in {self.cache_path} ({error.strerror or error})"
            _complain(f"{where}: every run compiles them again")


def _complain(message: str) -> None:
    """Warn once for all kernels."""
    problem = message.partition(" in ")[0]
    if problem not in _complaints:
        _complaints.add(problem)
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _forget_oldest(current: Path) -> None:
    """Remove all folders of other content but the newest. A process that uses one compiles its kernels again."""
    with contextlib.suppress(OSError):
        others = [path for path in current.parent.glob("ddpmcodec-*") if path != current]
        for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-KEPT_FOLDERS]:
            shutil.rmtree(path, ignore_errors=True)
