"""Evaluates the arithmetic on shapes that exporters leave in a graph: Shape, Gather, Concat and the like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.model.graph import attribute, constant

Array = np.ndarray[Any, Any]

LARGEST_ELEMENTS = 64
"""A shape has a handful of elements; anything larger is data and not looked at."""
ARITHMETIC = frozenset(
    """Abs Add And Cast Ceil Concat ConstantOfShape Div Equal Expand Flatten Floor Gather Greater GreaterOrEqual
    Identity Less LessOrEqual Max Min Mod Mul Neg Not Or Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape
    ScatterElements ScatterND Slice Split Sqrt Squeeze Sub Tile Transpose Unsqueeze Where""".split()  # noqa: SIM905
)


def shape_values(model: ir.Model) -> dict[str, Array]:
    """Return the values computed by the main graph's nodes from static shapes and small constants alone, by name.

    Constant nodes are left out: they are known anyhow.
    """
    known: dict[ir.Value, Array] = {}
    for node in model.graph:
        if node.domain in ("", "ai.onnx"):
            known.update(_evaluate(node, known, model.graph.opset_imports))
    return {value.name or "": array for value, array in known.items()}


def _evaluate(node: ir.Node, known: dict[ir.Value, Array], opsets: dict[str, int]) -> dict[ir.Value, Array]:
    if node.op_type in ("Shape", "Size"):
        return _measure(node)
    if node.op_type not in ARITHMETIC or any(_is_large(value) for value in node.outputs):
        return {}
    operands: dict[str, Array] = {}
    for value in node.inputs:
        if value is None:
            continue
        array = known[value] if value in known else _small_constant(value)
        if array is None:
            return {}
        operands[value.name or ""] = array
    results = _run(node, operands, opsets)
    return {
        value: np.asarray(array)
        for value, array in zip((value for value in node.outputs if value.name), results, strict=True)
        if np.size(array) <= LARGEST_ELEMENTS
    }


def _run(node: ir.Node, operands: dict[str, Array], opsets: dict[str, int]) -> list[Any]:
    # Imported here: it is slow to import, and most models have no such arithmetic.
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

    graph = onnx.helper.make_graph(
        [ir.to_proto(node)],
        "node",
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in operands],
        [onnx.helper.make_value_info(value.name, onnx.TypeProto()) for value in node.outputs if value.name],
    )
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return list(ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=imports)).run(None, operands))


def _is_large(value: ir.Value) -> bool:
    shape = value.shape
    return shape is not None and shape.is_static() and math.prod(shape.numpy()) > LARGEST_ELEMENTS


def _measure(node: ir.Node) -> dict[ir.Value, Array]:
    measured = node.inputs[0]
    if measured is None or measured.shape is None or not measured.shape.is_static():
        return {}
    shape = measured.shape.numpy()
    if node.op_type == "Size":
        return {node.outputs[0]: np.array(math.prod(shape), dtype=np.int64)}
    part = shape[attribute(node, "start", 0) : attribute(node, "end")]
    return {node.outputs[0]: np.array(part, dtype=np.int64)}


def _small_constant(value: ir.Value) -> Array | None:
    array = constant(value)
    return None if array is None or array.size > LARGEST_ELEMENTS else array
