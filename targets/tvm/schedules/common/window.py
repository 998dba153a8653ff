"""Windows over each channel by itself: depthwise convolution, max and average pooling; one vector of channels wide."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.regions.graph import Array, Node
from edgec.targets.tvm.regions.grow import Region
from edgec.targets.tvm.schedules.common.kernel import (
    Kernel,
    Operand,
    copy_rows,
    f32,
    find_block,
    finish,
    floordiv,
    floormod,
    padded_stage,
    widened,
)
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression, packed_shape
from edgec.targets.tvm.schedules.common.rewrite import START
from edgec.targets.tvm.schedules.common.tiles import block_of, ceil_div, depthwise_pixels, divisors
from edgec.targets.tvm.schedules.float.conv_plan import pack_bias
from edgec.targets.tvm.target_model import TargetModel

FLOAT_BYTES = 4
LOWEST = {"float32": -3.4028234663852886e38, "float16": -65504.0, "int8": -128.0, "uint8": 0.0}
FEW_ROWS = 4
MAX_UNROLLED_TAPS = 64


def match_depthwise(node: Node) -> bool:
    """Whether `node` is a convolution with one filter a channel."""
    if "weights" not in node.facts:
        return False
    groups, weights = node.facts["groups"], node.facts["weights"]
    return bool(groups > 1 and weights.shape[0] == groups == node.args[0].shape[1] and weights.shape[1] == 1)


def match_pool(node: Node) -> bool:
    """Whether `node` is a max or average pool over H and W."""
    return node.op in ("edgec.max_pool", "edgec.average_pool")


@dataclass(frozen=True)
class WindowPlan:
    """Decisions: pixels of a vector kept in registers, output rows of a task (None: as many as keep its slab in L1)."""

    pixels: int
    rows: int | None = None


def lower_depthwise(region: Region, model: TargetModel, choice: WindowPlan | None = None) -> Kernel:
    """Return the kernel of a depthwise convolution region, tiled by `choice` or else by rule."""
    node = region.anchor
    weights = node.facts["weights"]
    channels, _, rows, columns = weights.shape
    block = block_of(channels, model)
    blocks = ceil_div(channels, block)
    packed = np.zeros((blocks * block, rows, columns), model.storage)
    packed[:channels] = weights[:, 0]
    packed = np.ascontiguousarray(packed.reshape(blocks, block, rows, columns).transpose(0, 2, 3, 1))
    bias = pack_bias(node.facts["bias"], block)
    weight_tensor, bias_tensor = (
        te.placeholder(packed.shape, model.storage, name="weights"),
        te.placeholder((blocks, block), name="bias"),
    )
    choice = choice or plan(node, (rows, columns), model)
    window = _Window(node, model, 0.0, choice.pixels, (rows, columns), node.facts["strides"], node.facts["dilation"])
    r, s = te.reduce_axis((0, rows), "r"), te.reduce_axis((0, columns), "s")
    conv = te.compute(
        window.shape,
        lambda n, c, h, w, b: te.sum(
            window.read(n, c, h, w, b, r, s).astype(model.arithmetic)
            * weight_tensor[c, r, s, b].astype(model.arithmetic),
            axis=[r, s],
        ),
        name="conv",
    )
    expression = PackedExpression(region.members, model)
    out = te.compute(
        packed_shape(expression.shape, block),
        lambda *i: expression.at(i, widened(conv(*i))),
        name="out",
    )
    tensors = [window.source, weight_tensor, bias_tensor, *expression.tensors, out]
    operands = [Operand(node.args[0], packed=True), Operand(packed), Operand(bias)]
    sch = schedule(Schedule(te.create_prim_func(tensors)), choice, model)
    sch.annotate(sch.get_sblock("conv_init"), START, bias_tensor.name)
    return Kernel(finish(sch), [*operands, *expression.operands], expression.shape, packed=True, rule="depthwise")


def plan(node: Node, window: Sequence[int], model: TargetModel) -> WindowPlan:
    """Return the tiling of a `window` by rule."""
    assert node.shape is not None
    return WindowPlan(depthwise_pixels(node.shape[3], math.prod(window), model))


def lower_pool(region: Region, model: TargetModel) -> Kernel:
    """Return the kernel of a pooling region; an average over a window that overlaps padding divides as ONNX says."""
    node = region.anchor
    maximum = node.op == "edgec.max_pool"
    size = node.facts["window"]
    filling = LOWEST[model.stored(node.dtype)] if maximum else 0.0
    choice = plan(node, size, model)
    window = _Window(node, model, filling, choice.pixels, size, node.facts["strides"], (1, 1))
    r, s = te.reduce_axis((0, size[0]), "r"), te.reduce_axis((0, size[1]), "s")
    reduce = te.max if maximum else te.sum
    conv = te.compute(
        window.shape, lambda n, c, h, w, b: reduce(widened(window.read(n, c, h, w, b, r, s)), axis=[r, s]), name="conv"
    )
    expression = PackedExpression(region.members, model)
    tensors, operands = [window.source], [Operand(node.args[0], packed=True)]
    scale = None
    if not maximum:
        scales = _average_scales(node)
        if np.all(scales == scales.reshape(-1)[0]):
            constant = f32(float(scales.reshape(-1)[0]))
            scale = lambda h, w: constant  # noqa: E731
        else:
            table = te.placeholder(scales.shape, name="scales")
            tensors.append(table)
            operands.append(Operand(scales))
            scale = lambda h, w: table[h, w]  # noqa: E731
    out = te.compute(
        packed_shape(expression.shape, block_of(expression.shape[1], model)),
        lambda *i: expression.at(i, conv(*i) if scale is None else conv(*i) * scale(i[2], i[3])),
        name="out",
    )
    sch = schedule(Schedule(te.create_prim_func([*tensors, *expression.tensors, out])), choice, model)
    return Kernel(finish(sch), [*operands, *expression.operands], expression.shape, packed=True, rule="pool")


def _average_scales(node: Node) -> Array:
    """Return 1 / (elements averaged) at each output pixel, [OH, OW]."""
    top, left, bottom, right = node.facts["padding"]
    counts_padding = node.facts["counts_padding"]
    assert node.shape is not None

    def counts(size: int, window: int, stride: int, out: int, before: int, after: int) -> Array:
        starts = np.arange(out) * stride - before
        low, high = (-before, size + after) if counts_padding else (0, size)
        return np.minimum(starts + window, high) - np.maximum(starts, low)

    height, width = node.args[0].shape[2:]
    (rows, columns), (sh, sw) = node.facts["window"], node.facts["strides"]
    vertical = counts(height, rows, sh, node.shape[2], top, bottom)
    horizontal = counts(width, columns, sw, node.shape[3], left, right)
    return (1.0 / np.outer(vertical, horizontal)).astype(np.float32)


class _Window:
    """The input of a windowed reduction: its padded stage, the extents of the reduction and how to read it."""

    def __init__(
        self,
        node: Node,
        model: TargetModel,
        filling: float,
        pixels: int,
        window: Sequence[int],
        strides: Sequence[int],
        dilation: Sequence[int],
    ) -> None:
        assert node.shape is not None
        plain = node.args[0].shape
        block = block_of(plain[1], model)
        out_height, out_width = node.shape[2:]
        top, left = node.facts["padding"][:2]
        self.strides, self.dilation = strides, dilation
        columns = ceil_div(out_width, pixels) * pixels
        height = (out_height - 1) * strides[0] + (window[0] - 1) * dilation[0] + 1
        width = (columns - 1) * strides[1] + (window[1] - 1) * dilation[1] + 1
        self.source = te.placeholder(packed_shape(plain, block), model.stored(node.args[0].dtype), name="source")
        self.stage = self.source
        read = self.source
        if "shuffle" in node.facts:
            read = _shuffled(self.source, plain[1], node.facts["shuffle"], block)
        if any(node.facts["padding"]) or read is not self.source or height > plain[2] or width > plain[3]:
            lead = [int(extent) for extent in self.source.shape[:2]]
            extents, before = packed_shape(plain, block), (0, 0, top, left, 0)
            self.stage = padded_stage(
                self.source, (*lead, height, width, block), before, filling, read=read, extents=extents
            )
        self.shape = (plain[0], ceil_div(plain[1], block), out_height, columns, block)

    def read(self, n: Any, c: Any, h: Any, w: Any, b: Any, r: Any, s: Any) -> Any:
        (sh, sw), (dh, dw) = self.strides, self.dilation
        return self.stage[n, c, h * sh + r * dh, w * sw + s * dw, b]


def _shuffled(source: te.Tensor, channels: int, groups: int, block: int) -> Callable[..., Any]:
    """Return how to read a packed tensor whose channels are shuffled between `groups` groups."""

    def read(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        channel = c * block + b
        origin = floormod(channel, groups) * (channels // groups) + floordiv(channel, groups)
        # Spare lanes of the last block stay inside the tensor.
        origin = tirx.min(origin, channels - 1) if channels % block else origin
        return source[n, floordiv(origin, block), h, w, floormod(origin, block)]

    return read


def schedule(sch: Schedule, choice: WindowPlan, model: TargetModel) -> Schedule:
    """Tasks are (batch, channel block, rows); a padded slab is made per task and stays in L1."""
    conv, out, pad = sch.get_sblock("conv"), sch.get_sblock("out"), find_block(sch, "dp")
    n, c, h, w, b, r, s = sch.get_loops(conv)
    taps = int(sch.get(r).extent) * int(sch.get(s).extent)
    ho, hi = sch.split(h, [None, choice.rows or _task_rows(sch, h, pad, model)])
    wo, wi = sch.split(w, [None, choice.pixels])
    sch.reorder(n, c, ho, hi, wo, r, s, wi, b)
    task = sch.fuse(n, c, ho)
    sch.parallel(task)
    sch.reverse_compute_at(out, wo, preserve_unit_loops=True)
    *inner, lane = sch.get_loops(out)[-5:]
    sch.vectorize(lane)
    for loop in (*inner, wi):
        sch.unroll(loop)
    sch.vectorize(b)
    if taps <= MAX_UNROLLED_TAPS:
        sch.unroll(r)
        sch.unroll(s)
    if pad is not None:
        sch.compute_at(pad, task, preserve_unit_loops=True)
        copy_rows(sch, pad)
    init = sch.decompose_reduction(conv, r)
    for loop in sch.get_loops(init)[-2:-1]:
        sch.unroll(loop)
    return sch


def _task_rows(sch: Schedule, h: Any, pad: Any | None, model: TargetModel) -> int:
    """Return the most output rows whose padded slab fits three quarters of L1."""
    rows = int(sch.get(h).extent)
    if pad is None:
        return rows
    height, width, block = (int(extent) for extent in sch.get(pad).writes[0].source.shape[2:])
    for count in reversed(divisors(rows)):
        if (height * count // rows + 2) * width * block * FLOAT_BYTES <= model.l1 * 3 // 4 or count <= FEW_ROWS:
            return count
    return 1
