"""A file that a command over many works on, and what becomes of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Shape(NamedTuple):
    """Of an image. alike: what files that are coded together have in common."""

    pixels: int
    channels: int
    alike: Hashable


@dataclass(frozen=True)
class Task:
    """A file to read and the one to write, by their names. shape: None where it is known only once the file is read."""

    name: str
    place: str
    shape: Shape | None = None


@dataclass(frozen=True)
class Result:
    """A file's content, bytes that were read for it, facts for --json, and lines for people."""

    content: bytes
    read: int
    facts: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
