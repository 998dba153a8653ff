"""Edits of graphs: replace a node, build its replacement, remove nodes whose outputs are unused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import FreshNames, label, opset, register_constant, replace_uses, unique_name


def substitute(
    node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Any] | None = None
) -> ir.Node:
    """Replace `node` by a node of the standard domain with the same name and outputs; return the new node.

    Args:
        node: The node to replace; the nodes that fed it are removed if nothing reads their outputs any more.
        op_type: Operator of the new node.
        inputs: Inputs of the new node; None stands for a skipped optional input; trailing ones are dropped.
        attributes: Name -> int, float, str, sequence of these, tensor or `ir.Attr`; None values are left out.
    """
    graph = graph_of(node)
    kept = list(inputs)
    while kept and kept[-1] is None:
        kept.pop()
    given = {name: value for name, value in (attributes or {}).items() if value is not None}
    new = ir.node(op_type, kept, given, num_outputs=len(node.outputs), name=node.name)
    producers = [value.producer() for value in node.inputs if value is not None]
    # The name of a graph output is part of the interface, so both nodes must be exchanged within one call.
    ir.convenience.replace_nodes_and_values(graph, node, [node], [new], node.outputs, new.outputs)
    for producer in producers:
        if producer is not None:
            erase(producer)
    return new


def insert_before(
    node: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    stem: str,
    shape: Sequence[int] | None = None,
) -> ir.Value:
    """Insert a node with one output in front of `node` and return that output.

    Args:
        node: The node in front of which the new one goes.
        op_type: Operator of the new node, of the standard domain.
        inputs: Its inputs; its output gets the dtype of the first one.
        attributes: As in `substitute`.
        stem: Name of the new node and of its output, made unique.
        shape: Shape of the output, if known.
    """
    first = next((value for value in inputs if value is not None), None)
    output = _inserted(node, op_type, inputs, attributes, unique_name(graph_of(node), stem))
    output.type = first.type if first is not None else None
    output.shape = None if shape is None else ir.Shape(shape)
    return output


class Builder:
    """Builds the replacement of `node`, in front of it and named after it.

    Nothing changes for readers before `finish`. Nobody else may add names to the graph until then.

    Args:
        node: A node of a graph.
    """

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.graph = graph_of(node)
        self.stem = label(node)
        self._fresh = FreshNames(self.graph)

    def constant(self, array: Any, dtype: Any = None) -> ir.Value:
        """Add an initializer, with the dtype of `array` unless `dtype` is given."""
        return register_constant(self.graph, self._fresh(f"{self.stem}_constant"), np.asarray(array, dtype=dtype))

    def op(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        *,
        dtype: ir.DataType | None = None,
        shape: Sequence[int] | ir.Shape | None = None,
    ) -> ir.Value:
        """Insert a node of the standard domain with one output, and return the output.

        Args:
            op_type: Operator of the node.
            inputs: Its inputs; None stands for a skipped optional input.
            attributes: As in `substitute`.
            dtype: Element type of the output, if it should be set; otherwise type inference finds it.
            shape: Shape of the output, likewise.
        """
        output = _inserted(self.node, op_type, inputs, attributes, self._fresh(f"{self.stem}_{op_type}"))
        output.type = None if dtype is None else ir.TensorType(dtype)
        output.shape = None if shape is None else ir.Shape(shape)
        return output

    def reduce(self, op_type: str, value: ir.Value, axes: Sequence[int]) -> ir.Value:
        """Insert a reduction that keeps the reduced axes, in the form that the model's opset requires."""
        if opset(self.graph) >= 18 or (op_type == "ReduceSum" and opset(self.graph) >= 13):
            return self.op(op_type, [value, self.constant(axes, np.int64)], {"keepdims": 1})
        return self.op(op_type, [value], {"axes": list(axes), "keepdims": 1})

    def finish(self, value: ir.Value) -> None:
        """Make the readers of the node's first output read `value`, and remove the node."""
        replace_uses(self.node.outputs[0], value)
        self.graph.remove(self.node, safe=True)


def rewrite(node: ir.Node, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Any]) -> None:
    """Replace the inputs of `node` and the given attributes; None removes an attribute, all others stay."""
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


def insert_behind(value: ir.Value, nodes: Sequence[ir.Node], name_before: str) -> None:
    """Insert `nodes`, which compute from `value`, after its producer; readers of `value` then read their last output.

    That output gets the name, type and shape of `value`, which is renamed to `name_before`.
    """
    producer, result, name = value.producer(), nodes[-1].outputs[0], value.name or "value"
    if producer is None:
        raise ValueError(f"{name} is not computed by a node")
    graph = graph_of(producer)
    result.type, result.shape = value.type, value.shape
    readers = [use for use in value.uses() if use.node not in nodes]
    graph.insert_after(producer, nodes)
    for use in readers:
        use.node.replace_input_with(use.idx, result)
    for index, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[index] = result
    value.name = name_before
    result.name = name


def bypass(node: ir.Node, value: ir.Value) -> None:
    """Make the readers of the only output of `node` read `value`, and erase `node`."""
    replace_uses(node.outputs[0], value)
    erase(node)


def erase(node: ir.Node) -> None:
    """Remove `node` if nothing reads its outputs, then in the same way the nodes that fed it."""
    pending = [node]
    while pending:
        dead = pending.pop()
        graph = dead.graph
        if graph is None or any(output.uses() or output.is_graph_output() for output in dead.outputs):
            continue
        if any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in dead.attributes.values()):
            continue  # the clean-up of unused nodes removes what its body reads from the outer graph
        pending.extend(producer for value in dead.inputs if value is not None and (producer := value.producer()))
        graph.remove(dead, safe=True)


def graph_of(node: ir.Node) -> ir.Graph:
    """Return the graph that contains `node`.

    Raises:
        ValueError: The node is in no graph, or in a function (functions are inlined before any rule runs).
    """
    if not isinstance(node.graph, ir.Graph):
        raise ValueError(f"node {node.name!r} ({node.op_type}) is in no graph")
    return node.graph


def _inserted(
    node: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any] | None,
    name: str,
) -> ir.Value:
    given = {key: value for key, value in (attributes or {}).items() if value is not None}
    new = ir.node(op_type, inputs, given, name=name)
    new.outputs[0].name = name
    graph_of(node).insert_before(node, new)
    return new.outputs[0]
