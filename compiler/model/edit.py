"""The edits that all passes make: put a node in another's place, insert one, remove what nobody reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from edgec.model.graph import replace_uses, unique_name


def substitute(
    node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Any] | None = None
) -> ir.Node:
    """Replace `node` by a node of the standard domain with the same name and outputs; return the new node.

    Args:
        node: The node to replace; its former producers are erased where nothing reads them any more.
        op_type: Operator of the new node.
        inputs: Inputs of the new node; None is a skipped optional input, trailing ones are dropped.
        attributes: Name -> int, float, str, sequence of these, tensor or `ir.Attr`; None values are left out.
    """
    graph = graph_of(node)
    kept = list(inputs)
    while kept and kept[-1] is None:
        kept.pop()
    given = {name: value for name, value in (attributes or {}).items() if value is not None}
    new = ir.node(op_type, kept, given, num_outputs=len(node.outputs), name=node.name)
    producers = [value.producer() for value in node.inputs if value is not None]
    # The name of an output that the graph returns is part of the interface, so old and new swap within one call.
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
    """Insert a node of one output in front of `node` and return that output.

    Args:
        node: The node in front of which the new one goes.
        op_type: Operator of the new node, standard domain.
        inputs: Its inputs; its output gets the dtype of the first.
        attributes: As in `substitute`.
        stem: Name of the new node and of its output, made unique.
        shape: Shape of the output, if known.
    """
    graph = graph_of(node)
    name = unique_name(graph, stem)
    given = {key: value for key, value in (attributes or {}).items() if value is not None}
    new = ir.node(op_type, inputs, given, name=name)
    output = new.outputs[0]
    output.name = name
    first = next((value for value in inputs if value is not None), None)
    output.type = first.type if first is not None else None
    output.shape = None if shape is None else ir.Shape(shape)
    graph.insert_before(node, new)
    return output


def bypass(node: ir.Node, value: ir.Value) -> None:
    """Make the readers of the only output of `node` read `value`, and erase `node`."""
    replace_uses(node.outputs[0], value)
    erase(node)


def erase(node: ir.Node) -> None:
    """Remove `node` if nothing reads its outputs, then likewise the nodes that fed it."""
    pending = [node]
    while pending:
        dead = pending.pop()
        graph = dead.graph
        if graph is None or any(output.uses() or output.is_graph_output() for output in dead.outputs):
            continue
        if any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in dead.attributes.values()):
            continue  # what its body reads of the outer graph is untangled by the clean-up of unused nodes
        pending.extend(producer for value in dead.inputs if value is not None and (producer := value.producer()))
        graph.remove(dead, safe=True)


def graph_of(node: ir.Node) -> ir.Graph:
    """Return the graph that holds `node`.

    Raises:
        ValueError: The node is in no graph, or in a function: functions are inlined before any rule runs.
    """
    if not isinstance(node.graph, ir.Graph):
        raise ValueError(f"node {node.name!r} ({node.op_type}) is in no graph")
    return node.graph
