"""Exact product of small integers, for kernels: uint8 activations x int8 weights -> int32 sums.

The product is computed in blocks of ROWS rows x COLUMNS * 16 outputs whose sums stay in registers. A block is written
in LLVM's intermediate representation, as plain loops reach a tenth of its speed at best. Its step adds four products
to each sum. Where numba compiles for AVX-512 VNNI, that is one instruction; elsewhere it is plain vector arithmetic,
in which LLVM finds pmaddwd on x86. Processors with AMX take tiles instead (`tiles`). Integers are the same on all
targets: nothing saturates, and int32 cannot overflow while K < 65536.

The target is part of the key under which numba keeps a kernel, so one cache folder serves several targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

from ddpmcodec import compiled
from ddpmcodec.networks.context import tiles
from ddpmcodec.networks.context.tiles import product_in_tiles

VECTOR, QUAD = 16, 4  # outputs of a weight vector, and inputs of each: 64 bytes
ALIGNMENT = 64  # of arrays that a vector is loaded from: a cache line

I8, I32 = ir.IntType(8), ir.IntType(32)
BYTES, SUMS = ir.VectorType(I8, VECTOR * QUAD), ir.VectorType(I32, VECTOR)
VNNI = "llvm.x86.avx512.vpdpbusd.512"
VNNI_TYPE = ir.FunctionType(SUMS, [SUMS, SUMS, SUMS])  # LLVM 22 wants bytes, and upgrades this older type by itself

Step = Callable[[Any, Any, Any, Any], Any]


def pack(w: NDArray[np.int8]) -> NDArray[np.int8]:
    """int8 [N, K] -> [N / 16, K / 4, 16, 4], N and K padded with zeros, 64 bytes aligned."""
    n, k = w.shape
    padded = np.pad(w, ((0, -n % VECTOR), (0, -k % QUAD)))
    blocks = padded.reshape(len(padded) // VECTOR, VECTOR, -1, QUAD).transpose(0, 2, 1, 3)
    packed = aligned(blocks.size).reshape(blocks.shape)
    packed[...] = blocks
    return packed


def aligned(size: int) -> NDArray[np.int8]:
    """int8 [size], not filled, 64 bytes aligned."""
    memory = np.empty(size + ALIGNMENT, np.int8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


def signed_offset(w: NDArray[np.int8]) -> NDArray[np.int32]:
    """int32 [N]: what the sums of `product` are too large by, as it is given activations plus 128."""
    offset: NDArray[np.int32] = 128 * w.sum(axis=1, dtype=np.int32)
    return offset


def _has_vnni() -> bool:
    """Whether numba compiles for AVX-512 VNNI, which its environment variables may deny, and this LLVM knows it."""
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    if not {"+avx512f", "+avx512vnni"} <= set(features):
        return False
    module = ir.Module()
    ir.Function(module, VNNI_TYPE, VNNI)
    try:
        known = str(binding.parse_assembly(str(module)))
    except RuntimeError:  # another type
        return False
    return "memory(none)" in known or "readnone" in known  # LLVM's own knowledge of the name: it was not in the module


def _select(builder: Any, vector: Any, lanes: Sequence[int]) -> Any:
    indices = ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), indices)


def _broadcast(builder: Any, quad: Any) -> Any:
    first = builder.insert_element(ir.Constant(SUMS, ir.Undefined), quad, I32(0))
    return _select(builder, first, [0] * VECTOR)


def _vnni_step(builder: Any, sums: Any, x: Any, weights: Any) -> Any:
    """Sums of 16 outputs, plus four activations (the bytes of x) times the weights of each."""
    step = cgutils.get_or_insert_function(builder.module, VNNI_TYPE, VNNI)  # type: ignore[no-untyped-call]
    return builder.call(step, [sums, x, builder.bitcast(weights, SUMS)])


def _pair_sums(builder: Any, products: Any) -> Any:
    lanes = range(products.type.count)
    return builder.add(_select(builder, products, lanes[::2]), _select(builder, products, lanes[1::2]))


def _portable_step(builder: Any, sums: Any, x: Any, weights: Any) -> Any:
    """The same for two sums an output, of two products each: written so that LLVM finds pmaddwd."""
    wide = ir.VectorType(I32, BYTES.count)
    products = builder.mul(builder.zext(builder.bitcast(x, BYTES), wide), builder.sext(weights, wide))
    return builder.add(sums, _pair_sums(builder, products))


def _rows_of(builder: Any, array: Any, item: Any, first: Any, length: Any, count: int) -> list[Any]:
    """Pointers to `count` rows of `length` items each, from row `first` on."""
    start = builder.bitcast(array.data, item.as_pointer())
    rows = [builder.add(first, first.type(i)) for i in range(count)]
    return [builder.gep(start, [builder.mul(row, length)]) for row in rows]


def _emit(builder: Any, x: list[Any], weights: list[Any], quads: Any, step: Step, zero: Any) -> list[list[Any]]:
    """The loop over K / 4. LLVM keeps the sums, written as variables here, in registers."""
    variable_of: Callable[[Any, Any], Any] = cgutils.alloca_once_value
    sums = [[variable_of(builder, zero) for _ in weights] for _ in x]
    for variable in chain.from_iterable(sums):
        builder.store(zero, variable)  # at each block: alloca_once_value does it at the kernel's entry alone
    with cgutils.for_range(builder, quads) as loop:
        vectors = [builder.load(builder.gep(column, [loop.index]), align=1) for column in weights]
        for row, row_sums in zip(x, sums, strict=True):
            quad = builder.load(builder.gep(row, [loop.index]), align=1)
            everywhere = _broadcast(builder, quad)
            for variable, vector in zip(row_sums, vectors, strict=True):
                builder.store(step(builder, builder.load(variable), everywhere, vector), variable)
    return [[builder.load(variable) for variable in row_sums] for row_sums in sums]


def _checked(x: Any, weights: Any, sums: Any) -> None:
    for array, dtype, axes in ((x, types.uint8, 2), (weights, types.int8, 4), (sums, types.int32, 2)):
        if not isinstance(array, types.Array) or (array.dtype, array.ndim, array.layout) != (dtype, axes, "C"):
            raise TypingError(f"product: expected a C-contiguous {dtype} array of {axes} axes, found {array}")


def _block(rows: int, columns: int, vnni: bool) -> Any:
    """A function for kernels that computes `rows` rows x `columns` * 16 outputs, from `row` and `column` on."""
    step: Step = _vnni_step if vnni else _portable_step
    zero = ir.Constant(SUMS if vnni else ir.VectorType(I32, 2 * VECTOR), None)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        typed = zip(signature.args[:3], arguments[:3], strict=True)
        x, weights, sums = (context.make_array(kind)(context, builder, value) for kind, value in typed)
        row, column = arguments[3:]
        blocks, quads = cgutils.unpack_tuple(builder, weights.shape)[:2]  # type: ignore[no-untyped-call]
        x_rows = _rows_of(builder, x, I32, row, quads, rows)
        weight_rows = _rows_of(builder, weights, BYTES, column, quads, columns)
        computed = _emit(builder, x_rows, weight_rows, quads, step, zero)
        for pointer, values in zip(_rows_of(builder, sums, SUMS, row, blocks, rows), computed, strict=True):
            for i, value in enumerate(values):
                total = value if vnni else _pair_sums(builder, value)
                builder.store(total, builder.gep(pointer, [builder.add(column, column.type(i))]), align=4)
        return context.get_dummy_value()

    @intrinsic
    def block(typing_context, x, weights, sums, row, column):  # type: ignore[no-untyped-def]
        _checked(x, weights, sums)
        return types.void(x, weights, sums, types.intp, types.intp), generate

    return block


TILES, NATIVE = tiles.available(), _has_vnni()
INSTRUCTIONS = "AMX" if TILES else "AVX-512 VNNI" if NATIVE else "portable"
LEAST_TILE_ROWS = 4  # fewer do not pay for setting tiles up
ROWS, COLUMNS = 4, 4 if NATIVE else 1  # the fastest measured, on AVX-512 VNNI, AVX2 and SSE2
_rows_columns = _block(ROWS, COLUMNS, NATIVE)
_row_columns = _block(1, COLUMNS, NATIVE)
_rows_column = _block(ROWS, 1, NATIVE)
_row_column = _block(1, 1, NATIVE)


@compiled.kernel()
def _product_in_vectors(x, weights, sums, rows):  # type: ignore[no-untyped-def]
    blocks = len(weights)
    whole_rows, whole_columns = rows - rows % ROWS, blocks - blocks % COLUMNS
    for column in range(0, whole_columns, COLUMNS):
        for row in range(0, whole_rows, ROWS):
            _rows_columns(x, weights, sums, row, column)
        for row in range(whole_rows, rows):
            _row_columns(x, weights, sums, row, column)
    for column in range(whole_columns, blocks):
        for row in range(0, whole_rows, ROWS):
            _rows_column(x, weights, sums, row, column)
        for row in range(whole_rows, rows):
            _row_column(x, weights, sums, row, column)


@compiled.kernel()
def product(x, weights, sums, rows):  # type: ignore[no-untyped-def]
    """sums[m, n] = sum over k of x[m, k] w[n, k] in the first `rows` rows: uint8 [M, K], pack(w), int32 [M, N]."""
    blocks, quads, outputs, quad = weights.shape
    if (outputs, quad, 4 * quads, 16 * blocks) != (16, 4, x.shape[1], sums.shape[1]):
        raise ValueError("product: x must be [M, K] and sums [M, N], both padded as the weights are")
    if rows > min(len(x), len(sums)):
        raise ValueError("product: more rows asked for than x or sums have")
    if TILES and rows >= LEAST_TILE_ROWS:
        product_in_tiles(x, weights, sums, rows)
    else:
        _product_in_vectors(x, weights, sums, rows)


@compiled.kernel()
def product_reference(x, weights, sums, rows):  # type: ignore[no-untyped-def]
    """The same as `product`, in plain loops: what it is tested against."""
    blocks, quads, outputs, quad = weights.shape
    for row in range(rows):
        for n in range(blocks * outputs):
            total = np.int32(0)
            for k in range(quads * quad):
                total += np.int32(x[row, k]) * np.int32(weights[n // outputs, k // quad, n % outputs, k % quad])
            sums[row, n] = total
