"""--ray: the files of a command on the machines of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import click

from ._common import model_loader

if TYPE_CHECKING:
    from ddpmcodec.models.context import ContextModel

ray_option = click.option(
    "--ray",
    metavar="ADDRESS",
    help="Work on all machines of a Ray cluster: HOST:PORT of its head, auto (the one of this machine), or local. Needs"
    " pip install 'ddpmcodec[ray]'.",
)


@dataclass(frozen=True)
class SentModel:
    """A model as the bytes of its file, which other machines cannot read. source: what errors call it."""

    data: bytes
    source: str

    def __call__(self) -> ContextModel:
        return _parsed(self.data, self.source)


@cache
def _parsed(data: bytes, source: str) -> ContextModel:
    """Once in a worker."""
    from ddpmcodec.models.context import parse

    return parse(data, source)


def loader(source: str | None, *, ray: str | None) -> Callable[[], ContextModel | None]:
    """`model_loader`; with --ray, one that can be sent. Raises ModelError."""
    if ray is None or source is None:
        return model_loader(source) if ray is None else _no_model
    from ddpmcodec.models.context import read

    return SentModel(read(source), source)


def _no_model() -> None:
    """The codec finds an embedded one."""
