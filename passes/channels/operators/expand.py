"""Expand: channels along axes of unchanged size pass through."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import constant
from edgec.passes.channels.masks import Masks, kept_shape, set_input
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Propagation, fixed


def follow(found: Propagation, node: ir.Node) -> str | None:
    """Pass channels along axes of unchanged size."""
    if constant(node.inputs[1]) is None:
        return "expands to a computed shape"
    x, shape = found.axes(node, 0), node.outputs[0].shape
    sizes = shape.numpy() if shape is not None else ()
    result = [fixed(size) for size in sizes]
    for axis in range(1, len(x) + 1):
        if len(x[-axis]) == sizes[-axis]:
            result[-axis] = x[-axis]
    found.give(node, result)
    return None


def adapt(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Set the shape to that of the output."""
    set_input(graph, node, 1, kept_shape(masks, node.outputs[0]))


OPERATORS = (ChannelOperator(("Expand",), follow, adapt),)
