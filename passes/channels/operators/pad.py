"""Pad: channels along axes without padding pass through."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import constant
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Propagation, fixed


def follow(found: Propagation, node: ir.Node) -> str | None:
    """Pass channels along axes without padding."""
    x, shape = found.axes(node, 0), node.outputs[0].shape
    pads = constant(node.inputs[1])
    if pads is None or any(value is not None for value in node.inputs[3:]):
        return "pads by amounts that are computed"
    result = []
    for axis, size in enumerate(shape.numpy() if shape is not None else ()):
        if pads[axis] or pads[axis + len(x)]:
            found.fix(node, x[axis], "pads them")
            result.append(fixed(size))
        else:
            result.append(x[axis])
    found.give(node, result)
    return None


OPERATORS = (ChannelOperator(("Pad",), follow),)
