"""Nearest-neighbour upsampling by integer factors."""

from __future__ import annotations

from typing import Any

from tvm import te

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import packed_shape
from edgec.targets.tvm.regions.facts import Upsampling
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import floordiv
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.packed.injective import injective_kernel


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` repeats pixels an integer number of times."""
    return node.op == "edgec.upsample" and bool(node.args[0].packed)


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a nearest-neighbour upsampling region."""
    node = region.anchor
    high, wide = node.known(Upsampling).factors
    expression = PackedExpression(region.members, cpu)
    stored = cpu.stored(node.args[0].dtype)
    source = te.placeholder(packed_shape(node.args[0].shape, expression.block), stored, name="source")

    def value(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        return expression.at((n, c, h, w, b), source[n, c, floordiv(h, high), floordiv(w, wide), b])

    return injective_kernel(expression, [source], [Operand(node.args[0], packed=True)], value, None, cpu)


RULE = Rule("upsample", "packed", match, lower)
