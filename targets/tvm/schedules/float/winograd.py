"""Winograd convolution F(4x4, 3x3): 36 multiplications instead of 144 per 4x4 tile of a 3x3 stride-1 convolution.

The transforms lose about two bits of float32: results differ from the direct sum by less than 1e-4 of the output range,
which the tests check.
"""

from __future__ import annotations

import numpy as np
from tvm import te
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, packed_shape
from edgec.targets.tvm.regions.facts import Convolution, Network
from edgec.targets.tvm.regions.graph import Graph, Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule, Tuning
from edgec.targets.tvm.schedules.common.kernel import finish
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.common.tiles import reduction_step
from edgec.targets.tvm.schedules.float.conv_plan import conv_shape, conv_workload, pack_bias
from edgec.targets.tvm.schedules.float.winograd_plan import (
    DIRECT,
    WinogradPlan,
    direct_cycles,
    may_pay,
    pays,
    plan_by_rule,
    plans_by_cost,
)
from edgec.targets.tvm.schedules.float.winograd_stages import Arithmetic, schedule, transform_weights, whole_tiles

G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
FLOATS = Arithmetic(G, "float32", "float32")


def match(node: Node, cpu: CpuModel) -> bool:
    """Return whether `node` is a convolution that is faster by this method on `cpu`."""
    return possible(node, cpu) and pays(conv_shape(node), cpu, node.known(Convolution).network)


def possible(node: Node, cpu: CpuModel) -> bool:
    """Return whether `node` is a convolution that this method can compute."""
    # The transforms lose more bits than fp16 can spare.
    if not isinstance(node.facts, Convolution) or not node.args[0].packed or cpu.storage != "float32":
        return False
    facts = node.facts
    square = facts.weights.shape[2:] == (3, 3) and facts.strides == (1, 1) and facts.dilation == (1, 1)
    return square and facts.groups == 1 and min(facts.weights.shape[:2]) >= cpu.lanes


def weigh(graph: Graph, cpu: CpuModel) -> None:
    """Record the network's totals in every convolution: `match` compares a layer's gain and size with them."""
    convolutions = [node for node in graph.nodes if isinstance(node.facts, Convolution)]
    constants = [arg for node in graph.nodes if not isinstance(node.facts, Convolution) for arg in node.args]
    weights = [node.known(Convolution).weights for node in convolutions]
    size = sum(array.nbytes for array in [*constants, *weights] if isinstance(array, np.ndarray))
    network = Network(sum(direct_cycles(conv_shape(node), cpu) for node in convolutions), size)
    for node in convolutions:
        node.known(Convolution).network = network


def lower(region: Region, cpu: CpuModel, plan: WinogradPlan | None = None) -> Kernel:
    """Return the kernel of a convolution region by Winograd's method, tiled by `plan`, by default the rule's."""
    node = region.anchor
    shape = conv_shape(node)
    plan = plan or plan_by_rule(shape, cpu)
    block, in_block = block_of(shape.out, cpu), block_of(shape.cin, cpu)
    step = reduction_step(shape.cin, in_block)
    transformed = transform_weights(node.known(Convolution).weights, FLOATS, step, block, plan.vectors)
    bias = pack_bias(node.known(Convolution).bias, block)
    source = te.placeholder(packed_shape(node.args[0].shape, in_block), name="source")
    weights = te.placeholder(transformed.shape, name="weights")
    bias_tensor = te.placeholder(bias.shape, name="bias")
    full = whole_tiles(source, weights, shape.padding, 0.0, plan, FLOATS)
    expression = PackedExpression(region.members, cpu)
    out = te.compute(
        packed_shape(expression.shape, block),
        lambda *i: expression.at(i, full(*i) + bias_tensor[i[1], i[4]]),
        name="out",
    )
    tensors = [source, weights, bias_tensor, *expression.tensors, out]
    by_lane = cpu.multiplies_by_lane and step % cpu.lanes == 0
    sch = schedule(Schedule(te.create_prim_func(tensors)), plan, by_lane=by_lane)
    operands = [Operand(node.args[0], packed=True), Operand(transformed), Operand(bias), *expression.operands]
    detail = f"{shape}: {plan}"
    return Kernel(finish(sch), operands, expression.shape, detail=detail)


def plans(node: Node, cpu: CpuModel) -> list[WinogradPlan]:
    """Return the tilings, the default first; none if this method cannot pay."""
    shape = conv_shape(node) if possible(node, cpu) else None
    if shape is None or not (match(node, cpu) or may_pay(shape, cpu, node.known(Convolution).network)):
        return []
    return [plan_by_rule(shape, cpu), *plans_by_cost(shape, cpu)]


RULE = Rule("winograd", "packed", match, lower, tuning=Tuning(conv_workload, plans, lower, macs_saved=DIRECT))
