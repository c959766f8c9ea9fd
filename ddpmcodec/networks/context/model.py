"""A context model: its networks, and what online adaptation begins with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.networks.context.network import Network


@dataclass(frozen=True)
class ContextModel:
    """`initial`: as `adaptation.start` takes it. id: sha256 of the model file."""

    name: str
    id: bytes
    networks: tuple[Network, ...]  # by `shape.band_kind`
    initial: NDArray[np.int32]
