"""Reductions: axes that are reduced are fixed."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import attribute, constant
from edgec.model.traits import REDUCTIONS
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.operators.elementwise import follow_unary
from edgec.passes.channels.propagation import Propagation, fixed


def follow(found: Propagation, node: ir.Node) -> str | None:
    """Fix the reduced axes, and pass the others."""
    x = found.axes(node, 0)
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if axes is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        return "reduces over axes that are computed"
    if axes is not None and axes.size == 0:
        axes = None
    if axes is None and attribute(node, "noop_with_empty_axes", 0):
        return follow_unary(found, node)
    reduced = {int(axis) % len(x) for axis in (range(len(x)) if axes is None else axes.reshape(-1))}
    for axis in reduced:
        found.fix(node, x[axis], "reduces over them")
    keep = attribute(node, "keepdims", 1)
    found.give(node, [fixed(1) if a in reduced else ids for a, ids in enumerate(x) if keep or a not in reduced])
    return None


OPERATORS = (ChannelOperator(tuple(REDUCTIONS), follow),)
