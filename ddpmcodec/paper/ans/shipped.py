"""Tables that come with the package, which files depend on to the last bit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.errors import ModelError


def load_table(path: Path, sha256: str) -> NDArray[np.int64]:
    """A table, int64 [n]. sha256: of its values. Raises ModelError where it is another one."""
    try:
        table: NDArray[np.int64] = np.load(path).astype("<i8")
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path}: a table of the entropy coder cannot be read: install ddpmcodec again") from error
    if hashlib.sha256(table.tobytes()).hexdigest() != sha256:
        raise ModelError(
            f"{path}: a table of the entropy coder is damaged: what is coded with it decodes nowhere else; install"
            " ddpmcodec again"
        )
    return table.astype(np.int64)
