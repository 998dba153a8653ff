"""FP64, which no TensorRT supports: the parser reads it as FP32 and clamps, which must not change the results."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, attribute, constant, replace_uses

DOUBLE, FLOAT = ir.DataType.DOUBLE, ir.DataType.FLOAT
DONE = "FP64 written as FP32, which TensorRT would read it as"
TYPE_ATTRIBUTES = ("dtype", "to")
EXACT = 2.0**53
"""From this magnitude on FP64 itself cannot represent single units."""


def single_precision(model: ir.Model) -> list[ir.Node]:
    """Write FP32 wherever `model` has FP64, in place; return the nodes that had it.

    All or nothing: the model is unchanged if an input or output is FP64, or if a constant does not fit. The comparison
    with the original shows what FP32 loses in between.
    """
    values = {value for graph in model.graphs() for value in _values(graph) if value.dtype == DOUBLE}
    held = {value: array for value in values if (array := constant(value)) is not None}
    tensors = [
        (node, name, attr.as_tensor())
        for node in model.graph.all_nodes()
        for name, attr in node.attributes.items()
        if attr.type == ir.AttributeType.TENSOR and attr.as_tensor().dtype == DOUBLE
    ]
    interface = values & {*model.graph.inputs, *model.graph.outputs}
    if interface or not all(survives(array) for array in (*held.values(), *(tensor.numpy() for *_, tensor in tensors))):
        return []
    nodes = [node for node in model.graph.all_nodes() if values & {*node.inputs, *node.outputs}]
    for node, name, tensor in tensors:
        node.attributes[name] = ir.AttrTensor(name, ir.tensor(tensor.numpy().astype(np.float32)))
    for node in nodes:
        for name in TYPE_ATTRIBUTES:
            if attribute(node, name) == DOUBLE:
                node.attributes[name] = ir.AttrInt64(name, int(FLOAT))
    for value in values:
        if value.is_initializer() and isinstance(value.graph, ir.Graph):
            single = add_constant(value.graph, f"{value.name}_fp32", held[value].astype(np.float32))
            replace_uses(value, single)
            value.graph.initializers.pop(value.name or "")
        elif isinstance(value.type, ir.TensorType):
            value.type = ir.TensorType(FLOAT)
    return nodes


def survives(array: np.ndarray[Any, Any]) -> bool:
    """Return whether FP32 represents the FP64 `array` up to rounding: finite, integer and nonzero values stay so."""
    with np.errstate(over="ignore", under="ignore"):
        single = array.astype(np.float32)
    whole = (np.abs(array) < EXACT) & (array == np.trunc(array))
    kept = (np.isfinite(single) == np.isfinite(array)) & ((single != 0) == (array != 0))
    return bool((kept & ((single == array) | ~whole)).all())


def _values(graph: ir.Graph) -> list[ir.Value]:
    inner = [output for node in graph for output in node.outputs]
    return [*graph.inputs, *graph.initializers.values(), *inner]
