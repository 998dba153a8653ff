"""Normalizations: per channel, or over an axis whose channels are then fixed."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import attribute
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.operators.weights import follow_vector
from edgec.passes.channels.propagation import Propagation


def follow_by_channel(found: Propagation, node: ir.Node) -> str | None:
    """Parameters [c] for x [n, c, *space]; batch norms in training mode are not followed."""
    if attribute(node, "training_mode", 0):
        return "normalizes by the batch statistics"
    x = found.axes(node, 0)
    for index in range(1, len(node.inputs)):
        follow_vector(found, node, index, x[1])
    if node.op_type == "InstanceNormalization":
        for ids in x[2:]:
            found.fix(node, ids, "averages over them")
    found.give(node, list(x))
    return None


def follow_last_axes(found: Propagation, node: ir.Node) -> str | None:
    """Fix the last axes, which are normalized together."""
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "has a second output that is used"
    x = found.axes(node, 0)
    for ids in x[attribute(node, "axis", -1) :]:
        found.fix(node, ids, "normalizes over them")
    for index in range(1, len(node.inputs)):
        for ids in found.axes(node, index) if node.inputs[index] is not None else ():
            found.fix(node, ids, "scales by them")
    found.give(node, list(x))
    return None


def follow_one_axis(found: Propagation, node: ir.Node) -> str | None:
    """Fix the one axis over which the operator normalizes."""
    x = found.axes(node, 0)
    found.fix(node, x[attribute(node, "axis", -1)], "normalizes over them")
    found.give(node, list(x))
    return None


def follow_neighbours(found: Propagation, node: ir.Node) -> str | None:
    """Fix the channels, because neighbours are normalized together."""
    x = found.axes(node, 0)
    found.fix(node, x[1], "normalizes over neighbours among them")
    found.give(node, list(x))
    return None


OPERATORS = (
    ChannelOperator(("BatchNormalization", "InstanceNormalization"), follow_by_channel),
    ChannelOperator(("LayerNormalization",), follow_last_axes),
    ChannelOperator(("Softmax", "LogSoftmax", "Hardmax", "LpNormalization"), follow_one_axis),
    ChannelOperator(("LRN",), follow_neighbours),
)
