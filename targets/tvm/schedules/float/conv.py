"""Convolution: any kernel, stride, dilation, padding and group count, by one register-tiled template.

A tile of pixels x vectors of output channels stays in registers over the whole reduction. The reduction is scheduled
first, and the epilogue is moved behind it (`reverse_compute_at`): if the tile does not divide the row, the store gets
the predicate and the multiply-adds get none. Moving the reduction into a split epilogue instead would give its region a
variable extent, which prevents unrolling and the use of registers.
"""

from __future__ import annotations

from typing import Any

from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div, packed_shape
from edgec.targets.tvm.regions.facts import Convolution
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule, Tuning
from edgec.targets.tvm.schedules.common.kernel import F32, find_block, finish, floordiv, floormod, padded_stage, widened
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.common.rewrite import START
from edgec.targets.tvm.schedules.common.tiles import loads_fit, reduction_step
from edgec.targets.tvm.schedules.float.conv_plan import (
    ConvPlan,
    ConvShape,
    conv_plans,
    conv_shape,
    conv_workload,
    first_group,
    group_span,
    pack_bias,
    pack_weights,
    plan_by_rule,
    window_weights,
)
from edgec.targets.tvm.schedules.float.grouped import skip_foreign_groups
from edgec.targets.tvm.schedules.float.loops import chunks_of, load_vectors, schedule_pad, unflatten
from edgec.targets.tvm.schedules.float.padding import skip_padding

CACHED_SOURCE = "source_global"
"""TVM's name of the block that `cache_read` creates for the stage `source`."""


def match(node: Node, _cpu: CpuModel) -> bool:
    """Whether `node` is a convolution with constant weights that is not depthwise."""
    return isinstance(node.facts, Convolution)


