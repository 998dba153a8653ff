"""Integer convolution on NEON without a dot product; tiles and loops are those of `conv_int8`.

The sums of an output pixel and channel are kept in two halves (`part`), which the stage `conv` adds up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div, packed_shape
from edgec.targets.tvm.regions.facts import Array, IntegerConvolution
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import find_block, finish, floordiv, floormod, padded_stage
from edgec.targets.tvm.schedules.common.tiles import ConvTile, cheapest
from edgec.targets.tvm.schedules.float.conv_plan import (
    ConvPlan,
    ConvShape,
    conv_shape,
    first_group,
    group_span,
    rows_of_task,
    window_weights,
)
from edgec.targets.tvm.schedules.float.loops import schedule_pad
from edgec.targets.tvm.schedules.int8 import conv as conv_int8
from edgec.targets.tvm.schedules.int8.conv import with_rows
from edgec.targets.tvm.schedules.int8.epilogue import Epilogue
from edgec.targets.tvm.schedules.int8.loops import parallel_tasks, store_tile, unrolled_steps, vectorize_tile
from edgec.targets.tvm.schedules.int8.widening_product import HALVES, LEAST_WEIGHT, PIXELS, QUAD, gather, products

MAX_TILE_VECTORS = 4
"""Maximum size of a tile; with more, LLVM copies registers: 106 instructions for 5x2 instead of 73."""
UNROLLED_SUMS = 32
"""Sums of four channels, each of six or eight products, in an unrolled loop body."""


def match(node: Node, cpu: CpuModel) -> bool:
    """Whether `node` is an integer convolution for a CPU of this kind."""
    return cpu.isa == "neon" and cpu.dot_product == "none" and conv_int8.match(node, cpu)


def widening_cost(vectors: int, pixels: int) -> float:
    """Return a tile's instructions per multiply-accumulate, for eight input channels."""
    products, loads, spreads = 6 * vectors * pixels, vectors + pixels, 2 * pixels
    return (products + loads + spreads) / (32 * vectors * pixels)


def plan_by_rule(shape: ConvShape, cpu: CpuModel) -> ConvPlan:
    """Return the tiles for a convolution of `shape`: few pixels, because their bytes are spread, and many channels."""
    blocks = ceil_div(shape.out, QUAD)
    width = shape.out_height * shape.out_width if shape.pointwise else shape.out_width
    tiles = [
        ConvTile(vectors, pixels)
        for vectors in range(1, min(blocks, MAX_TILE_VECTORS) + 1)
        for pixels in range(PIXELS, ceil_div(width, PIXELS) * PIXELS + 1, PIXELS)
        if vectors * pixels <= MAX_TILE_VECTORS * PIXELS
    ]

    def cost(tile: ConvTile) -> float:
        return widening_cost(tile.vectors, tile.pixels) * group_span(shape, tile.vectors * QUAD)

    tile = cheapest(tiles, blocks, width, cost) or ConvTile(1, PIXELS)
    columns = ceil_div(width, tile.pixels) * tile.pixels
    if shape.pointwise:
        return ConvPlan(tile, flat=True, columns=columns, rows=None)
    return ConvPlan(tile, flat=False, columns=columns, rows=rows_of_task(shape, 1, cpu))


