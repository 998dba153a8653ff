"""Elementwise work on packed tensors that no other region takes in."""

from __future__ import annotations

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.readable import is_packed_elementwise
from edgec.targets.tvm.regions.rule import Kernel, Region, Rule
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.packed.injective import injective_kernel


def match(node: Node, _cpu: CpuModel) -> bool:
    """Whether `node` is an elementwise operator on packed tensors."""
    return is_packed_elementwise(node)


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a region of elementwise operators only."""
    expression = PackedExpression(region.members, cpu)
    return injective_kernel(expression, [], [], lambda *i: expression.at(i, None), None, cpu)


RULE = Rule("elementwise", "packed", match, lower, grows="last")
