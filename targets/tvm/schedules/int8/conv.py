"""Integer convolution: bytes in, bytes or floats out, int32 sums in registers.

Tile and loops are those of the float template (`conv`); the innermost loops are one dot-product instruction per vector.
Accumulators become reals by one multiply-add per channel; the region's elementwise work follows in floats and usually
ends with a quantization, all of it in registers.
"""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import ir, te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div, packed_shape
from edgec.targets.tvm.regions.facts import IntegerConvolution
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import find_block, finish, floordiv, floormod, padded_stage
from edgec.targets.tvm.schedules.common.tiles import reduction_step
from edgec.targets.tvm.schedules.float.conv_plan import (
    ConvPlan,
    ConvShape,
    conv_shape,
    first_group,
    group_span,
    window_weights,
)
from edgec.targets.tvm.schedules.float.loops import schedule_pad
from edgec.targets.tvm.schedules.int8.conv_plan import pack_dot_weights, plan_by_rule
from edgec.targets.tvm.schedules.int8.dot_product import DEPTH, channels, pixels_of_step
from edgec.targets.tvm.schedules.int8.epilogue import Epilogue
from edgec.targets.tvm.schedules.int8.loops import parallel_tasks, store_tile, unrolled_steps, vectorize_tile

UNROLLED_DOTS = 72
"""Maximum number of dot products in an unrolled loop body on NEON. Its cores are narrow: without unrolling, counter and
branch of the loop would be an eighth of the instructions."""