def pack_weights(weights: Array, quads: int, vectors: int) -> Array:
    """Return int8 [K, C, R, S] as [K/(4 vectors), C/(4 quads), R, S, vectors, 2, quads, 2 (of K), 4], zero-padded."""
    out, cin, rows, columns = weights.shape
    tiles, depth = ceil_div(out, QUAD * vectors), ceil_div(cin, QUAD * quads)
    full = np.zeros((tiles * vectors * QUAD, depth * quads * QUAD, rows, columns), np.int8)
    full[:out, :cin] = weights
    split = full.reshape(tiles, vectors, 2, 2, depth, quads, QUAD, rows, columns)
    return np.ascontiguousarray(split.transpose(0, 4, 7, 8, 1, 2, 5, 3, 6))


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of an integer convolution region."""
    node = region.anchor
    shape = conv_shape(node)
    plan = plan_by_rule(shape, cpu)
    weights = node.known(IntegerConvolution).weights
    even = ceil_div(shape.cin // shape.groups, QUAD) % 2 == 0
    quads = 2 if even and weights.min(initial=0) >= LEAST_WEIGHT else 1
    if shape.groups > 1:
        weights = window_weights(weights, shape, plan.tile.vectors * QUAD).astype(np.int8)
    packed = pack_weights(weights, quads, plan.tile.vectors)

    plain = (shape.batch, shape.cin, shape.height, shape.width)
    source = te.placeholder(packed_shape(plain, QUAD), cpu.byte_type, name="source")
    weight_tensor = te.placeholder(packed.shape, "int8", name="weights")
    part = _reduction(source, weight_tensor, shape, plan, node)
    j = te.reduce_axis((0, HALVES), "j")
    conv = te.compute(part.shape[:-1], lambda n, k, h, w, b: te.sum(part[n, k, h, w, b, j], axis=j), name="conv")
    epilogue = Epilogue(region, shape.out, cpu, flat=plan.flat)
    expression = epilogue.expression
    out = te.compute(
        packed_shape(expression.shape, block_of(shape.out, cpu), flat=plan.flat),
        lambda *i: epilogue.at(i, conv(*i)),
        name="out",
    )
    sch = Schedule(te.create_prim_func([source, weight_tensor, *epilogue.tensors, out]))
    whole = plan.columns == (shape.out_height if plan.flat else 1) * shape.out_width
    loops = schedule(sch, plan, cpu, whole=whole and (plan.flat or shape.out_width % plan.tile.pixels == 0))
    sch.tensorize(loops[0], products(quads, shape.strides[1]))
    sch.tensorize(loops[1], gather())
    operands = [Operand(node.args[0], packed=True), Operand(packed), *epilogue.operands]
    detail = f"{plan.tile.vectors}x{plan.tile.pixels}{' flat' if plan.flat else ''}"
    function = finish(sch)
    if plan.flat:
        function = with_rows(function, [*expression.flat_names, "out"], shape)
    return Kernel(function, operands, expression.shape, detail=detail)


def padded_source(source: te.Tensor, shape: ConvShape, plan: ConvPlan, node: Node) -> te.Tensor:
    """Return `source`, or, if padding or the tile need one, a stage `padded` that is wide enough for vector loads."""
    (sh, sw), (dh, dw), (rows, columns) = shape.strides, shape.dilation, shape.kernel
    height = ((1 if plan.flat else shape.out_height) - 1) * sh + (rows - 1) * dh + 1
    width = (plan.columns - 1) * sw + (columns - 1) * dw + sw
    # If rows are fused into one, row 0 continues beyond its end: the address is that of the intended pixel.
    pixels = (1, shape.height * shape.width) if plan.flat else (shape.height, shape.width)
    if not any(p > 0 for p in shape.padding) and width <= pixels[1] and height <= pixels[0]:
        return source
    lead = [int(extent) for extent in source.shape[:2]]
    zero = tirx.const(node.known(IntegerConvolution).scaling.zero_point, "int8")
    before = (0, 0, *shape.padding[:2], 0)
    return padded_stage(source, (*lead, height, width, QUAD), before, zero, extents=(*lead, *pixels, QUAD))


def first_quad(k: Any, vectors: int, shape: ConvShape) -> Any:
    """Return the first group of four input channels that output vector `k`, in a tile of `vectors`, reads."""
    if shape.groups == 1:
        return 0
    span = group_span(shape, vectors * QUAD)
    group_quads = ceil_div(shape.cin // shape.groups, QUAD)
    return first_group(floordiv(k, vectors), vectors * QUAD, span, shape) * group_quads


def _reduction(source: te.Tensor, weights: te.Tensor, shape: ConvShape, plan: ConvPlan, node: Node) -> te.Tensor:
    """Return the stage `part` [N, K/4, H, W, 4, 2]."""
    (sh, sw), (dh, dw), (rows, columns) = shape.strides, shape.dilation, shape.kernel
    tiles, depth, _, _, vectors, _, quads, *_ = (int(extent) for extent in weights.shape)
    source = padded_source(source, shape, plan, node)
    rc, q = te.reduce_axis((0, depth), "rc"), te.reduce_axis((0, quads), "q")
    r, s = te.reduce_axis((0, rows), "r"), te.reduce_axis((0, columns), "s")
    t = te.reduce_axis((0, HALVES), "t")

    return te.compute(
        (shape.batch, tiles * vectors, 1 if plan.flat else shape.out_height, plan.columns, QUAD, HALVES),
        lambda n, k, h, w, b, j: te.sum(
            source[
                n, first_quad(k, vectors, shape) + rc * quads + q, h * sh + r * dh, w * sw + s * dw, j * HALVES + t
            ].astype("int32")
            * weights[
                floordiv(k, vectors), rc, r, s, floormod(k, vectors), floordiv(b, 2), q, floormod(b, 2), j * HALVES + t
            ].astype("int32"),
            axis=[rc, r, s, q, t],
        ),
        name="part",
    )


def schedule(sch: Schedule, plan: ConvPlan, cpu: CpuModel, *, whole: bool) -> tuple[Any, Any]:
    """Apply the template to the stages padded (optional), part, conv and out; return the loops to tensorize."""
    part, conv, out = (sch.get_sblock(name) for name in ("part", "conv", "out"))
    pad = find_block(sch, "padded")
    n, k, h, w, b, j, rc, r, s, q, t = sch.get_loops(part)
    ko, ki = sch.split(k, [None, plan.tile.vectors])
    wo, wi, wp = sch.split(w, [None, plan.tile.pixels // PIXELS, PIXELS])
    sums = plan.tile.vectors * plan.tile.pixels
    rc, near = sch.split(rc, [None, unrolled_steps(sch, (rc, r, s), sums, UNROLLED_SUMS)])
    inner = (rc, near, r, s, ki, wi, wp, b, j, q, t)
    task, wo = parallel_tasks(sch, plan, cpu, (n, ko, h, wo), inner)
    sch.reverse_compute_at(conv, wo, preserve_unit_loops=True)
    sch.reverse_compute_at(out, wo, preserve_unit_loops=True)
    store_tile(sch, out, plan.tile.pixels if whole else 1)
    lane = sch.get_loops(conv)[-2]
    few_taps = int(sch.get(s).extent) * sums <= UNROLLED_SUMS
    for loop in (ki, wi, near, *((s,) if few_taps else ()), *sch.get_loops(conv)[-6:-2]):
        sch.unroll(loop)
    if pad is not None:
        schedule_pad(sch, pad, task if plan.rows is not None else None)
    vectorize_tile(sch, sch.decompose_reduction(conv, lane), 5)
    start = sch.decompose_reduction(part, rc)
    sch.fuse(*sch.get_loops(start)[-2:])
    vectorize_tile(sch, start, 4)
    return wp, sch.get_loops(conv)[-2]


RULE = Rule("conv_widening", "packed", match, lower)
