"""A context model: its networks, and what online adaptation begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    @property
    def shape(self) -> Shape:
        return self.networks[0].shape
