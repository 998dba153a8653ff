"""Winograd convolution F(4x4, 3x3) of bytes, exact: 36 products of int16 for the 144 products of bytes of a tile.

For CPUs without a dot product of bytes. The transforms of `winograd`, in integers: filters are transformed by G times
24 (the last row times 6 only, so that they fit int16), inputs by B, at most 100 times their size. Sums are int32 and
may wrap around on the way: what counts is the end, 576 times the convolution's sum. Nine has an inverse modulo 2**32,
so that 64 times the sum remains, which fits (`match` checks the weights).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.regions.expression import packed_shape
from edgec.targets.tvm.regions.graph import Array, Node
from edgec.targets.tvm.regions.grow import Region
from edgec.targets.tvm.regions.quantized import CONV
from edgec.targets.tvm.schedules.conv_int8 import Epilogue
from edgec.targets.tvm.schedules.conv_int8_plan import int8_shape
from edgec.targets.tvm.schedules.conv_plan import ConvShape
from edgec.targets.tvm.schedules.kernel import Kernel, Operand, finish, floordiv, floormod, padded_stage
from edgec.targets.tvm.schedules.tiles import MAX_VECTORS, block_of, ceil_div, divisors
from edgec.targets.tvm.schedules.winograd import schedule
from edgec.targets.tvm.schedules.winograd_plan import OUT, PATCH, TASK_ROWS, WinogradPlan, winograd_cycles
from edgec.targets.tvm.target_model import TargetModel

G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]])
LAST = 4
"""What the last row of G lacks of 24; made up for in the output."""
SCALE, INVERSE_OF_NINE = 64, 954437177
LARGEST_SUM = 2**31 // (SCALE * 128)
"""Of the sizes of one filter's weights: above, 64 times the sum of products with bytes may not fit int32."""
LEAST_PIXELS = 400
"""Of an output channel: transformed filters are eight times the size, which smaller layers do not pay back."""
LEAST_CHANNELS = 12
REGISTERS, MAX_TILES = 30, 7
"""Of a register tile: sums and inputs, two of weights besides; more 4x4 tiles, half a register of input each, spill."""


def match(node: Node, model: TargetModel) -> bool:
    """Whether `node` is an integer convolution that takes fewer instructions this way on `model`."""
    if model.isa != "neon" or model.dot_product != "none" or node.op != CONV or node.facts["groups"] > 1:
        return False
    facts, weights = node.facts, node.facts["integers"]
    square = weights.shape[2:] == (3, 3) and facts["strides"] == [1, 1] and facts["dilation"] == [1, 1]
    out, cin = weights.shape[:2]
    if not square or cin % model.lanes or min(out, cin) < LEAST_CHANNELS:
        return False
    shape = int8_shape(node)
    sums = np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3))
    return shape.out_height * shape.out_width >= LEAST_PIXELS and int(sums.max()) < LARGEST_SUM


@cache
def plan(shape: ConvShape, model: TargetModel) -> WinogradPlan:
    """Return the tiling of the least estimate; register tiles are smaller than those of floats."""
    rows, columns = ceil_div(shape.out_height, OUT), ceil_div(shape.out_width, OUT)
    candidates = []
    for task_rows in sorted({rows, *(count for count in TASK_ROWS if count < rows)}):
        for vectors, high, wide in _register_tiles(ceil_div(shape.out, block_of(shape.out, model)), task_rows, columns):
            padded = ceil_div(rows, task_rows) * task_rows, ceil_div(columns, wide) * wide
            tiling = (*padded, task_rows, padded[1], vectors, high, wide)
            ways = (False, True) if task_rows == rows else (False,)
            candidates += [WinogradPlan(*tiling, by_channels=by_channels) for by_channels in ways]
    return min(candidates, key=lambda candidate: winograd_cycles(shape, candidate, model))