def lower(region: Region, cpu: CpuModel, plan: ConvPlan | None = None) -> Kernel:
    """Return the kernel of a convolution region, tiled by `plan`, by default the rule's."""
    node = region.anchor
    shape = conv_shape(node)
    plan = plan or plan_by_rule(shape, cpu)
    block = block_of(shape.out, cpu)
    layer = node.known(Convolution)
    weights = window_weights(layer.weights, shape, plan.tile.vectors * block)
    step = reduction_step(shape.cin // shape.groups, block_of(shape.cin, cpu))
    packed = pack_weights(weights, step, block, plan.tile.vectors).astype(cpu.storage)
    bias = pack_bias(layer.bias, block, plan.tile.vectors)

    source = _source_tensor(shape, plan, cpu)
    weight_tensor = te.placeholder(packed.shape, cpu.storage, name="weights")
    bias_tensor = te.placeholder(bias.shape, name="bias")
    conv = _reduction(source, weight_tensor, shape, plan, step, cpu)
    expression = PackedExpression(region.members, cpu, flat=plan.flat)
    out = te.compute(
        packed_shape(expression.shape, block, flat=plan.flat),
        lambda *i: expression.at(i, widened(conv(*i))),
        name="out",
    )
    function = te.create_prim_func([source, weight_tensor, bias_tensor, *expression.tensors, out])
    by_vectors, channels = shape.packed_input and step % cpu.lanes == 0, plan.tile.vectors * block
    span = group_span(shape, channels)
    sch = schedule(Schedule(function), plan, cpu, vector_loads=by_vectors, span=span, ahead=shape.sparse)
    if plan.flat:
        reader = "conv_update" if find_block(sch, CACHED_SOURCE) is None else CACHED_SOURCE
        unflatten(sch, shape.out_width, ["source"], reader)
        unflatten(sch, shape.out_width, [*expression.flat_names, "out"], "out")
    operands = [Operand(node.args[0], packed=shape.packed_input), Operand(packed), Operand(bias), *expression.operands]
    detail = f"{shape}: {plan.tile.vectors}x{plan.tile.pixels}{' flat' if plan.flat else ''}"
    function = skip_foreign_groups(finish(sch), shape, plan.tile.vectors, channels)
    function = skip_padding(function, shape, plan.tile.pixels) if shape.sparse else function
    return Kernel(function, operands, expression.shape, detail=detail)


def plans(node: Node, cpu: CpuModel) -> list[ConvPlan]:
    """Return the tilings of a convolution, the default first."""
    shape = conv_shape(node)
    return [plan_by_rule(shape, cpu), *conv_plans(shape, cpu)]


def _source_tensor(shape: ConvShape, plan: ConvPlan, cpu: CpuModel) -> te.Tensor:
    plain = (shape.batch, shape.cin, shape.height, shape.width)
    if not shape.packed_input:
        return te.placeholder(plain, name="source")
    extents = packed_shape(plain, block_of(shape.cin, cpu), flat=plan.flat)
    return te.placeholder(extents, cpu.storage, name="source")


def _reduction(
    source: te.Tensor, weights: te.Tensor, shape: ConvShape, plan: ConvPlan, step: int, cpu: CpuModel
) -> te.Tensor:
    """Return the stage `conv`, with a stage `padded` in front where padding or the tile needs one."""
    (sh, sw), (dh, dw), (rows, columns) = shape.strides, shape.dilation, shape.kernel
    block, in_block = block_of(shape.out, cpu), block_of(shape.cin, cpu)
    vectors = plan.tile.vectors
    tiles = ceil_div(shape.out, vectors * block)
    span = group_span(shape, vectors * block)
    group_cin = shape.cin // shape.groups
    if not plan.flat:
        # If padding is tested tap by tap, the stage needs no rows of padding.
        height = shape.height if shape.sparse else (shape.out_height - 1) * sh + (rows - 1) * dh + 1
        width = (plan.columns - 1) * sw + (columns - 1) * dw + 1
        padded = shape.padding[1::2] if shape.sparse else shape.padding
        grows = any(p > 0 for p in padded) or width > shape.width or height > shape.height
        if grows or str(source.dtype) != cpu.arithmetic:
            source = _pad(source, shape, max(height, 1), width, cpu)

    def row(h: Any, r: Any) -> Any:
        at = h * sh + r * dh
        return tirx.max(tirx.min(at - shape.padding[0], shape.height - 1), 0) if shape.sparse else at

    rc, rb = te.reduce_axis((0, span * group_cin // step), "rc"), te.reduce_axis((0, step), "rb")
    r, s = te.reduce_axis((0, rows), "r"), te.reduce_axis((0, columns), "s")

    def read(n: Any, k: Any, h: Any, w: Any) -> Any:
        channel = rc * step + rb
        if shape.groups > 1:
            channel = first_group(floordiv(k, vectors), vectors * block, span, shape) * group_cin + channel
        if not shape.packed_input:
            return source[n, channel, h, w]
        if shape.groups == 1 and step == in_block:
            return source[n, rc, h, w, rb]
        return source[n, floordiv(channel, in_block), h, w, floormod(channel, in_block)]

    return te.compute(
        (shape.batch, tiles * vectors, 1 if plan.flat else shape.out_height, plan.columns, block),
        lambda n, k, h, w, b: te.sum(
            read(n, k, row(h, r), w * sw + s * dw)
            * weights[floordiv(k, vectors), rc, r, s, rb, floormod(k, vectors), b].astype(cpu.arithmetic),
            axis=[rc, r, s, rb],
        ),
        name="conv",
    )


def _pad(source: te.Tensor, shape: ConvShape, height: int, width: int, cpu: CpuModel) -> te.Tensor:
    """Return `source` padded to `height` x `width`, in the type in which it is multiplied."""
    top, left = 0 if shape.sparse else shape.padding[0], shape.padding[1]
    lead, lanes = source.shape[:2], source.shape[4:]
    extents, before = (*lead, height, width, *lanes), (0, 0, top, left, *(0 for _ in lanes))

    def read(*index: Any) -> Any:
        return source(*index).astype(cpu.arithmetic)

    return padded_stage(source, [int(extent) for extent in extents], before, 0.0, read, source.shape)


def schedule(
    sch: Schedule, plan: ConvPlan, cpu: CpuModel, *, vector_loads: bool, span: int, ahead: bool = False
) -> Schedule:
    """Apply the template to the stages padded (optional), conv and out.

    Args:
        sch: The schedule.
        plan: Tiles.
        cpu: The CPU.
        vector_loads: Whether the input tile may be copied by vectors.
        span: Groups in a tile's window.
        ahead: Whether `padded` is computed as a whole beforehand, rather than by each task for itself.
    """
    conv, out, pad = sch.get_sblock("conv"), sch.get_sblock("out"), find_block(sch, "padded")
    n, k, h, w, b, rc, r, s, rb = sch.get_loops(conv)
    reduction = [*(sch.split(rc, [span, None]) if span > 1 else [rc]), r, s, rb]
    ko, ki = sch.split(k, [None, plan.tile.vectors])
    wo, wi = sch.split(w, [None, plan.tile.pixels])
    if plan.flat and plan.rows is not None:
        wc, wo = sch.split(wo, [None, plan.rows])
        sch.reorder(n, wc, ko, h, wo, *reduction, wi, ki, b)
        task = sch.fuse(n, wc)
    elif plan.flat:
        chunks = chunks_of(sch, n, ko, wo, cpu)
        wc, wo = sch.split(wo, [chunks, None])
        sch.reorder(n, ko, wc, h, wo, *reduction, wi, ki, b)
        task = sch.fuse(n, ko, wc)
    elif plan.rows is not None:
        ho, hi = sch.split(h, [None, plan.rows])
        sch.reorder(n, ho, ko, hi, wo, *reduction, wi, ki, b)
        task = sch.fuse(n, ho)
    else:
        # The weights of one tile of channels stay in the cache over the rows.
        sch.reorder(n, ko, h, wo, *reduction, wi, ki, b)
        task = sch.fuse(n, ko, h)
    sch.parallel(task)
    sch.reverse_compute_at(out, wo, preserve_unit_loops=True)
    *inner, lane = sch.get_loops(out)[-5:]
    sch.vectorize(lane)
    for loop in (*inner, wi, ki):
        sch.unroll(loop)
    # Pixels outside, vectors inside: each broadcast is used by its vectors at once; the other order keeps all alive
    # and spills (55 % of peak instead of 103 %).
    sch.vectorize(b)
    if pad is not None:
        schedule_pad(sch, pad, None if ahead or plan.rows is None else task)
    if cpu.multiplies_by_lane and vector_loads:
        # Not for windows: LLVM unrolls their taps and, with four registers per load, spills.
        merged = plan.flat and cpu.storage == F32 and loads_fit(plan.tile, cpu)
        load_vectors(sch, conv, s, rb, merged=merged)
    sch.annotate(sch.decompose_reduction(conv, reduction[0]), START, "bias")
    return sch


RULE = Rule("conv", "packed", match, lower, tuning=Tuning(conv_workload, plans, lower))
