"""Integer convolution on NEON with products of small matrices (SMMLA); tiles are those of `conv_int8`.

The stage `part` holds the sums as the instruction leaves them, which the stage `conv` brings into order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import te
from tvm.s_tir import Schedule

from edgec.targets.tvm.regions.expression import packed_shape
from edgec.targets.tvm.regions.graph import Array, Node
from edgec.targets.tvm.regions.grow import Region
from edgec.targets.tvm.schedules import conv_int8
from edgec.targets.tvm.schedules.conv import schedule_pad
from edgec.targets.tvm.schedules.conv_int8 import Epilogue, store_tile, vectorize_tile, with_rows
from edgec.targets.tvm.schedules.conv_int8_plan import int8_shape, plan
from edgec.targets.tvm.schedules.conv_plan import ConvPlan, ConvShape, window_weights
from edgec.targets.tvm.schedules.conv_widening import first_quad, padded_source, parallel_tasks
from edgec.targets.tvm.schedules.kernel import Kernel, Operand, find_block, finish, floordiv, floormod
from edgec.targets.tvm.schedules.matrix_product import PIXELS, QUADS, gather, products
from edgec.targets.tvm.schedules.tiles import ceil_div
from edgec.targets.tvm.target_model import TargetModel

QUAD, PAIR = 4, 2
UNROLLED_TILES = 72


def match(node: Node, model: TargetModel) -> bool:
    """Whether `node` is an integer convolution of a multiple of eight channels for a CPU of this kind."""
    if model.dot_product != "smmla" or not conv_int8.match(node):
        return False
    return ceil_div(int(node.facts["integers"].shape[1]), QUAD) % QUADS == 0


def pack_weights(weights: Array, vectors: int) -> Array:
    """Return int8 [K, C, R, S] as [K/(4 vectors), C/8, R, S, vectors, 4 (of K), 2, 4], zeros added."""
    out, cin, rows, columns = weights.shape
    tiles, depth = ceil_div(out, QUAD * vectors), ceil_div(cin, QUAD * QUADS)
    full = np.zeros((tiles * vectors * QUAD, depth * QUADS * QUAD, rows, columns), np.int8)
    full[:out, :cin] = weights
    split = full.reshape(tiles, vectors, PAIR, PAIR, depth, QUADS, QUAD, rows, columns)
    return np.ascontiguousarray(split.transpose(0, 4, 7, 8, 1, 2, 3, 5, 6))


def lower(region: Region, model: TargetModel) -> Kernel:
    """Return the kernel of an integer convolution region."""
    node = region.anchor
    shape = int8_shape(node)
    choice = plan(shape, model)
    vectors, weights = choice.tile.vectors, node.facts["integers"]
    if shape.groups > 1:
        weights = window_weights(weights, shape, vectors * QUAD).astype(np.int8)
    packed = pack_weights(weights, vectors)

    plain = (shape.batch, shape.cin, shape.height, shape.width)
    source = te.placeholder(packed_shape(plain, QUAD), model.byte_type, name="source")
    weight_tensor = te.placeholder(packed.shape, "int8", name="weights")
    part = _reduction(padded_source(source, shape, choice, node), weight_tensor, shape, choice)
    batch, blocks, height, pairs = (int(extent) for extent in part.shape[:4])
    conv = te.compute(
        (batch, blocks, height, pairs * PAIR, QUAD),
        lambda n, k, h, w, b: part[n, k, h, floordiv(w, PAIR), floordiv(b, PAIR), floormod(w, PAIR), floormod(b, PAIR)],
        name="conv",
    )
    epilogue = Epilogue(region, shape.out, model, flat=choice.flat)
    expression = epilogue.expression
    out = te.compute(
        packed_shape(expression.shape, QUAD, flat=choice.flat), lambda *i: epilogue.at(i, conv(*i)), name="out"
    )
    sch = Schedule(te.create_prim_func([source, weight_tensor, *epilogue.tensors, out]))
    whole = choice.columns == (shape.out_height if choice.flat else 1) * shape.out_width
    loops = schedule(sch, choice, model, whole=whole and (choice.flat or shape.out_width % PIXELS == 0))
    sch.tensorize(loops[0], products(shape.strides[1]))
    sch.tensorize(loops[1], gather())
    operands = [Operand(node.args[0], packed=True), Operand(packed), *epilogue.operands]
    detail = f"{vectors}x{choice.tile.pixels}{' flat' if choice.flat else ''}"
    function = finish(sch)
    if choice.flat:
        function = with_rows(function, [*expression.flat_names, "out"], shape)
    return Kernel(function, operands, expression.shape, packed=True, rule="conv_matrix", detail=detail)


def _reduction(source: te.Tensor, weights: te.Tensor, shape: ConvShape, choice: ConvPlan) -> te.Tensor:
    """Return the stage `part` [N, K/4, H, W/2, 2 (of K), 2 (of W), 2 (of K)]."""
    (sh, sw), (dh, dw), (rows, columns) = shape.strides, shape.dilation, shape.kernel
    tiles, depth, _, _, vectors, *_ = (int(extent) for extent in weights.shape)
    rc, q = te.reduce_axis((0, depth), "rc"), te.reduce_axis((0, QUADS), "q")
    r, s = te.reduce_axis((0, rows), "r"), te.reduce_axis((0, columns), "s")
    t = te.reduce_axis((0, QUAD), "t")
    height = 1 if choice.flat else shape.out_height

    def item(n: Any, k: Any, h: Any, w: Any) -> Any:
        return source[n, first_quad(k, vectors, shape) + rc * QUADS + q, h * sh + r * dh, w * sw + s * dw, t]

    return te.compute(
        (shape.batch, tiles * vectors, height, choice.columns // PAIR, PAIR, PAIR, PAIR),
        lambda n, k, h, x, g, p, o: te.sum(
            item(n, k, h, x * PAIR + p).astype("int32")
            * weights[floordiv(k, vectors), rc, r, s, floormod(k, vectors), g, o, q, t].astype("int32"),
            axis=[rc, r, s, q, t],
        ),
        name="part",
    )


def schedule(sch: Schedule, choice: ConvPlan, model: TargetModel, *, whole: bool) -> tuple[Any, Any]:
    """Apply the template to the stages dp (optional), part, conv and out; return the loops to tensorize."""
    part, conv, out = (sch.get_sblock(name) for name in ("part", "conv", "out"))
    pad = find_block(sch, "dp")
    n, k, h, x, g, p, o, rc, r, s, q, t = sch.get_loops(part)
    ko, ki = sch.split(k, [None, choice.tile.vectors])
    xo, xi, xp = sch.split(x, [None, choice.tile.pixels // PIXELS, PIXELS // PAIR])
    task, tiles = parallel_tasks(sch, choice, model, (n, ko, h, xo), (rc, r, s, ki, xi, xp, g, p, o, q, t))
    sch.reverse_compute_at(conv, tiles, preserve_unit_loops=True)
    sch.reverse_compute_at(out, tiles, preserve_unit_loops=True)
    store_tile(sch, out, PIXELS if whole else 1)
    few_taps = int(sch.get(s).extent) * choice.tile.vectors * choice.tile.pixels <= UNROLLED_TILES
    for loop in (ki, xi, *((s,) if few_taps else ())):
        sch.unroll(loop)
    if pad is not None:
        schedule_pad(sch, pad, task if choice.rows is not None else None)
    *unit, wide, _ = sch.get_loops(conv)[-5:]
    pairs, pair = sch.split(wide, [None, PAIR])
    for loop in (*unit, pairs):
        sch.unroll(loop)
    start = sch.decompose_reduction(part, rc)
    sch.fuse(*sch.get_loops(start)[-2:])
    vectorize_tile(sch, start, 6)
    return xp, pair
