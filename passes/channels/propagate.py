"""`propagate`: follows the channels of every layer through the whole graph, operator by operator."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import constant, is_static
from edgec.passes.channels.coupling import FIXED
from edgec.passes.channels.operators import operator_of
from edgec.passes.channels.propagation import Propagation, fixed


def propagate(model: ir.Model) -> Propagation:
    """Follow all channels through `model`, which has static shapes and opset 18 or newer.

    Channels that reach a node without a rule are fixed, with the reason. So are those of the model's outputs.
    """
    found = Propagation()
    for value in model.graph.inputs:
        if is_static(value) and value.shape is not None:
            found.values[value] = [fixed(size) for size in value.shape.numpy()]
    for node in model.graph:
        if node.op_type == "Constant" and not node.domain:
            continue
        why = _follow(found, node)
        if why is not None:
            found.block(node, why)
    for value in model.graph.outputs:
        for ids in found.values.get(value, ()):
            found.coupling.fix(ids[ids != FIXED], f"they are the model's output {value.name!r}")
    return found


def _follow(found: Propagation, node: ir.Node) -> str | None:
    operator = operator_of(node)
    if operator is None:
        return "is an operator whose channels cannot be followed"
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.name and constant(value) is None and not is_static(value):
            return f"has a shape that depends on the data ({value.name})"
        if value in node.inputs and value is not None and constant(value) is None and value not in found.values:
            return f"reads {value.name}, whose channels are unknown"
    return operator.follow(found, node)