def match(node: Node, _cpu: CpuModel) -> bool:
    """Whether `node` is an integer convolution that is not depthwise."""
    return isinstance(node.facts, IntegerConvolution) and not node.facts.depthwise


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of an integer convolution region."""
    node = region.anchor
    shape = conv_shape(node)
    plan = plan_by_rule(shape, cpu)
    block = block_of(shape.out, cpu)
    weights = node.known(IntegerConvolution).weights
    if shape.groups > 1:
        weights = window_weights(weights, shape, plan.tile.vectors * block).astype("int8")
    step = reduction_step(ceil_div(shape.cin // shape.groups, DEPTH) * DEPTH, block_of(shape.cin, cpu))
    packed = pack_dot_weights(weights, step, block, plan.tile.vectors)

    plain = (shape.batch, shape.cin, shape.height, shape.width)
    source = te.placeholder(packed_shape(plain, block_of(shape.cin, cpu)), cpu.byte_type, name="source")
    weight_tensor = te.placeholder(packed.shape, "int8", name="weights")
    conv = _reduction(source, weight_tensor, shape, plan, step, node, cpu)
    epilogue = Epilogue(region, shape.out, cpu, flat=plan.flat)
    out = te.compute(
        packed_shape(epilogue.expression.shape, block, flat=plan.flat),
        lambda *i: epilogue.at(i, conv(*i)),
        name="out",
    )
    expression = epilogue.expression
    sch = Schedule(te.create_prim_func([source, weight_tensor, *epilogue.tensors, out]))
    whole = plan.columns == (shape.out_height if plan.flat else 1) * shape.out_width
    whole = whole and (plan.flat or shape.out_width % pixels_of_step(cpu) == 0)
    loop = schedule(sch, plan, cpu, whole=whole)
    sch.tensorize(loop, channels(cpu, block, packed, shape.strides[1]))
    operands = [Operand(node.args[0], packed=True), Operand(packed), *epilogue.operands]
    detail = f"{plan.tile.vectors}x{plan.tile.pixels}{' flat' if plan.flat else ''}"
    function = finish(sch)
    if plan.flat:
        function = with_rows(function, [*expression.flat_names, "out"], shape)
    return Kernel(function, operands, expression.shape, detail=detail)


def with_rows(function: Any, names: list[str], shape: ConvShape) -> Any:
    """Return `function`, whose parameters `names` are [N, C, 1, H*W, block], with their true shape [N, C, H, W, block].

    Indices stay as they are: row 0 continues beyond its end, as in the source. If rows and columns were computed from
    them, TVM would not see that stores of several pixels are contiguous.
    """
    replaced = {}
    for variable in function.params:
        if variable.name in names:
            n, c, _, _, block = variable.ty.shape
            extents = (n, c, shape.out_height, shape.out_width, block)
            replaced[variable] = tirx.decl_buffer(extents, variable.ty.dtype, name=variable.name)
    parameters = [replaced.get(variable, variable) for variable in function.params]
    body = tvm_ffi.structural_map(function.body, (ir.Var, lambda variable: replaced.get(variable, variable)))
    return tirx.PrimFunc(parameters, body, function.ret_type, function.attrs)


def _reduction(
    source: te.Tensor,
    weights: te.Tensor,
    shape: ConvShape,
    plan: ConvPlan,
    step: int,
    node: Node,
    cpu: CpuModel,
) -> te.Tensor:
    """Return the stage `conv`, with a stage `padded` in front where padding or the tile needs one."""
    (sh, sw), (dh, dw), (rows, columns) = shape.strides, shape.dilation, shape.kernel
    block, in_block = block_of(shape.out, cpu), block_of(shape.cin, cpu)
    vectors = plan.tile.vectors
    tiles, span = ceil_div(shape.out, vectors * block), group_span(shape, vectors * block)
    group_cin = shape.cin // shape.groups
    out_height = 1 if plan.flat else shape.out_height
    height = (out_height - 1) * sh + (rows - 1) * dh + 1
    # An instruction that gathers pixels by a shuffle also loads the bytes between and behind them.
    width = (plan.columns - 1) * sw + (columns - 1) * dw + 1 + (sw - 1) * (pixels_of_step(cpu) > 1)
    # If rows are fused into one, row 0 continues beyond its end: the address is that of the intended pixel.
    pixels = (1, shape.height * shape.width) if plan.flat else (shape.height, shape.width)
    if any(p > 0 for p in shape.padding) or width > pixels[1] or height > pixels[0]:
        lead = [int(extent) for extent in source.shape[:2]]
        filling = tirx.const(node.known(IntegerConvolution).scaling.zero_point, cpu.byte_type)
        before = (0, 0, *shape.padding[:2], 0)
        given = (*lead, *pixels, in_block)
        source = padded_stage(source, (*lead, height, width, in_block), before, filling, extents=given)
    rc = te.reduce_axis((0, int(weights.shape[1])), "rc")
    r, s = te.reduce_axis((0, rows), "r"), te.reduce_axis((0, columns), "s")
    ro, ri = te.reduce_axis((0, step // DEPTH), "ro"), te.reduce_axis((0, DEPTH), "ri")

    def read(n: Any, k: Any, h: Any, w: Any) -> Any:
        if shape.groups == 1 and step == in_block:
            return source[n, rc, h, w, ro * DEPTH + ri]
        quad = rc * (step // DEPTH) + ro
        if shape.groups > 1:
            first = first_group(floordiv(k, vectors), vectors * block, span, shape)
            quad = first * (group_cin // DEPTH) + quad
        quads = in_block // DEPTH
        return source[n, floordiv(quad, quads), h, w, floormod(quad, quads) * DEPTH + ri]

    return te.compute(
        (shape.batch, tiles * vectors, out_height, plan.columns, block),
        lambda n, k, h, w, b: te.sum(
            read(n, k, h * sh + r * dh, w * sw + s * dw).astype("int32")
            * weights[floordiv(k, vectors), rc, r, s, ro, floormod(k, vectors), b, ri].astype("int32"),
            axis=[rc, r, s, ro, ri],
        ),
        name="conv",
    )


def schedule(sch: Schedule, plan: ConvPlan, cpu: CpuModel, *, whole: bool) -> Any:
    """Apply the template to the stages padded (optional), conv and out; return the loop to tensorize.

    `whole`: tiles cover rows without remainder.
    """
    conv, out, pad = sch.get_sblock("conv"), sch.get_sblock("out"), find_block(sch, "padded")
    n, k, h, w, b, rc, r, s, ro, ri = sch.get_loops(conv)
    ko, ki = sch.split(k, [None, plan.tile.vectors])
    step = pixels_of_step(cpu)
    wo, wi, wp = sch.split(w, [None, plan.tile.pixels // step, step])
    dots = plan.tile.vectors * plan.tile.pixels
    steps = unrolled_steps(sch, (rc, r, s, ro), dots, UNROLLED_DOTS) if cpu.isa == "neon" else 1
    rc, near = sch.split(rc, [None, steps])
    task, wo = parallel_tasks(sch, plan, cpu, (n, ko, h, wo), (rc, near, r, s, ro, wi, ki, wp, b, ri))
    sch.reverse_compute_at(out, wo, preserve_unit_loops=True)
    store_tile(sch, out, step if whole else 1)
    few_taps = cpu.isa == "neon" and int(sch.get(s).extent) * dots <= UNROLLED_DOTS
    for loop in (wi, ki, near, *((s,) if few_taps else ())):
        sch.unroll(loop)
    if pad is not None:
        schedule_pad(sch, pad, task if plan.rows is not None else None)
    vectorize_tile(sch, sch.decompose_reduction(conv, rc), 4)
    return wp if step > 1 else b


RULE = Rule("conv_int8", "packed", match, lower)
