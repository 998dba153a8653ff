"""Make everything that does not depend on the inputs an initializer, and inline branches that are always taken."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, LiftSubgraphInitializersToMainGraphPass
from onnxscript.optimizer import fold_constants_ir

from edgec.model.edit import bypass, graph_of
from edgec.model.graph import add_constant, attribute, constant
from edgec.passes.canonicalize.operands import static_shape

LARGEST_CONSTANT = 1 << 24
"""Elements up to which a computed constant is stored; what grows beyond is cheaper to compute on the board."""
NEVER_FOLDED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
"""They carry the quantization of a weight, which a back end wants to see."""


def fold_constants(model: ir.Model) -> bool:
    """Fold constant nodes into initializers, in place, and return whether anything changed.

    Shape of a static value is constant, hence so are the Shape-Gather-Concat chains in front of Reshape. `If` with a
    constant condition is inlined. Random and quantization nodes stay.
    """
    lifted = LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).modified
    lifted = LiftSubgraphInitializersToMainGraphPass()(model).modified or lifted
    filled = sum([_fill(node) for node in list(model.graph)])
    folded = fold_constants_ir(
        model,
        onnx_shape_inference=True,
        input_size_limit=LARGEST_CONSTANT,
        output_size_limit=LARGEST_CONSTANT,
        should_fold=_should_fold,
    )
    # What it inlines or computes partially leaves Constant nodes behind.
    lifted = LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).modified or lifted
    return bool(lifted or filled or folded.modified)


def _should_fold(node: ir.Node) -> bool:
    return node.op_type not in NEVER_FOLDED


def _fill(node: ir.Node) -> bool:
    """Turn a ConstantOfShape of known shape into an initializer that takes no memory until it is written."""
    if node.domain != "" or node.op_type != "ConstantOfShape":
        return False
    wanted = constant(node.inputs[0])
    shape = static_shape(node.outputs[0]) if wanted is None else tuple(int(dim) for dim in wanted)
    if shape is None:
        return False
    value = attribute(node, "value")
    element = np.zeros((), np.float32) if value is None else value.numpy().reshape(())
    tensor = ir.Tensor(np.broadcast_to(element, shape))
    if node.outputs[0].is_graph_output():
        bypass(node, add_constant(graph_of(node), f"{node.outputs[0].name}_filled", tensor.numpy()))
        return True
    # It takes over the name, which spares the search for a free one: some models hold all their weights so.
    filled = ir.val(node.outputs[0].name, const_value=tensor)
    tensor.name = filled.name
    node.outputs[0].replace_all_uses_with(filled)
    graph = graph_of(node)
    graph.remove(node, safe=True)
    graph.register_initializer(filled)
    return True
