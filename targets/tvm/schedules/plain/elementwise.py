"""Elementwise work on plain tensors for which TVM would call a library (exp and functions of it), and on bytes."""

from __future__ import annotations

import math

from tvm import te
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.elementwise import COSTLY
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.operators import QUANTIZE
from edgec.targets.tvm.regions.rule import Kernel, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import finish
from edgec.targets.tvm.schedules.common.plain_expression import (
    PlainExpression,
    fits_matrix,
    is_plain_elementwise,
    matrix_of,
    unravel,
)
from edgec.targets.tvm.schedules.nest import flattened, schedule_nest, whole_vectors


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` quantizes a plain tensor of known shape, or is a costly elementwise operator on it."""
    if node.op == QUANTIZE:
        return not node.args[0].packed and bool(node.shape)
    if node.op not in COSTLY or not node.shape or math.prod(node.shape) == 0:
        return False
    return is_plain_elementwise(node, *matrix_of(node.shape)) and not node.args[0].packed


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a plain elementwise region."""
    tail = region.tail
    assert tail.shape is not None
    shape = tail.shape
    rows, columns = matrix_of(shape)
    expression = PlainExpression(region.members)
    out = te.compute((rows, columns), lambda m, n: expression.at(tail, m, n, {}), name="out")
    sch = Schedule(te.create_prim_func([*expression.tensors, out]))
    sch.transform_layout(sch.get_sblock("out"), "out", lambda m, n: (*unravel(m, shape), n))
    sch = flattened(sch, sch.get_sblock("out"))
    schedule_nest(sch, sch.get_sblock("out"), cpu.lanes)
    return Kernel(whole_vectors(finish(sch)), expression.operands, shape)


RULE = Rule("plain", "plain", match, lower, fits=fits_matrix, grows="last")
