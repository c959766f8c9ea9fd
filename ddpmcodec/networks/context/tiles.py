"""The exact product in tiles: Intel's Advanced Matrix Extensions (AMX), twice as fast as vectors where they exist.

A tile is a register of up to 16 rows of 64 bytes, and one instruction (`tdpbusd`) adds the products of 16 rows x 64
inputs and 64 inputs x 16 outputs to 256 sums. Sums are the integers of `product`. What lies over beyond whole tiles of
64 inputs is done first, with narrower tiles.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from ddpmcodec import compiled, processor

SIDE, DEPTH = 16, 64  # of a tile: rows of 64 bytes, which are inputs of activations, or four inputs of 16 outputs
CONFIGURATION, PALETTE = 64, 1  # bytes; byte 0: which palette; from 16 on, two each: bytes of a row; from 48 on: rows
ROWS_OF, QUADS_OF = 4, 6  # tiles of activations from 4 on, of weights from 6 on; sums before them
LOWER = (2, 3, 5)  # tiles of sums and activations in the second sixteen rows

_intrinsic: Any = intrinsic  # numba's types count the typing context among the arguments

I8, I64 = ir.IntType(8), ir.IntType(64)
BYTE = I8.as_pointer()


def available() -> bool:
    """Whether numba compiles for AMX, which its environment variables may deny, and the system permits its use."""
    features = set(cpu_target.target_context.codegen().magic_tuple()[2].split(","))
    return {"+amx-tile", "+amx-int8"} <= features and processor.permits_tiles()


def _instruction(builder: Any, name: str, *arguments: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), arguments)  # type: ignore[no-untyped-call]


@_intrinsic
def _shape(typing_context, upper, lower, depth):  # type: ignore[no-untyped-def]
    """Tiles of `upper` and `lower` rows, and inputs in `depth` fours."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        upper, lower, depth = (builder.trunc(argument, I8) for argument in arguments)
        zero = ir.Constant(ir.ArrayType(I8, CONFIGURATION), None)
        memory = builder.bitcast(cgutils.alloca_once_value(builder, zero), BYTE)  # type: ignore[no-untyped-call]

        def put(place: int, value: Any) -> None:
            builder.store(value, builder.gep(memory, [I64(place)]))

        put(0, I8(PALETTE))
        for tile in range(QUADS_OF + 2):
            activations, weights = ROWS_OF <= tile < QUADS_OF, tile >= QUADS_OF
            put(16 + 2 * tile, builder.mul(depth, I8(4)) if activations else I8(DEPTH))
            put(48 + tile, depth if weights else lower if tile in LOWER else upper)
        _instruction(builder, "ldtilecfg", memory)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@_intrinsic
def _release(typing_context):  # type: ignore[no-untyped-def]
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _instruction(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


def _block(rows: int, columns: int) -> Any:
    """A function for kernels that adds to the sums of `rows` x `columns` tiles: from rows `first` and,
    of two, `second` on, and from `column` (of 16 outputs) on; `steps` tiles of inputs, from `quad` (of four) on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        typed = zip(signature.args[:3], arguments[:3], strict=True)
        x, weights, sums = (context.make_array(kind)(context, builder, value) for kind, value in typed)
        first, second, column, quad, steps, begins = arguments[3:]
        blocks, quads = cgutils.unpack_tuple(builder, weights.shape)[:2]  # type: ignore[no-untyped-call]

        def at(array: Any, *products: tuple[Any, Any]) -> Any:
            """A pointer so many bytes into an array: a sum of products."""
            pointer = builder.bitcast(array.data, BYTE)
            for a, b in products:
                pointer = builder.gep(pointer, [builder.mul(a, b)])
            return pointer

        x_stride, sums_stride = builder.mul(quads, I64(4)), builder.mul(blocks, I64(64))
        row_of = [first, second][:rows]
        column_of = [builder.add(column, I64(j)) for j in range(columns)]
        sources = [at(x, (row, x_stride), (quad, I64(4))) for row in row_of]
        factors = [at(weights, (builder.mul(c, quads), I64(64)), (quad, I64(64))) for c in column_of]
        targets = [[at(sums, (row, sums_stride), (c, I64(64))) for c in column_of] for row in row_of]
        tiles = [(i, j, I8(2 * i + j)) for i in range(rows) for j in range(columns)]
        with builder.if_else(begins) as (new, old):
            with new:
                for _, _, tile in tiles:
                    _instruction(builder, "tilezero", tile)
            with old:
                for i, j, tile in tiles:
                    _instruction(builder, "tileloadd64", tile, targets[i][j], sums_stride)
        with cgutils.for_range(builder, steps) as loop:
            for i, source in enumerate(sources):
                here = builder.gep(source, [builder.mul(loop.index, I64(DEPTH))])
                _instruction(builder, "tileloadd64", I8(ROWS_OF + i), here, x_stride)
            for j, factor in enumerate(factors):
                here = builder.gep(factor, [builder.mul(loop.index, I64(SIDE * DEPTH))])
                _instruction(builder, "tileloadd64", I8(QUADS_OF + j), here, I64(DEPTH))
            for i, j, tile in tiles:
                _instruction(builder, "tdpbusd", tile, I8(ROWS_OF + i), I8(QUADS_OF + j))
        for i, j, tile in tiles:
            _instruction(builder, "tilestored64", tile, targets[i][j], sums_stride)
        return context.get_dummy_value()

    @_intrinsic
    def block(typing_context, x, weights, sums, first, second, column, quad, steps, begins):  # type: ignore[no-untyped-def]
        integers = [types.intp] * 5
        return types.void(x, weights, sums, *integers, types.boolean), generate

    return block


_two_rows_two_columns, _two_rows, _two_columns, _one = _block(2, 2), _block(2, 1), _block(1, 2), _block(1, 1)


@compiled.kernel()
def _add(x, weights, sums, row, lower, quad, steps, begins):  # type: ignore[no-untyped-def]
    """Two tiles of rows, or one where `lower` is 0: `steps` tiles of inputs, from `quad` on, to all outputs. begins:
    sums are overwritten, not added to."""
    blocks, second = len(weights), row + SIDE
    for column in range(0, blocks - 1, 2):
        if lower:
            _two_rows_two_columns(x, weights, sums, row, second, column, quad, steps, begins)
        else:
            _two_columns(x, weights, sums, row, second, column, quad, steps, begins)
    if blocks % 2:
        if lower:
            _two_rows(x, weights, sums, row, second, blocks - 1, quad, steps, begins)
        else:
            _one(x, weights, sums, row, second, blocks - 1, quad, steps, begins)


@compiled.kernel()
def product_in_tiles(x, weights, sums, rows):  # type: ignore[no-untyped-def]
    """`product`, of arrays that it has checked."""
    steps, over = divmod(weights.shape[1], SIDE)
    for row in range(0, rows, 2 * SIDE):
        upper, lower = min(rows - row, SIDE), min(max(rows - row - SIDE, 0), SIDE)
        if over:
            _shape(upper, max(lower, 1), over)
            _add(x, weights, sums, row, lower, SIDE * steps, 1, True)
        if steps:
            _shape(upper, max(lower, 1), SIDE)
            _add(x, weights, sums, row, lower, 0, steps, over == 0)
    if rows:
        _release()
