"""Depthwise convolution: a window over each channel separately, with one filter per channel."""

from __future__ import annotations

import numpy as np
from tvm import te
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div, packed_shape
from edgec.targets.tvm.regions.facts import Convolution
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule, Tuning, Workload
from edgec.targets.tvm.schedules.common.kernel import finish, widened
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.common.rewrite import START
from edgec.targets.tvm.schedules.common.tilings import task_sizes
from edgec.targets.tvm.schedules.common.window import Window, WindowPlan, plan_by_rule, schedule
from edgec.targets.tvm.schedules.float.conv_plan import conv_shape, named_workload, pack_bias


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` is a convolution with one filter per channel."""
    if not isinstance(node.facts, Convolution) or node.facts.groups == 1:
        return False
    groups = node.facts.groups
    return node.facts.weights.shape[:2] == (groups, 1) and bool(node.args[0].shape[1] == groups)


def lower(region: Region, cpu: CpuModel, plan: WindowPlan | None = None) -> Kernel:
    """Return the kernel of a depthwise convolution region, tiled by `plan`, by default the rule's."""
    node = region.anchor
    layer = node.known(Convolution)
    weights = layer.weights
    channels, _, rows, columns = weights.shape
    block = block_of(channels, cpu)
    blocks = ceil_div(channels, block)
    packed = np.zeros((blocks * block, rows, columns), cpu.storage)
    packed[:channels] = weights[:, 0]
    packed = np.ascontiguousarray(packed.reshape(blocks, block, rows, columns).transpose(0, 2, 3, 1))
    bias = pack_bias(layer.bias, block)
    weight_tensor, bias_tensor = (
        te.placeholder(packed.shape, cpu.storage, name="weights"),
        te.placeholder((blocks, block), name="bias"),
    )
    plan = plan or plan_by_rule(node, (rows, columns), cpu)
    window = Window(node, cpu, layer, plan.pixels, (rows, columns), dilation=layer.dilation)
    r, s = te.reduce_axis((0, rows), "r"), te.reduce_axis((0, columns), "s")
    conv = te.compute(
        window.shape,
        lambda n, c, h, w, b: te.sum(
            window.read(n, c, h, w, b, r, s).astype(cpu.arithmetic) * weight_tensor[c, r, s, b].astype(cpu.arithmetic),
            axis=[r, s],
        ),
        name="conv",
    )
    expression = PackedExpression(region.members, cpu)
    out = te.compute(
        packed_shape(expression.shape, block),
        lambda *i: expression.at(i, widened(conv(*i))),
        name="out",
    )
    tensors = [window.source, weight_tensor, bias_tensor, *expression.tensors, out]
    operands = [Operand(node.args[0], packed=True), Operand(packed), Operand(bias)]
    sch = schedule(Schedule(te.create_prim_func(tensors)), plan, cpu)
    sch.annotate(sch.get_sblock("conv_init"), START, bias_tensor.name)
    return Kernel(finish(sch), [*operands, *expression.operands], expression.shape)


def workload(region: Region) -> Workload:
    """Return the workload of a depthwise convolution."""
    return named_workload(region, "depthwise")


def plans(node: Node, cpu: CpuModel) -> list[WindowPlan]:
    """Return the tilings of a depthwise convolution: the default, then from wide vectors on, all task sizes of each."""
    shape = conv_shape(node)
    limit = min(shape.out_width, cpu.registers - 8)
    widths = sorted(range(1, limit + 1), key=lambda pixels: (ceil_div(shape.out_width, pixels) * pixels, -pixels))
    tasks = shape.batch * ceil_div(shape.cin, block_of(shape.cin, cpu))
    rows: list[int | None] = [None, *task_sizes(tasks, shape.out_height, cpu)]
    ranked = [
        (rank + at, WindowPlan(pixels, count)) for rank, pixels in enumerate(widths) for at, count in enumerate(rows)
    ]
    return [plan_by_rule(node, shape.kernel, cpu), *(each for _, each in sorted(ranked, key=lambda entry: entry[0]))]


RULE = Rule("depthwise", "packed", match, lower, tuning=Tuning(workload, plans, lower))
