"""Inserts nodes and constants in front of the node that is being rewritten, under names that nothing else has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.bounded import DOMAIN, add_function
from edgec.model.edit import graph_of

Array = np.ndarray[Any, Any]
Shape = Sequence[int]


class Builder:
    """Adds to `model`: nodes in front of the node `before` or, if there is none, at the end of the main graph."""

    def __init__(self, model: ir.Model) -> None:
        self.model, self.graph = model, model.graph
        self.before: ir.Node | None = None
        self._taken = {value.name for value in self.graph.inputs} | set(self.graph.initializers)
        for node in self.graph.all_nodes():
            self._taken |= {node.name, *(output.name for output in node.outputs)}
        self._number = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    def name(self, stem: str) -> str:
        """Return `stem` with a number behind it, such that nothing in the graph has that name."""
        while True:
            self._number += 1
            name = f"{stem}_{self._number}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def constant(self, array: Any, dtype: ir.DataType = ir.DataType.INT64) -> ir.Value:
        """Return an initializer with `array` (anything numpy takes) in the element type `dtype`."""
        made = np.array(array, dtype.numpy(), order="C")
        key = (dtype.name, made.shape, made.tobytes())
        if key not in self._constants:
            name = self.name("bound_constant")
            value = ir.val(name, const_value=ir.tensor(made, name=name))
            self.graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        shape: Shape,
        dtype: ir.DataType,
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """Insert a node of the standard operators with one output of `shape` and `dtype`; return the output."""
        return self._insert("", op_type, inputs, attributes, [(shape, dtype)])[0]

    def function(
        self,
        name: str,
        inputs: Sequence[ir.Value | None],
        outputs: Sequence[tuple[Shape, ir.DataType]],
        attributes: Mapping[str, Any] | None = None,
    ) -> Sequence[ir.Value]:
        """Insert a call of the operator `name` of the domain `edgec`; return its outputs."""
        add_function(self.model, name)
        return self._insert(DOMAIN, name, inputs, attributes, outputs)

    def _insert(
        self,
        domain: str,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None,
        outputs: Sequence[tuple[Shape, ir.DataType]],
    ) -> Sequence[ir.Value]:
        node = ir.Node(
            domain,
            op_type,
            inputs,
            ir.convenience.convert_attributes(dict(attributes or {})),
            num_outputs=len(outputs),
            name=self.name(f"bound_{op_type}"),
        )
        for value, (shape, dtype) in zip(node.outputs, outputs, strict=True):
            value.name = self.name(f"bound_{op_type}_output")
            value.shape, value.type = ir.Shape(shape), ir.TensorType(dtype)
        if self.before is None:
            self.graph.append(node)
        else:
            graph_of(self.before).insert_before(self.before, node)
        return node.outputs