def _register_tiles(blocks: int, rows: int, columns: int) -> Iterator[tuple[int, int, int]]:
    """Yield (vectors, high, wide) that fit the registers: several rows only of whole rows."""
    for vectors in (count for count in divisors(blocks) if count <= MAX_VECTORS):
        most = min(MAX_TILES, (REGISTERS - 2) // (vectors + 1))
        for wide in {ceil_div(columns, parts) for parts in range(1, columns + 1)}:
            heights = divisors(rows) if wide == columns else (1,)
            yield from ((vectors, high, wide) for high in heights if high * wide <= most)


def transform_weights(weights: Array, block: int, vectors: int) -> Array:
    """Return G g G^T of int8 [K, C, 3, 3] as int16 [K/(vectors*block), 36, C/block, block, vectors, block]."""
    out, cin = weights.shape[:2]
    blocks = ceil_div(out, block)
    full = np.zeros((blocks * block, cin, PATCH, PATCH), np.int16)
    full[:out] = np.einsum("ir,kcrs,js->kcij", G, weights.astype(np.int64), G)
    split = full.reshape(blocks // vectors, vectors, block, cin // block, block, PATCH * PATCH)
    return np.ascontiguousarray(split.transpose(0, 5, 3, 4, 1, 2))


def lower(region: Region, model: TargetModel) -> Kernel:
    """Return the kernel of an integer convolution region computed by Winograd's method."""
    node = region.anchor
    shape = int8_shape(node)
    choice = plan(shape, model)
    block = block_of(shape.out, model)
    transformed = transform_weights(node.facts["integers"], block, choice.vectors)
    source = te.placeholder(packed_shape(node.args[0].shape, block), model.byte_type, name="source")
    weights = te.placeholder(transformed.shape, "int16", name="weights")
    zero = tirx.const(node.facts["scaling"].zero_point, model.byte_type)
    columns = _transformed_output(source, weights, shape, choice, zero, block)
    epilogue = Epilogue(region, shape.out, model, steps=SCALE)

    def whole(n: Any, k: Any, h: Any, w: Any, b: Any) -> Any:
        row = [columns[n, k, floordiv(h, OUT), floordiv(w, OUT), floormod(h, OUT), j, b] for j in range(PATCH)]
        return _pick(floormod(w, OUT), _output_rows(row)) * tirx.const(INVERSE_OF_NINE, "int32")

    tiles = (shape.batch, ceil_div(shape.out, block), OUT * choice.rows, OUT * choice.columns, block)
    full = te.compute(tiles, whole, name="full")
    expression = epilogue.expression
    out = te.compute(packed_shape(expression.shape, block), lambda *i: epilogue.at(i, full(*i)), name="out")
    sch = Schedule(te.create_prim_func([source, weights, *epilogue.tensors, out]))
    schedule(sch, choice, by_lane=True)
    operands = [Operand(node.args[0], packed=True), Operand(transformed), *epilogue.operands]
    tasks = "by channels" if choice.by_channels else f"{choice.task_rows}x{choice.task_columns}"
    detail = f"{shape}: {choice.vectors}x{choice.high}x{choice.wide}, tasks {tasks}"
    return Kernel(finish(sch), operands, expression.shape, packed=True, rule="winograd_int8", detail=detail)


def _transformed_output(
    source: te.Tensor, weights: te.Tensor, shape: ConvShape, choice: WinogradPlan, zero: Any, block: int
) -> te.Tensor:
    """Return the stages up to the first half of the output transform, int32 [N, K/b, rows, columns, 4, 6, b]."""
    blocks, in_blocks = ceil_div(shape.out, block), shape.cin // block
    rows, columns, vectors = choice.rows, choice.columns, choice.vectors
    extents = (shape.batch, in_blocks, OUT * rows + 2, OUT * columns + 2, block)
    pad = padded_stage(source, extents, (0, 0, *shape.padding[:2], 0), zero)

    def half(n: Any, c: Any, y: Any, x: Any, i: Any, j: Any, b: Any) -> Any:
        patch = [pad[n, c, y * OUT + r, x * OUT + j, b].astype("int16") for r in range(PATCH)]
        return _pick(i, _input_rows(patch))

    input_half = te.compute((shape.batch, in_blocks, rows, columns, PATCH, PATCH, block), half, name="input_half")
    image = te.compute(
        (shape.batch, PATCH, PATCH, in_blocks, rows, columns, block),
        lambda n, i, j, c, y, x, b: _pick(j, _input_rows([input_half[n, c, y, x, i, s, b] for s in range(PATCH)])),
        name="image",
    )
    rc, rb = te.reduce_axis((0, in_blocks), "rc"), te.reduce_axis((0, block), "rb")
    product = te.compute(
        (shape.batch, blocks, PATCH, PATCH, rows, columns, block),
        lambda n, k, i, j, y, x, b: te.sum(
            image[n, i, j, rc, y, x, rb].astype("int32")
            * weights[floordiv(k, vectors), i * PATCH + j, rc, rb, floormod(k, vectors), b].astype("int32"),
            axis=[rc, rb],
        ),
        name="product",
    )
    return te.compute(
        (shape.batch, blocks, rows, columns, OUT, PATCH, block),
        lambda n, k, y, x, a, j, b: _pick(a, _output_rows([product[n, k, i, j, y, x, b] for i in range(PATCH)])),
        name="output_half",
    )


def _pick(index: Any, values: Sequence[Any]) -> Any:
    """Return values[index]; the loop over `index` is unrolled, so that one value remains."""
    chosen = values[-1]
    for at in reversed(range(len(values) - 1)):
        chosen = tirx.Select(index == at, values[at], chosen)
    return chosen


def _input_rows(d: Sequence[Any]) -> list[Any]:
    """Return B^T d, written so that equal subexpressions are equal trees."""
    two, four, five = (tirx.const(value, "int16") for value in (2, 4, 5))
    even4, odd4 = d[4] - four * d[2], d[3] - four * d[1]
    even1, odd1 = d[4] - d[2], two * (d[3] - d[1])
    return [
        four * d[0] - five * d[2] + d[4],
        even4 + odd4,
        even4 - odd4,
        even1 + odd1,
        even1 - odd1,
        four * d[1] - five * d[3] + d[5],
    ]


def _output_rows(m: Sequence[Any]) -> list[Any]:
    """Return A^T m."""
    two, four, eight, last = (tirx.const(value, "int32") for value in (2, 4, 8, LAST))
    sum1, difference1, sum2, difference2 = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [
        m[0] + sum1 + sum2,
        difference1 + two * difference2,
        sum1 + four * sum2,
        difference1 + eight * difference2 + last * m[5],
    ]
