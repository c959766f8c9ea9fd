"""The product of small integers against numpy, on this machine's path and on those of other targets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llvmlite import binding
from numba.core.errors import TypingError
from numpy.typing import NDArray

from ddpmcodec import compiled, processor
from ddpmcodec.networks.context import product as products
from ddpmcodec.networks.context import tiles
from ddpmcodec.networks.context.product import pack, product, product_reference, signed_offset

ROOT = Path(products.__file__).parents[3]
Drawn = tuple[NDArray[np.uint8], NDArray[np.int8]]

SHAPES = [  # rows, K, N: remainders of 4, 16 and 32 rows, 4 and 64 inputs, 16, 32 and 64 outputs, and none
    (1, 1, 1),
    (3, 4, 16),
    (4, 7, 17),
    (5, 300, 48),
    (6, 128, 64),
    (7, 30, 80),
    (12, 256, 256),
    (16, 64, 32),
    (17, 72, 16),
    (32, 128, 48),
    (33, 60, 64),
    (44, 297, 130),
]
VNNI = "+avx512f,+avx512bw,+avx512vl,+avx512vnni"
TARGETS = [  # numba's name of the CPU, its features, and the instructions that the product is made of
    ("generic", "", "portable"),
    ("haswell", "+avx2,+fma", "portable"),
    ("skylake-avx512", "+avx512f,+avx512bw,+avx512vl", "portable"),
    ("icelake-server", VNNI, "AVX-512 VNNI"),
    ("sapphirerapids", f"{VNNI},+amx-tile,+amx-int8", "AMX"),
]


def runs_here(features: str) -> bool:
    here = binding.get_host_cpu_features()
    return all(here.get(feature.removeprefix("+")) for feature in features.split(",") if feature)


def draw(rows: int, inputs: int, outputs: int) -> Drawn:
    rng = np.random.default_rng([rows, inputs, outputs])
    x = rng.integers(0, 256, (rows, inputs)).astype(np.uint8)
    return x, rng.integers(-128, 128, (outputs, inputs)).astype(np.int8)


def exact(x: NDArray[np.uint8], w: NDArray[np.int8]) -> NDArray[np.int64]:
    return x.astype(np.int64) @ w.T.astype(np.int64)


def sums_of(x: NDArray[np.uint8], w: NDArray[np.int8], path: Callable[..., None] = product) -> NDArray[np.int32]:
    """The sums of all rows, without padding: which must be zero where weights were padded."""
    packed = pack(w)
    padded = np.pad(x, ((0, 0), (0, -x.shape[1] % 4)))
    sums = np.full((len(x), 16 * len(packed)), -1, np.int32)
    path(padded, packed, sums, len(x))
    assert not sums[:, len(w) :].any()
    return sums[:, : len(w)]


@compiled.kernel()
def twice(x: Any, weights: Any, sums: Any) -> None:
    """A kernel that calls the product more than once: each call starts from zero."""
    for _ in range(2):
        product(x, weights, sums, len(x))


@pytest.mark.parametrize("path", [product, product_reference])
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_are_exact(shape: tuple[int, int, int], path: Callable[..., None]) -> None:
    x, w = draw(*shape)
    np.testing.assert_array_equal(sums_of(x, w, path), exact(x, w))


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("path", [product, product_reference])
def test_nothing_saturates(weight: int, path: Callable[..., None]) -> None:
    x, w = np.full((9, 1024), 255, np.uint8), np.full((80, 1024), weight, np.int8)
    assert (sums_of(x, w, path) == 255 * weight * 1024).all()


def test_the_paths_agree() -> None:
    x, w = draw(21, 296, 144)
    np.testing.assert_array_equal(sums_of(x, w), sums_of(x, w, product_reference))


def test_kernels_can_call_it() -> None:
    x, w = draw(9, 32, 32)
    np.testing.assert_array_equal(sums_of(x, w, lambda x, packed, sums, _: twice(x, packed, sums)), exact(x, w))


def test_weights_need_no_alignment() -> None:
    x, w = draw(5, 64, 64)
    packed = pack(w)
    elsewhere = np.empty(packed.size + 1, np.int8)[1:].reshape(packed.shape)
    elsewhere[...] = packed
    sums = np.empty((5, 64), np.int32)
    product(x, elsewhere, sums, 5)
    np.testing.assert_array_equal(sums, exact(x, w))


@pytest.mark.parametrize("rows", [0, 1, 6])
def test_other_rows_stay(rows: int) -> None:
    x, w = draw(10, 8, 16)
    sums = np.full((11, 16), 7, np.int32)
    product(x, pack(w), sums, rows)
    np.testing.assert_array_equal(sums[:rows], exact(x, w)[:rows])
    assert (sums[rows:] == 7).all()


def test_packed_weights() -> None:
    w = draw(1, 10, 20)[1]
    packed = pack(w)
    assert packed.shape == (2, 3, 16, 4)
    assert packed.flags.c_contiguous
    assert packed.ctypes.data % 64 == 0
    restored = packed.transpose(0, 2, 1, 3).reshape(32, 12)
    np.testing.assert_array_equal(restored[:20, :10], w)
    assert not restored[20:].any()
    assert not restored[:, 10:].any()


@pytest.mark.parametrize("shape", SHAPES)
def test_offset_of_signed_activations(shape: tuple[int, int, int]) -> None:
    x, w = draw(*shape)
    offset = signed_offset(w)
    assert offset.dtype == np.int32
    np.testing.assert_array_equal(sums_of(x, w) - offset, (x.astype(np.int64) - 128) @ w.T.astype(np.int64))


@pytest.mark.parametrize(("inputs", "outputs"), [(12, 32), (16, 16), (20, 32)])
def test_shapes_that_do_not_fit(inputs: int, outputs: int) -> None:
    packed = pack(draw(1, 16, 32)[1])
    with pytest.raises(ValueError, match="padded as the weights are"):
        product(np.zeros((2, inputs), np.uint8), packed, np.empty((2, outputs), np.int32), 2)


@pytest.mark.parametrize(("rows", "summed"), [(2, 3), (3, 2)])
def test_more_rows_than_there_are(rows: int, summed: int) -> None:
    with pytest.raises(ValueError, match="more rows asked for"):
        product(np.zeros((rows, 4), np.uint8), pack(draw(1, 4, 16)[1]), np.empty((summed, 16), np.int32), 3)


def test_other_arrays_do_not_compile() -> None:
    packed, sums = pack(draw(1, 4, 16)[1]), np.empty((2, 16), np.int32)
    with pytest.raises(TypingError, match="expected a C-contiguous uint8 array of 2 axes, found array\\(int8"):
        product(np.zeros((2, 4), np.int8), packed, sums, 2)
    with pytest.raises(TypingError, match="expected a C-contiguous uint8 array of 2 axes"):
        product(np.zeros((2, 8), np.uint8)[:, ::2], packed, sums, 2)


def test_tiles_need_the_permission_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "permits_tiles", lambda: False)
    assert not tiles.available()


def test_vnni_needs_an_llvm_that_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "VNNI", "llvm.x86.avx512.unheard.of")
    assert not products._has_vnni()


CHILD = """
import sys
import numpy as np
from ddpmcodec.networks.context import product as products
from ddpmcodec.networks.context import tiles
drawn = np.load(sys.argv[1])
sums = np.empty((len(drawn["x"]), 16 * len(drawn["packed"])), np.int32)
products.product(drawn["x"], drawn["packed"], sums, len(sums))
np.save(sys.argv[2], sums)
print(products.INSTRUCTIONS, sum(products.product.stats.cache_hits.values()), sep=";")
"""


def run_child(folder: Path, target: dict[str, str]) -> tuple[list[str], NDArray[np.int32]]:
    """What a process of its own says and computes, with kernels kept in the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CPU_")}
    environment |= {"NUMBA_CACHE_DIR": str(folder / "kernels"), "PYTHONPATH": str(ROOT)} | target
    command = [sys.executable, "-c", CHILD, str(folder / "drawn.npz"), str(folder / "sums.npy")]
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return said.strip().split(";"), np.load(folder / "sums.npy")


def test_other_targets_share_a_cache_and_agree(tmp_path: Path) -> None:
    """First native code is kept, then that of targets that could not run it, then native code is found again."""
    x, w = draw(23, 296, 144)
    np.savez(tmp_path / "drawn.npz", x=x, packed=pack(w))
    native = [products.INSTRUCTIONS]
    said, sums = run_child(tmp_path, {})
    assert said == [*native, "0"]
    np.testing.assert_array_equal(sums, exact(x, w))
    for name, features, instructions in filter(lambda target: runs_here(target[1]), TARGETS):
        said, sums = run_child(tmp_path, {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features})
        assert said == [instructions, "0"]
        np.testing.assert_array_equal(sums, exact(x, w))
    assert run_child(tmp_path, {})[0] == [*native, "1"]
