"""Evaluates the shape arithmetic that exporters leave in a graph: Shape, Gather, Concat and similar operators."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.model.graph import attribute, constant

Array = np.ndarray[Any, Any]

LARGEST_ELEMENTS = 64
"""Maximum number of elements of an evaluated value: shapes have few elements; larger values are data."""
ARITHMETIC = frozenset(
    """Abs Add And Cast CastLike Ceil Clip Concat ConstantOfShape Div Equal Expand Flatten Floor Gather GatherElements
    GatherND Greater GreaterOrEqual Identity IsInf IsNaN Less LessOrEqual Max Mean Min Mod Mul Neg Not Or Pow Range
    Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape Round ScatterElements ScatterND Sign Slice
    Split Sqrt Squeeze Sub Sum Tile Transpose Unsqueeze Where Xor""".split()  # noqa: SIM905
)


def shape_values(model: ir.Model) -> dict[ir.Value, Array]:
    """Return the values computed from static shapes and small constants alone, in the graph and its subgraphs.

    Constant nodes are left out, because their values are known anyway.
    """
    known: dict[ir.Value, Array] = {}
    for node in model.graph.all_nodes():
        known.update(evaluate(node, known, model.graph.opset_imports))
    return known


def evaluate(node: ir.Node, known: Mapping[ir.Value, Array], opsets: Mapping[str, int]) -> dict[ir.Value, Array]:
    """Return the outputs of `node` that follow from static shapes, small constants and the values `known`."""
    if node.domain not in ("", "ai.onnx"):
        return {}
    if node.op_type in ("Shape", "Size"):
        return _measure(node)
    if node.op_type not in ARITHMETIC or any(_is_large(value) for value in node.outputs):
        return {}
    operands: dict[str, Array] = {}
    arrays: list[Array | None] = []
    for value in node.inputs:
        array = None
        if value is not None:
            array = known[value] if value in known else _small_constant(value)
            if array is None:
                return {}
            operands[value.name or ""] = array
        arrays.append(array)
    if _elements(node, arrays) > LARGEST_ELEMENTS:
        return {}
    outputs = [value for value in node.outputs if value.name]
    return {
        value: np.asarray(array)
        for value, array in zip(outputs, _run(node, operands, opsets), strict=False)
        if np.size(array) <= LARGEST_ELEMENTS
    }


def known_value(value: ir.Value | None, known: Mapping[ir.Value, Array]) -> Array | None:
    """Return the value of `value` if it is among `known` or a constant; None if it depends on the data."""
    if value is None:
        return None
    return known[value] if value in known else constant(value)


def _run(node: ir.Node, operands: dict[str, Array], opsets: Mapping[str, int]) -> list[Any]:
    # Imported here: it is slow to import, and most models have no such arithmetic.
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

    graph = onnx.helper.make_graph(
        [ir.to_proto(node)],
        "node",
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in operands],
        [onnx.helper.make_value_info(value.name, onnx.TypeProto()) for value in node.outputs if value.name],
    )
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return list(ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=imports)).run(None, operands))
    except Exception:  # numpy may raise anything; what is wrong with the node is reported elsewhere
        return []


def _elements(node: ir.Node, operands: list[Array | None]) -> float:
    """Return the number of elements of the result for operators that may enlarge their input; 0 for all others."""
    first, *rest = operands or [None]
    if first is None:
        return 0
    if node.op_type == "ConstantOfShape":
        return _product(first)
    second = rest[0] if rest else None
    if node.op_type in ("Expand", "Tile") and second is not None:
        return first.size * _product(second)
    if node.op_type == "Range" and second is not None and rest[1] is not None:
        start, limit, step = (float(each.reshape(-1)[0]) for each in (first, second, rest[1]))
        return abs((limit - start) / step) if step and math.isfinite(start + limit + step) else math.inf
    return 0


def _product(sizes: Array) -> float:
    """Return the product of integers of any size, where numpy's would overflow."""
    product = math.prod(int(size) for size in sizes.ravel())
    return float(min(product, 1 << 62))


def _is_large(value: ir.Value) -> bool:
    shape = value.shape
    return shape is not None and shape.is_static() and math.prod(shape.numpy()) > LARGEST_ELEMENTS


def _measure(node: ir.Node) -> dict[ir.Value, Array]:
    measured = node.inputs[0] if node.inputs else None
    if measured is None or measured.shape is None:
        return {}
    if node.op_type == "Size":
        if not measured.shape.is_static():
            return {}
        return {node.outputs[0]: np.array(math.prod(measured.shape.numpy()), dtype=np.int64)}
    part = list(measured.shape)[attribute(node, "start", 0) : attribute(node, "end")]
    if not all(isinstance(dim, int) for dim in part):
        return {}
    return {node.outputs[0]: np.array(part, dtype=np.int64)}


def _small_constant(value: ir.Value) -> Array | None:
    array = constant(value)
    return None if array is None or array.size > LARGEST_ELEMENTS else array
