"""`Loop` with a known number of iterations: its body becomes a function that is called once per iteration."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgec.model.graph import constant, scalar, subgraphs
from edgec.targets.tvm.operators.node import Refused


def turns_of(node: ir.Node) -> int:
    """Return the number of iterations of the Loop `node`.

    Raises:
        Refused: It depends on the data, or the body ends the loop.
    """
    count = scalar(node.inputs[0])
    begins = len(node.inputs) < 2 or node.inputs[1] is None or scalar(node.inputs[1])
    body = node.attributes["body"].as_graph()
    if count is None or not begins or _origin(body.outputs[0]) is not body.inputs[1]:
        raise Refused("with a number of iterations that depends on the data")
    return max(int(count), 0)


def captured(node: ir.Node) -> list[ir.Value]:
    """Return the values that the body of the Loop `node` reads from outside of it, except constants."""
    body = node.attributes["body"].as_graph()
    made, read = _values(body)
    return list(dict.fromkeys(value for value in read if value not in made and constant(value) is None))


def loops(graph: ir.Graph) -> Iterator[ir.Node]:
    """Yield the Loops of `graph`, inner ones before those that contain them."""
    for node in graph:
        for inner in subgraphs(node):
            yield from loops(inner)
        if node.op_type == "Loop" and node.domain == "":
            yield node


def _values(graph: ir.Graph) -> tuple[set[ir.Value], list[ir.Value]]:
    """Return the values that `graph` and its subgraphs compute, and those they read, in order."""
    made, read = {*graph.inputs, *graph.initializers.values()}, []
    for node in graph:
        made.update(node.outputs)
        read += [value for value in node.inputs if value is not None]
        for inner in subgraphs(node):
            more = _values(inner)
            made |= more[0]
            read += more[1]
    return made, [*read, *graph.outputs]


def _origin(value: ir.Value) -> ir.Value:
    producer = value.producer()
    if producer is not None and producer.op_type == "Identity" and producer.inputs[0] is not None:
        return _origin(producer.inputs[0])
    return value
