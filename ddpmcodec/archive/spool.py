"""Where coded blocks wait until the archive is written: in memory, or in a temporary file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

from ddpmcodec.content import FileView, Part
from ddpmcodec.errors import OutputError, reason_of


class Spool:
    """Keeps bytes in a temporary file of a folder, or where there is none in memory. The file has no name, or loses it
    at once, where the system can: nothing is left when the process ends, however it ends."""

    def __init__(self, folder: Path | None) -> None:
        """Raises OutputError where no file can be made there."""
        self.folder = folder
        self.file: IO[bytes] | None = None
        if folder is not None:
            try:
                self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`)
            except OSError as error:
                raise self._unwritable(error) from error

    def keep(self, data: bytes) -> Part:
        """The bytes, to be read later. Raises OutputError where the disk does not take them."""
        if self.file is None:
            return data
        try:
            start = self.file.seek(0, os.SEEK_END)
            self.file.write(data)
            self.file.flush()
        except OSError as error:
            raise self._unwritable(error) from error
        return FileView(self.file)[start : start + len(data)]

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.folder}: a temporary file there cannot be written ({reason_of(error)}): make room, or write the"
            " archive elsewhere"
        )
