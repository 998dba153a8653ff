"""Converts recurrent layers with batch first (`layout` = 1) to time-major ones, the only ones that runtimes support."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.edit import graph_of, insert_before
from edgec.model.graph import attribute, replace_uses, unique_name

RECURRENT = ("LSTM", "GRU", "RNN")
STATES = (5, 6)
"""Indices of the inputs that are initial states."""
SWAPPED = (1, 0, 2)
"""Permutation that exchanges the first two axes of [batch, steps, inputs] and [batch, directions, hidden]."""
SEQUENCE = (2, 0, 1, 3)
"""Permutation from [steps, directions, batch, hidden] to [batch, steps, directions, hidden]."""


def is_batch_first(node: ir.Node) -> bool:
    """Whether `node` is a recurrent layer with batch first (`layout` = 1)."""
    return node.domain == "" and node.op_type in RECURRENT and attribute(node, "layout", 0) == 1


def to_time_major(node: ir.Node) -> None:
    """Make `node`, a recurrent layer with batch first, time-major, between Transposes. The results are exact."""
    graph = graph_of(node)
    del node.attributes["layout"]
    for at in (0, *STATES):
        value = node.inputs[at] if at < len(node.inputs) else None
        if value is not None:
            known = None if value.shape is None or not value.shape.is_static() else value.shape.numpy()
            shape = None if known is None else [known[axis] for axis in SWAPPED]
            stem = f"{value.name}_time_major"
            node.replace_input_with(
                at, insert_before(node, "Transpose", [value], {"perm": SWAPPED}, stem=stem, shape=shape)
            )
    for number, output in enumerate(node.outputs):
        if not output.uses() and not output.is_graph_output():
            continue
        perm, is_result, name = SWAPPED if number else SEQUENCE, output.is_graph_output(), output.name
        turned = ir.node("Transpose", [output], {"perm": perm}, name=unique_name(graph, f"{name}_batch_first"))
        back = turned.outputs[0]
        back.name = unique_name(graph, f"{name}_time_major")
        replace_uses(output, back)  # this also redirects the Transpose
        turned.replace_input_with(0, output)
        if not is_result:  # otherwise the names have been exchanged already
            output.name, back.name = back.name, name
        if output.shape is not None:
            output.shape = ir.Shape([output.shape[perm.index(axis)] for axis in range(len(perm))])
        graph.insert_after(node, turned)
