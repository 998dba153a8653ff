"""Turns everything that does not depend on the inputs into initializers."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, LiftSubgraphInitializersToMainGraphPass

from edgec.errors import BadModel, UnsupportedModel
from edgec.model.edit import graph_of
from edgec.model.graph import Array, add_constant, attribute, constant, replace_uses, subgraphs
from edgec.model.shape_values import shape_values
from edgec.passes.canonicalize.merge_equal import RANDOM
from edgec.passes.canonicalize.operands import static_shape
from edgec.reference.session import Reference

LARGEST_CONSTANT = 1 << 24
"""Maximum number of elements of a stored constant; larger ones are better computed on the board."""
NEVER_FOLDED = RANDOM | {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
"""Operators that are not folded; the last three quantize weights, which a back end needs to see."""
NO_LARGER = frozenset({"NonZero", "Unique", "Compress", "NonMaxSuppression"})
"""Operators whose result depends on their inputs' values, but has at most about as many elements as these."""


def fold_constants(model: ir.Model) -> bool:
    """Fold constant nodes into initializers, in place, and return whether anything changed.

    The shape of a static value is constant, and so are the Shape-Gather-Concat chains in front of Reshape. Random
    and quantization nodes stay. ONNX Runtime computes the values, as it would if they stayed in the graph.
    """
    lifted = LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).modified
    lifted = LiftSubgraphInitializersToMainGraphPass()(model).modified or lifted
    shapes = shape_values(model)
    folded = [_fold(node, shapes, model) for node in list(model.graph.all_nodes())]
    return bool(lifted or any(folded))


def fold_node(node: ir.Node, model: ir.Model) -> bool:
    """Replace what `node` makes of its constants by constants, and return whether ONNX Runtime can compute them."""
    read = _read(node)
    return _replace(node, read, _computed(node, read, model))


def _read(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.outputs if value.uses() or value.is_graph_output()]


def _replace(node: ir.Node, read: list[ir.Value], tensors: dict[ir.Value, ir.TensorProtocol] | None) -> bool:
    """Write constants in the place of `node`, whose outputs `read` are used; return False where they are not known."""
    if tensors is None:
        return False
    for value in read:
        _write(node, value, tensors[value])
    graph_of(node).remove(node, safe=True)
    return True


def _fold(node: ir.Node, shapes: dict[ir.Value, Array], model: ir.Model) -> bool:
    read = _read(node)
    if node.domain != "" or not read or (node.op_type == "Identity" and read[0].is_graph_output()):
        return False
    tensors = _filled(node)
    if tensors is None and all(value in shapes for value in read):
        tensors = {value: ir.tensor(shapes[value]) for value in read}
    if tensors is None and _is_foldable(node):
        tensors = _computed(node, read, model)
    return _replace(node, read, tensors)


def _filled(node: ir.Node) -> dict[ir.Value, ir.TensorProtocol] | None:
    """Return the tensor of a ConstantOfShape of known shape, which takes no memory until it is written."""
    if node.op_type != "ConstantOfShape":
        return None
    wanted = constant(node.inputs[0])
    shape = static_shape(node.outputs[0]) if wanted is None else tuple(int(dim) for dim in wanted)
    if shape is None:
        return None
    value = attribute(node, "value")
    element = np.zeros((), np.float32) if value is None else value.numpy().reshape(())
    return {node.outputs[0]: ir.Tensor(np.broadcast_to(element, shape))}


def _is_foldable(node: ir.Node) -> bool:
    if node.op_type in NEVER_FOLDED or subgraphs(node) or not any(value is not None for value in node.inputs):
        return False
    if any(value is not None and constant(value) is None for value in node.inputs):
        return False
    shapes = [static_shape(value) for value in node.outputs if value.name]
    if node.op_type in NO_LARGER:
        shapes = [static_shape(value) for value in node.inputs if value is not None]
    return all(shape is not None and math.prod(shape) <= LARGEST_CONSTANT for shape in shapes)


def _computed(node: ir.Node, read: list[ir.Value], model: ir.Model) -> dict[ir.Value, ir.TensorProtocol] | None:
    """Return the results of `node` on its constants, or None if ONNX Runtime cannot compute it."""
    operands = {value: ir.val(value.name, const_value=value.const_value) for value in node.inputs if value is not None}
    copy = ir.Node(
        "", node.op_type, [value and operands[value] for value in node.inputs], node.attributes.values(),
        outputs=[ir.val(value.name, type=value.type, shape=value.shape) for value in node.outputs], name=node.name,
    )  # fmt: skip
    results = [new for old, new in zip(node.outputs, copy.outputs, strict=True) if old in read]
    graph = ir.Graph(
        [],
        results,
        nodes=[copy],
        initializers=list(operands.values()),
        opset_imports=model.graph.opset_imports,
        name="fold",
    )
    try:
        arrays = Reference(ir.Model(graph, ir_version=model.ir_version), threads=1).run({})
    except (BadModel, UnsupportedModel):
        return None
    return {value: ir.tensor(np.asarray(arrays[value.name or ""]), dtype=value.dtype) for value in read}


def _write(node: ir.Node, value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """Make the readers of `value`, an output of `node`, read `tensor`."""
    graph = graph_of(node)
    if value.is_graph_output():
        replace_uses(value, add_constant(graph, f"{value.name}_folded", tensor.numpy()))
        return
    # It takes over the name, which saves the search for an unused one: in some models all weights are such values.
    stored = ir.val(value.name, const_value=tensor)
    tensor.name = stored.name
    value.replace_all_uses_with(stored)
    value.name = f"{value.name}_folded"
    graph.register_initializer(stored)
