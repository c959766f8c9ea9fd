"""Where coded blocks wait until the archive is written: in memory, or in a temporary file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ddpmcodec.content import FileView, Part
from ddpmcodec.errors import OutputError, reason_of
from ddpmcodec.files import write_all


class Spool:
    """Keeps bytes in a temporary file of a folder, or where there is none in memory. The file has no name, or loses it
    at once, where the system can: nothing is left when the process ends, however it ends."""

    def __init__(self, folder: Path | None) -> None:
        """Raises OutputError where no file can be made there."""
        self.folder, self.is_closed = folder, False
        if folder is None:
            return
        try:
            self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise self._unwritable(error) from error
        self.content = FileView(self.file)

    def keep(self, data: bytes) -> Part:
        """The bytes, to be read later. Raises OutputError where the disk does not take them."""
        if self.folder is None:
            return data
        try:
            start = self.file.seek(0, os.SEEK_END)
            write_all(self.file.fileno(), data)
        except OSError as error:
            raise self._unwritable(error) from error
        self.content = self.content.extended()
        return self.content[start : start + len(data)]

    def close(self) -> None:
        self.is_closed = True
        if self.folder is not None:
            self.file.close()

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.folder}: no temporary file can be written there ({reason_of(error)}): make room, or write"
            " the archive elsewhere"
        )
