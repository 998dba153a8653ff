"""Integer convolution: bytes in, bytes or floats out, int32 sums in registers.

Tile and loops are those of the float template (`conv`); the innermost loops are one dot-product instruction a vector.
Accumulators become reals by one multiply-add a channel; the region's elementwise work follows in floats and ends, as a
rule, in a quantization, all of it in registers.
"""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import ir, te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div, packed_shape
from edgec.targets.tvm.regions.facts import IntegerConvolution, Scaling
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.operators import QUANTIZE
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import find_block, finish, floordiv, floormod, padded_stage
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.common.requantize import quantize
from edgec.targets.tvm.schedules.common.tiles import divisors, reduction_step
from edgec.targets.tvm.schedules.float.conv import chunks_of, schedule_pad
from edgec.targets.tvm.schedules.float.conv_plan import (
    ConvPlan,
    ConvShape,
    conv_shape,
    first_group,
    group_span,
    pack_bias,
    window_weights,
)
from edgec.targets.tvm.schedules.int8.conv_plan import (
    pack_dot_weights,
    plan_by_rule,
    requantization,
)
from edgec.targets.tvm.schedules.int8.dot_product import DEPTH, channels, pixels_of_step

UNROLLED_DOTS = 72
"""Dot products of an unrolled loop body on NEON, whose cores are narrow: counter and branch are one of eight else."""


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
    return Kernel(function, operands, expression.shape, packed=True, rule="conv_int8", detail=detail)


def with_rows(function: Any, names: list[str], shape: ConvShape) -> Any:
    """Return `function`, whose parameters `names` are [N, C, 1, H*W, block], with their true shape [N, C, H, W, block].

    Indices stay: row 0 goes on beyond its end, as in the source. With rows and columns computed from them instead,
    stores of several pixels are not seen to be contiguous.
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


class Epilogue:
    """What follows the sum: factor and addend a channel, then the region's elementwise work.

    Where a quantization follows at once, its scale is in the factor already.
    """

    def __init__(self, region: Region, channels: int, cpu: CpuModel, *, flat: bool = False, steps: int = 1) -> None:
        tail = region.tail
        factor, addend = requantization(region.anchor.known(IntegerConvolution))
        factor = factor / steps
        self._direct = tail.known(Scaling) if len(region.members) == 2 and tail.op == QUANTIZE else None
        if self._direct is not None:
            factor, addend = factor / self._direct.scale, addend / self._direct.scale
        self._dtype = tail.dtype
        block = block_of(channels, cpu)
        self.expression = PackedExpression(region.members, cpu, flat=flat)
        arrays = [pack_bias(factor, block), pack_bias(addend, block)]
        self._factor = te.placeholder(arrays[0].shape, name="factor")
        self._addend = te.placeholder(arrays[1].shape, name="addend")
        self._arrays = [Operand(array) for array in arrays]

    def at(self, index: tuple[Any, ...], accumulator: Any) -> Any:
        """Return the region's value at packed `index`."""
        k, b = index[1], index[4]
        value = accumulator.astype("float32") * self._factor[k, b] + self._addend[k, b]
        if self._direct is not None:
            return quantize(value, 1.0, self._direct.zero_point, self._dtype)
        return self.expression.at(index, value)

    @property
    def tensors(self) -> list[te.Tensor]:
        """Placeholders, once `at` was called."""
        return [self._factor, self._addend, *self.expression.tensors]

    @property
    def operands(self) -> list[Operand]:
        """What the placeholders stand for."""
        return [*self._arrays, *self.expression.operands]


def _reduction(
    source: te.Tensor,
    weights: te.Tensor,
    shape: ConvShape,
    plan: ConvPlan,
    step: int,
    node: Node,
    cpu: CpuModel,
) -> te.Tensor:
    """Return the stage `conv`, with a stage `dp` in front where padding or the tile needs one."""
    (sh, sw), (dh, dw), (rows, columns) = shape.strides, shape.dilation, shape.kernel
    block, in_block = block_of(shape.out, cpu), block_of(shape.cin, cpu)
    vectors = plan.tile.vectors
    tiles, span = ceil_div(shape.out, vectors * block), group_span(shape, vectors * block)
    group_cin = shape.cin // shape.groups
    out_height = 1 if plan.flat else shape.out_height
    height = (out_height - 1) * sh + (rows - 1) * dh + 1
    # Pixels that an instruction brings together by a shuffle are loaded with all that lies between and behind them.
    width = (plan.columns - 1) * sw + (columns - 1) * dw + 1 + (sw - 1) * (pixels_of_step(cpu) > 1)
    # Where rows are seen as one, row 0 goes on beyond its end: the address is that of the pixel meant.
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
    """Apply the template to the stages dp (optional), conv and out; return the loop to tensorize.

    `whole`: tiles cover rows without a rest.
    """
    conv, out, pad = sch.get_sblock("conv"), sch.get_sblock("out"), find_block(sch, "dp")
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


def parallel_tasks(
    sch: Schedule, plan: ConvPlan, cpu: CpuModel, outer: tuple[Any, ...], inner: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Order the loops (batch, tile of channels, row, tile of pixels) and `inner`; return that of tasks and of tiles."""
    n, ko, h, wo = outer
    if plan.flat:
        wc, wo = sch.split(wo, [chunks_of(sch, n, ko, wo, cpu), None])
        sch.reorder(n, ko, wc, h, wo, *inner)
        task = sch.fuse(n, ko, wc)
    elif plan.rows is not None:
        ho, hi = sch.split(h, [None, plan.rows])
        sch.reorder(n, ho, ko, hi, wo, *inner)
        task = sch.fuse(n, ho)
    else:
        sch.reorder(n, ko, h, wo, *inner)
        task = sch.fuse(n, ko, h)
    sch.parallel(task)
    return task, wo


def unrolled_steps(sch: Schedule, reduction: tuple[Any, ...], size: int, most: int) -> int:
    """Return how many steps of input channels one pass of the innermost loop reduces, where it has nothing else.

    Args:
        sch: The schedule.
        reduction: The loop over input channels, and all others that sum up.
        size: Operations of a step.
        most: Of the loop's body.
    """
    steps, *others = (int(sch.get(loop).extent) for loop in reduction)
    if any(extent > 1 for extent in others):
        return 1
    return max(count for count in divisors(steps) if count * size <= most or count == 1)


def store_tile(sch: Schedule, out: Any, pixels: int) -> None:
    """Vectorize the epilogue: the channels of so many `pixels` at once, which lie side by side."""
    if pixels > 1:
        *_, wide, lane = sch.get_loops(out)
        _, near = sch.split(wide, [None, pixels])
        sch.fuse(near, lane)
    vectorize_tile(sch, out, 5)


def vectorize_tile(sch: Schedule, block: Any, loops: int) -> None:
    """Vectorize the innermost of the last `loops` loops around `block`, unroll the others."""
    *inner, lane = sch.get_loops(block)[-loops:]
    sch.vectorize(lane)
    for loop in inner:
        sch.unroll(loop)


RULE = Rule("conv_int8", "packed", match, lower)
