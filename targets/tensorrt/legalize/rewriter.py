"""`Rewriter`: builds the nodes that take the place of one node, in front of it and named after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, opset, replace_uses, unique_name


class Rewriter:
    """Builds replacements for `node`, which must be in a graph; nothing changes for readers before `finish`."""

    def __init__(self, node: ir.Node) -> None:
        if not isinstance(node.graph, ir.Graph):
            raise ValueError(f"node {node.name!r} ({node.op_type}) is in no graph")
        self.node = node
        self.graph = node.graph
        self.stem = node.name or node.outputs[0].name or node.op_type

    def constant(self, array: Any, dtype: Any = None) -> ir.Value:
        """Add an initializer; without `dtype` the array's own."""
        return add_constant(self.graph, f"{self.stem}_constant", np.asarray(array, dtype=dtype))

    def op(
        self, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Any] | None = None
    ) -> ir.Value:
        """Insert a node of the standard domain with one output in front of the old node; return the output."""
        name = unique_name(self.graph, f"{self.stem}_{op_type}")
        new = ir.node(op_type, inputs, dict(attributes or {}), name=name)
        new.outputs[0].name = name
        self.graph.insert_before(self.node, new)
        return new.outputs[0]

    def reduce(self, op_type: str, value: ir.Value, axes: Sequence[int]) -> ir.Value:
        """Insert a reduction that keeps the reduced axes, written as the model's opset wants it."""
        if opset(self.graph) >= 18 or (op_type == "ReduceSum" and opset(self.graph) >= 13):
            return self.op(op_type, [value, self.constant(axes, np.int64)], {"keepdims": 1})
        return self.op(op_type, [value], {"axes": list(axes), "keepdims": 1})

    def finish(self, value: ir.Value) -> None:
        """Make the readers of the node's first output read `value`, and remove the node."""
        replace_uses(self.node.outputs[0], value)
        self.graph.remove(self.node, safe=True)


def dtype_of(value: ir.Value | None) -> np.dtype[Any] | None:
    """Return the numpy dtype of `value`, or None where it is unknown."""
    return None if value is None or value.dtype is None else np.dtype(value.dtype.numpy())


def shape_of(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return the shape of `value`, or None unless it is static."""
    return None if value is None or value.shape is None or not value.shape.is_static() else value.shape.numpy()


def rewrite(node: ir.Node, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Any]) -> None:
    """Give `node` other inputs and attributes; None in `attributes` removes one, those not named stay."""
    kept = list(inputs)
    while kept and kept[-1] is None:
        kept.pop()
    node.resize_inputs(len(kept))
    for index, value in enumerate(kept):
        if node.inputs[index] is not value:
            node.replace_input_with(index, value)
    for name, value in attributes.items():
        if value is None:
            node.attributes.pop(name, None)
        else:
            node.attributes[name] = ir.convenience.convert_attribute(name, value)
