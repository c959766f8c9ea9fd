"""Whatever the process has set: what is coded is the same, and what cannot be computed so is refused."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from ddpmcodec import codec
from ddpmcodec._native import LEVELS
from ddpmcodec.errors import ModelError
from ddpmcodec.models.context import ContextModel
from ddpmcodec.paper.gaussian_model import GaussianModel
from ddpmcodec.paper.numerics import require_denormals, require_rounding_to_nearest

ROUNDING = {  # FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO in <fenv.h>
    "x86_64": (0x800, 0x400, 0xC00),
    "aarch64": (0x400000, 0x800000, 0xC00000),
}
LIBRARY = ctypes.util.find_library("m")
MODES = ROUNDING.get(platform.machine(), ()) if LIBRARY else ()
REFUSED = "fesetround"

scene = (
    np.add.outer(3 * np.arange(48), np.arange(64))[..., None] + np.random.default_rng(0).integers(0, 40, (48, 64, 3))
).astype(np.uint8)


@contextmanager
def rounding(mode: int) -> Iterator[None]:
    library = ctypes.CDLL(LIBRARY)
    assert library.fesetround(mode) == 0
    try:
        yield
    finally:
        library.fesetround(0)


def test_a_processor_as_it_comes_is_right() -> None:
    require_rounding_to_nearest()
    require_denormals()


@pytest.mark.parametrize("mode", MODES)
def test_other_rounding_modes_are_found(mode: int) -> None:
    with rounding(mode), pytest.raises(ModelError, match=REFUSED):
        require_rounding_to_nearest()
    require_rounding_to_nearest()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("levels", LEVELS)
def test_files_are_the_same_under_every_rounding_mode(context_model: ContextModel, levels: int, mode: int) -> None:
    """The core computes as IEEE 754 says by default, weights and colours that learn included."""
    data = codec.encode(scene, model=context_model, effort=2, levels=levels)
    with rounding(mode):
        coded = codec.encode(scene, model=context_model, effort=2, levels=levels)
        decoded = codec.decode(data, model=context_model)
    assert coded == data
    assert decoded.tobytes() == scene.tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_the_papers_system_computes_nothing_under_another_rounding_mode(
    gaussian_model: GaussianModel, mode: int
) -> None:
    """The model was loaded before, and would compute something else now."""
    with rounding(mode), pytest.raises(ModelError, match=REFUSED):
        gaussian_model.predict(np.zeros((1, 4, 4, 3), np.int64), 1.0, 1024)


def test_flushing_to_zero_is_found() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    try:
        with pytest.raises(ModelError, match="set_flush_denormal"):
            require_denormals()
    finally:
        torch.set_flush_denormal(False)
    require_denormals()
