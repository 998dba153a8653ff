"""Max and average pooling over H and W."""

from __future__ import annotations

import numpy as np
from tvm import te
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, packed_shape
from edgec.targets.tvm.regions.facts import Array, Pool
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import f32, finish, widened
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.common.window import Window, plan_by_rule, schedule

LOWEST = {"float32": -3.4028234663852886e38, "float16": -65504.0, "int8": -128.0, "uint8": 0.0}


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` is a max or average pool over H and W."""
    return node.op in ("edgec.max_pool", "edgec.average_pool")


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a pooling region; the divisor of an average over padding follows ONNX."""
    node = region.anchor
    maximum = node.op == "edgec.max_pool"
    layer = node.known(Pool)
    size = layer.window
    filling = LOWEST[cpu.stored(node.dtype)] if maximum else 0.0
    plan = plan_by_rule(node, size, cpu)
    window = Window(node, cpu, layer, plan.pixels, size, filling=filling)
    r, s = te.reduce_axis((0, size[0]), "r"), te.reduce_axis((0, size[1]), "s")
    reduce = te.max if maximum else te.sum
    conv = te.compute(
        window.shape, lambda n, c, h, w, b: reduce(widened(window.read(n, c, h, w, b, r, s)), axis=[r, s]), name="conv"
    )
    expression = PackedExpression(region.members, cpu)
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
        packed_shape(expression.shape, block_of(expression.shape[1], cpu)),
        lambda *i: expression.at(i, conv(*i) if scale is None else conv(*i) * scale(i[2], i[3])),
        name="out",
    )
    sch = schedule(Schedule(te.create_prim_func([*tensors, *expression.tensors, out])), plan, cpu)
    return Kernel(finish(sch), [*operands, *expression.operands], expression.shape)


def _average_scales(node: Node) -> Array:
    """Return 1 / (elements averaged) at each output pixel, [OH, OW]."""
    layer = node.known(Pool)
    top, left, bottom, right = layer.padding
    assert node.shape is not None

    def counts(size: int, window: int, stride: int, out: int, before: int, after: int) -> Array:
        starts = np.arange(out) * stride - before
        low, high = (-before, size + after) if layer.counts_padding else (0, size)
        return np.minimum(starts + window, high) - np.maximum(starts, low)

    height, width = node.args[0].shape[2:]
    (rows, columns), (sh, sw) = layer.window, layer.strides
    vertical = counts(height, rows, sh, node.shape[2], top, bottom)
    horizontal = counts(width, columns, sw, node.shape[3], left, right)
    return (1.0 / np.outer(vertical, horizontal)).astype(np.float32)


RULE = Rule("pool", "packed", match, lower)
