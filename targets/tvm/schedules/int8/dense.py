"""Integer dense layer: a pointwise integer convolution whose pixels are the rows of a plain matrix."""

from __future__ import annotations

import math
from typing import Any

from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div
from edgec.targets.tvm.regions.facts import IntegerProduct
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import finish, floordiv, floormod, padded_stage
from edgec.targets.tvm.schedules.common.plain_expression import PlainExpression, fits_matrix, matrix_of, unravel
from edgec.targets.tvm.schedules.common.tiles import ConvTile
from edgec.targets.tvm.schedules.float.conv_plan import pack_bias
from edgec.targets.tvm.schedules.int8.conv_plan import dot_tile, pack_dot_weights, requantization
from edgec.targets.tvm.schedules.int8.dot_product import DEPTH, channels, pixels_of_step
from edgec.targets.tvm.schedules.int8.loops import vectorize_tile


def match(node: Node, _cpu: CpuModel) -> bool:
    """Whether `node` multiplies a plain matrix of bytes by constant integer weights."""
    return isinstance(node.facts, IntegerProduct) and not node.args[0].packed and math.prod(node.shape or (0,)) > 0


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of an integer dense region."""
    node, tail = region.anchor, region.tail
    left = node.args[0]
    assert node.shape is not None and tail.shape is not None
    (rows, columns), depth, tail_shape = matrix_of(node.shape), left.shape[-1], tail.shape
    block = block_of(columns, cpu)
    tile = dot_tile(ceil_div(columns, block), rows, cpu)
    # [N, K] as a 1x1 kernel is [tiles, K/4, vectors, block, 4] without the unit axes.
    layer = node.known(IntegerProduct)
    packed = pack_dot_weights(layer.weights[:, :, None, None], DEPTH, block, tile.vectors)[:, :, 0, 0, 0]
    factor, addend = (pack_bias(array, block) for array in requantization(layer))

    source = te.placeholder(left.shape, cpu.byte_type, name="source")
    constants = [
        te.placeholder(packed.shape, "int8", name="weights"),
        te.placeholder(factor.shape, name="factor"),
        te.placeholder(addend.shape, name="addend"),
    ]
    weights = constants[0]
    quads, padded_rows = int(packed.shape[1]), ceil_div(rows, tile.pixels) * tile.pixels
    zero = tirx.const(layer.scaling.zero_point, cpu.byte_type)
    stage = padded_stage(
        source,
        (quads, padded_rows, DEPTH),
        (0, 0, 0),
        zero,
        lambda q, m, i: _element(source, q * DEPTH + i, m, depth, zero),
        (quads, rows, DEPTH),
    )
    ro, ri = te.reduce_axis((0, quads), "ro"), te.reduce_axis((0, DEPTH), "ri")
    conv = te.compute(
        (int(packed.shape[0]) * tile.vectors, padded_rows, block),
        lambda n, m, b: te.sum(
            stage[ro, m, ri].astype("int32")
            * weights[floordiv(n, tile.vectors), ro, floormod(n, tile.vectors), b, ri].astype("int32"),
            axis=[ro, ri],
        ),
        name="conv",
    )
    expression = PlainExpression(region.members)

    def value(m: Any, n: Any) -> Any:
        group, lane = floordiv(n, block), floormod(n, block)
        product = conv[group, m, lane].astype("float32") * constants[1][group, lane] + constants[2][group, lane]
        return expression.at(tail, m, n, {id(node): lambda _row, _column: product})

    out = te.compute((rows, columns), value, name="out")
    sch = Schedule(te.create_prim_func([source, *constants, *expression.tensors, out]))
    loop = schedule(sch, tile, math.gcd(columns, block), cpu)
    sch.transform_layout(sch.get_sblock("out"), "out", lambda m, n: (*unravel(m, tail_shape), n))
    sch.tensorize(loop, channels(cpu, block, packed))
    operands = [Operand(left), Operand(packed), Operand(factor), Operand(addend), *expression.operands]
    detail = f"{tile.vectors}x{tile.pixels}"
    return Kernel(finish(sch), operands, tail_shape, detail=detail)


def _element(source: te.Tensor, k: Any, m: Any, depth: int, zero: Any) -> Any:
    shape = tuple(int(extent) for extent in source.shape)
    item = source[(*unravel(m, shape), k)]
    return item if depth % DEPTH == 0 else tirx.if_then_else(k < depth, item, zero)


def schedule(sch: Schedule, tile: ConvTile, store_lanes: int, cpu: CpuModel) -> Any:
    """Schedule tasks of (group of vectors, rows); the rows are packed beforehand. Return the loop to tensorize."""
    conv, out, pack = (sch.get_sblock(name) for name in ("conv", "out", "padded"))
    n, m, b, ro, ri = sch.get_loops(conv)
    step = pixels_of_step(cpu)
    no, ni = sch.split(n, [None, tile.vectors])
    mo, mi, mp = sch.split(m, [None, tile.pixels // step, step])
    sch.reorder(no, mo, ro, mi, ni, mp, b, ri)
    task = sch.fuse(no, mo)
    sch.parallel(task)
    sch.reverse_compute_at(out, task, preserve_unit_loops=True)
    row, column = sch.get_loops(out)[-2:]
    if store_lanes > 1:
        outer, lanes = sch.split(column, [None, store_lanes])
        sch.vectorize(lanes)
        for loop in (row, outer):
            sch.unroll(loop)
    for loop in (mi, ni):
        sch.unroll(loop)
    quad, rows, lane = sch.get_loops(pack)
    sch.reorder(rows, quad, lane)
    sch.vectorize(lane)
    vectorize_tile(sch, sch.decompose_reduction(conv, ro), 4)
    return mp if step > 1 else b


RULE = Rule("dense_int8", "plain", match, lower, fits=fits_matrix)
