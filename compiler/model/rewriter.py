"""Replaces nodes of a graph, with unused names, when their results are known before the network runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from edgec.model.edit import graph_of
from edgec.model.graph import Array, FreshNames, opset, subgraphs
from edgec.model.shape_values import evaluate, known_value, shape_values


class Rewriter:
    """Edits of one model, of any opset, and the known values of the model.

    Attributes:
        opset: Version of the standard operators, which determines the form of inserted nodes.
        room: Number of nodes that may still be added.
    """

    def __init__(self, model: ir.Model, room: int) -> None:
        self.opset, self.room = opset(model), room
        self._imports = model.graph.opset_imports
        self._known = shape_values(model)
        self._fresh = FreshNames(model.graph)

    def value(self, value: ir.Value | None) -> Array | None:
        """Return the known value of `value`, or None if it depends on the data."""
        return known_value(value, self._known)

    def number(self, value: ir.Value | None) -> int | None:
        """Return the known number in `value`, or None."""
        array = self.value(value)
        return None if array is None or array.size != 1 else int(array.reshape(-1)[0])

    def add(
        self,
        node: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any],
        count: int = 1,
    ) -> Sequence[ir.Value]:
        """Insert a node of the standard domain with `count` outputs in front of `node`, and return these."""
        stem = f"{node.outputs[0].name}_{op_type.lower()}"
        new = ir.node(op_type, inputs, attributes, num_outputs=count, name=self._free(stem))
        for output in new.outputs:
            output.name = self._free(stem)
        self._insert(node, new)
        return new.outputs

    def constant(self, node: ir.Node, what: str, array: Array) -> ir.Value:
        """Add `array` to the graph of `node` as an initializer, and return its value."""
        name = self._free(f"{node.outputs[0].name}_{what}")
        return self._initializer(graph_of(node), name, ir.tensor(array, name=name))

    def insert_body(
        self, node: ir.Node, body: ir.Graph, inputs: Sequence[ir.Value | None]
    ) -> tuple[list[ir.Node], list[ir.Value]]:
        """Insert a copy of `body`, a graph inside `node`, in front of `node`; it reads `inputs` in place of its own.

        Returns:
            The nodes of the copy, and the values that correspond to the outputs of `body`.
        """
        copy = body.clone(allow_outer_scope_values=True)
        results = list(copy.outputs)
        copy.outputs.clear()
        stand_ins = {formal: actual for formal, actual in zip(copy.inputs, inputs, strict=True) if actual is not None}
        for value in list(copy.initializers.values()):
            if value.const_value is not None:
                stand_ins[value] = self._initializer(graph_of(node), self._free(value.name), value.const_value)
        for formal, actual in stand_ins.items():
            formal.replace_all_uses_with(actual)
        nodes = list(copy)
        copy.remove(nodes)
        for each in nodes:
            each.name = self._free(each.name)
            for output in each.outputs:
                output.name = self._free(output.name) if output.name else output.name
            self._insert(node, each)
        return nodes, [stand_ins.get(value, value) for value in results]

    def undo(self, nodes: Sequence[ir.Node]) -> None:
        """Remove inserted nodes whose outputs are not read."""
        for node in reversed(nodes):
            self.remove(node)
        self.room += len(nodes)

    def replace(self, node: ir.Node, results: Sequence[ir.Value | None]) -> None:
        """Remove `node`; its readers read `results`, through an Identity that keeps the name of its output."""
        for old, new in zip(node.outputs, results, strict=True):
            if new is None or not is_read(old):
                continue
            if isinstance(old.type, (ir.TensorType, type(None))):
                self._carry(node, old, new)
            else:  # a sequence, for which older opsets have no Identity
                old.replace_all_uses_with(new)
        self.remove(node)

    def remove(self, node: ir.Node) -> None:
        """Remove `node`, whose outputs are not read, and its bodies' references to values of the graph around it."""
        for graph in subgraphs(node):
            for inner in graph.all_nodes():
                for index in range(len(inner.inputs)):
                    inner.replace_input_with(index, None)
        graph_of(node).remove(node, safe=True)

    def _carry(self, node: ir.Node, old: ir.Value, new: ir.Value) -> None:
        graph, name = graph_of(node), old.name or ""
        identity = ir.node("Identity", [new], name=self._free(f"{name}_identity"))
        output = identity.outputs[0]
        output.type, output.name = old.type, name
        old.name = self._free(f"{name}_resolved")
        self._insert(node, identity)
        for index, value in enumerate(graph.outputs):
            if value is old:
                graph.outputs[index] = output
        old.replace_all_uses_with(output)

    def _insert(self, node: ir.Node, new: ir.Node) -> None:
        graph_of(node).insert_before(node, new)
        self._known.update(evaluate(new, self._known, self._imports))
        self.room -= 1

    def _initializer(self, graph: ir.Graph, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.val(name, const_value=tensor)
        graph.register_initializer(value)
        return value

    def _free(self, stem: str | None) -> str:
        return self._fresh(stem or "node")


def is_read(value: ir.Value) -> bool:
    """Return whether a node reads `value` or `value` is an output of its graph."""
    return bool(value.uses()) or value.is_graph_output()
