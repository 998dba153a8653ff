"""Interleaves the phases of a transposed convolution."""

from __future__ import annotations

import math
from typing import Any

from tvm import te, tirx

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, packed_shape
from edgec.targets.tvm.regions.facts import Interleaving
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import floordiv, floormod
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.packed.injective import injective_kernel


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` interleaves the phases of a transposed convolution."""
    return node.op == "edgec.interleave"


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel that moves phase (h + p) mod s of a transposed convolution's channels to pixel h."""
    node = region.anchor
    phases = node.known(Interleaving)
    (sh, sw), (top, left) = phases.strides, phases.before
    expression = PackedExpression(region.members, cpu)
    block, each = expression.block, phases.channels
    phase_block = block_of(node.args[0].shape[1], cpu)
    stored = cpu.stored(node.args[0].dtype)
    source = te.placeholder(packed_shape(node.args[0].shape, phase_block), stored, name="source")
    run = math.gcd(each, block, phase_block)

    def value(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        phase = floormod(h + top, sh) * sw + floormod(w + left, sw)
        row, column = floordiv(h + top, sh), floordiv(w + left, sw)
        # Whole runs of channels are moved as vectors; padding lanes repeat the last one.
        first = c * (block // run) + floordiv(b, run)
        first = phase * (each // run) + (first if each % block == 0 else tirx.min(first, each // run - 1))
        part = floormod(first, phase_block // run) * run + floormod(b, run)
        return expression.at((n, c, h, w, b), source[n, floordiv(first, phase_block // run), row, column, part])

    return injective_kernel(expression, [source], [Operand(node.args[0], packed=True)], value, run, cpu)


RULE = Rule("interleave", "packed", match, lower)
