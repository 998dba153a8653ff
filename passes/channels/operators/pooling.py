"""Pools: channels pass through, positions are combined."""

from __future__ import annotations

import onnx_ir as ir

from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Propagation, fixed

POOLS = ("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")


def follow(found: Propagation, node: ir.Node) -> str | None:
    """Pass the channels of x [n, c, *space]; fix the spatial axes."""
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "has a second output that is used"
    x, shape = found.axes(node, 0), node.outputs[0].shape
    for ids in x[2:]:
        found.fix(node, ids, "slides over them")
    found.give(node, [*x[:2], *(fixed(size) for size in (shape.numpy()[2:] if shape is not None else ()))])
    return None


OPERATORS = (ChannelOperator(POOLS, follow),)
