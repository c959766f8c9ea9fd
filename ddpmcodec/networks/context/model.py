"""A context model: its networks, and what online adaptation begins with."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.errors import ModelError
from ddpmcodec.networks.context.network import Network
from ddpmcodec.networks.context.shape import Shape


@dataclass(frozen=True)
class ContextModel:
    """`initial`: as `adaptation.start` takes it. id: sha256 of the model file. denoiser: tensors of the network that
    previews are denoised by (`networks.reconstruction`), none where the model has none."""

    name: str
    id: bytes
    networks: tuple[Network, ...]  # by `shape.band_kind`, all of one shape
    initial: NDArray[np.int32]
    denoiser: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    check: int = field(init=False)  # CRC-32 of all that is coded with, when it was loaded

    def __post_init__(self) -> None:
        object.__setattr__(self, "check", self._checksum())

    def require_unchanged(self) -> None:
        """Raises ModelError where a number in memory is not what it was: files would decode nowhere else."""
        if self._checksum() != self.check:
            raise ModelError(
                f"the model {self.name!r} has changed in memory since it was loaded: what is coded with it decodes"
                " nowhere else; load it again, and check this machine's memory where nothing has written to it"
            )

    def _checksum(self) -> int:
        value = zlib.crc32(self.initial.data)
        for array in (array for network in self.networks for array in network):
            value = zlib.crc32(array.data, value)
        return value

    @property
    def shape(self) -> Shape:
        return self.networks[0].shape
