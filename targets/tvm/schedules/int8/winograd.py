"""Winograd convolution F(4x4, 3x3) of bytes, exact: 36 int16 products instead of 144 byte products per tile.

For CPUs without a dot product of bytes. The transforms of `winograd`, in integers: filters are transformed by G times
24 (its last row by 6 only, so that they fit int16), inputs by B, which makes them at most 100 times as large. Sums may
wrap around in between (unsigned ones, for which that is defined): only the final one, 576 times the convolution's sum,
matters. Nine has an inverse modulo 2**32, so that 64 times the sum remains, which fits (`match` checks the weights).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div, packed_shape
from edgec.targets.tvm.regions.facts import IntegerConvolution
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import finish
from edgec.targets.tvm.schedules.common.tiles import MAX_VECTORS, divisors
from edgec.targets.tvm.schedules.float.conv_plan import ConvShape, conv_shape
from edgec.targets.tvm.schedules.float.winograd_plan import OUT, TASK_ROWS, WinogradPlan, winograd_cycles
from edgec.targets.tvm.schedules.float.winograd_stages import Arithmetic, schedule, transform_weights, whole_tiles
from edgec.targets.tvm.schedules.int8.epilogue import Epilogue

G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]])
SCALE, INVERSE_OF_NINE = 64, 954437177
INTEGERS = Arithmetic(G, "int16", "uint32", last=4, factor=INVERSE_OF_NINE)
LARGEST_SUM = 2**31 // (SCALE * 128)
"""Maximum sum of absolute weights of one filter: above it, 64 times a sum of products may not fit int32."""
LEAST_PIXELS = 400
"""Minimum number of pixels per output channel: transformed filters have eight times the size, which must pay."""
LEAST_CHANNELS = 12
REGISTERS, MAX_TILES = 30, 7
"""Limits of a register tile: registers of sums, inputs and weights (two), and 4x4 tiles, each with half a register of
input: larger ones spill."""


def match(node: Node, cpu: CpuModel) -> bool:
    """Return whether `node` is an integer convolution that takes fewer instructions by this method on `cpu`."""
    layer = node.facts
    if cpu.isa != "neon" or cpu.dot_product != "none" or not isinstance(layer, IntegerConvolution) or layer.groups > 1:
        return False
    weights = layer.weights
    square = weights.shape[2:] == (3, 3) and layer.strides == (1, 1) and layer.dilation == (1, 1)
    out, cin = weights.shape[:2]
    if not square or cin % cpu.lanes or min(out, cin) < LEAST_CHANNELS:
        return False
    shape = conv_shape(node)
    sums = np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3))
    return shape.out_height * shape.out_width >= LEAST_PIXELS and int(sums.max()) < LARGEST_SUM


@cache
def plan_by_rule(shape: ConvShape, cpu: CpuModel) -> WinogradPlan:
    """Return the tiling with the lowest estimate; register tiles are smaller than those of floats."""
    rows, columns = ceil_div(shape.out_height, OUT), ceil_div(shape.out_width, OUT)
    candidates = []
    for task_rows in sorted({rows, *(count for count in TASK_ROWS if count < rows)}):
        for vectors, high, wide in _register_tiles(ceil_div(shape.out, block_of(shape.out, cpu)), task_rows, columns):
            padded = ceil_div(rows, task_rows) * task_rows, ceil_div(columns, wide) * wide
            tiling = (*padded, task_rows, padded[1], vectors, high, wide)
            ways = (False, True) if task_rows == rows else (False,)
            candidates += [WinogradPlan(*tiling, by_channels=by_channels) for by_channels in ways]
    return min(candidates, key=lambda candidate: winograd_cycles(shape, candidate, cpu))


def _register_tiles(blocks: int, rows: int, columns: int) -> Iterator[tuple[int, int, int]]:
    """Yield (vectors, high, wide) that fit the registers, with several rows only if a tile covers whole rows."""
    for vectors in (count for count in divisors(blocks) if count <= MAX_VECTORS):
        most = min(MAX_TILES, (REGISTERS - 2) // (vectors + 1))
        for wide in {ceil_div(columns, parts) for parts in range(1, columns + 1)}:
            heights = divisors(rows) if wide == columns else (1,)
            yield from ((vectors, high, wide) for high in heights if high * wide <= most)


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of an integer convolution region computed by Winograd's method."""
    node = region.anchor
    shape = conv_shape(node)
    plan = plan_by_rule(shape, cpu)
    block = block_of(shape.out, cpu)
    transformed = transform_weights(node.known(IntegerConvolution).weights, INTEGERS, block, block, plan.vectors)
    source = te.placeholder(packed_shape(node.args[0].shape, block), cpu.byte_type, name="source")
    weights = te.placeholder(transformed.shape, INTEGERS.stored, name="weights")
    zero = tirx.const(node.known(IntegerConvolution).scaling.zero_point, cpu.byte_type)
    full = whole_tiles(source, weights, shape.padding, zero, plan, INTEGERS)
    epilogue = Epilogue(region, shape.out, cpu, steps=SCALE)
    expression = epilogue.expression
    shape_out = packed_shape(expression.shape, block)
    out = te.compute(shape_out, lambda *i: epilogue.at(i, full(*i).astype("int32")), name="out")
    tensors = [source, weights, *epilogue.tensors, out]
    sch = schedule(Schedule(te.create_prim_func(tensors)), plan, by_lane=True)
    operands = [Operand(node.args[0], packed=True), Operand(transformed), *epilogue.operands]
    detail = f"{shape}: {plan}"
    return Kernel(finish(sch), operands, expression.shape, detail=detail)


RULE = Rule("winograd_int8", "packed", match, lower)
