"""LSTM, GRU, RNN: only channels of their inputs can be pruned."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import constant
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.operators.weights import COMPUTED_WEIGHTS
from edgec.passes.channels.propagation import Propagation, fixed


def follow(found: Propagation, node: ir.Node) -> str | None:
    """X [steps, batch, in] or batch first, W [directions, gates * hidden, in]; only the inputs can be pruned."""
    if constant(node.inputs[1]) is None:
        return COMPUTED_WEIGHTS
    x, weights = found.axes(node, 0), found.operand(node, 1)
    found.tie(node, x[2], weights.axes[2])
    found.note(node, weights, 2, "reads")
    for ids in x[:2]:
        found.fix(node, ids, "steps over them")
    for ids in weights.axes[:2]:
        found.fix(node, ids, "feeds them back")
    for index in range(2, len(node.inputs)):
        if node.inputs[index] is not None:
            for ids in found.axes(node, index):
                found.fix(node, ids, "feeds them back")
    for output in node.outputs:
        if output.shape is not None:
            found.values[output] = [fixed(size) for size in output.shape.numpy()]
    return None


OPERATORS = (ChannelOperator(("LSTM", "GRU", "RNN"), follow),)
