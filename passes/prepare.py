"""`prepare`: brings a model into the form in which it is pruned, quantized and repaired."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from edgec.errors import UnsupportedModel
from edgec.model.graph import add_constant, constant, unique_name
from edgec.passes.pipeline import canonical_passes


def prepare(model: ir.Model) -> ir.Model:
    """Return a copy of `model` in canonical form, with further properties that pruning and quantization need.

    It has opset 18 or newer, folded batch norms, constants as initializers, a unique name for every node, and no vector
    (a bias, of any rank) that two layers share, because a repair makes them differ.

    Args:
        model: Model as `fix_shapes` returns it.

    Raises:
        UnsupportedModel: It has no canonical form, or control flow (If, Loop, Scan) that depends on its inputs.
    """
    prepared = model.clone()
    for each in canonical_passes():
        prepared = each(prepared).model
    prepared = LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(prepared).model
    _refuse_control_flow(prepared.graph)
    _name_nodes(prepared.graph)
    for value in list(prepared.graph.initializers.values()):
        array = constant(value)
        if array is not None and array.ndim and array.size == max(array.shape) and array.dtype.kind == "f":
            for use in list(value.uses())[1:]:
                use.node.replace_input_with(use.idx, add_constant(prepared.graph, value.name or "vector", array))
    return prepared


def _refuse_control_flow(graph: ir.Graph) -> None:
    for node in graph:
        if any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in node.attributes.values()):
            raise UnsupportedModel(
                f"channels cannot be followed through control flow: {node.op_type} node {node.name!r}",
                remedy="Export the network without it; most exporters unroll loops and resolve conditions when asked.",
            )


def _name_nodes(graph: ir.Graph) -> None:
    taken: set[str] = set()
    for node in graph:
        if not node.name or node.name in taken:
            node.name = unique_name(graph, node.name or node.outputs[0].name or node.op_type)
        taken.add(node.name)
