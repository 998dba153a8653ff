"""Element-wise operators, of one operand or of several with numpy's broadcasting."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import constant
from edgec.model.traits import ELEMENTWISE, UNARY
from edgec.passes.channels.broadcast import broadcast
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Propagation


def follow_unary(found: Propagation, node: ir.Node) -> str | None:
    """Pass the channels of the only operand to the result."""
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "has a second output that is used"
    found.give(node, list(found.axes(node, 0)))
    return None


def follow_broadcast(found: Propagation, node: ir.Node) -> str | None:
    """Tie the channels of operands as numpy's broadcasting aligns them."""
    indices = [index for index, value in enumerate(node.inputs) if value is not None]
    result = broadcast(found, node, [found.axes(node, index) for index in indices])
    for index in indices:
        if constant(node.inputs[index]) is not None:
            operand = found.operand(node, index)
            for axis, ids in enumerate(operand.axes):
                if len(ids) > 1:
                    found.note(node, operand, axis, "follows")
    found.give(node, result)
    return None


OPERATORS = (
    ChannelOperator(tuple(UNARY), follow_unary),
    ChannelOperator(("Clip", "Dropout"), follow_unary),
    ChannelOperator(tuple(ELEMENTWISE), follow_broadcast),
)
