"""A cheap identity of a model, by which a pass finds out whether it changed anything."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir


def fingerprint(model: ir.Model) -> tuple[Any, ...]:
    """Return a value that is equal before and after if, and only if, structure, names, types and tensors are unchanged.

    Tensors are the same if they are the same object; the value holds references to them, so that no new one can get
    the same address. Metadata and documentation strings are ignored.
    """
    return (model.ir_version, tuple(sorted(model.opset_imports.items())), *map(_graph, model.graphs()))


def _graph(graph: ir.Graph | ir.Function) -> tuple[Any, ...]:
    initializers = graph.initializers.items() if isinstance(graph, ir.Graph) else ()
    return (
        tuple(map(_value, graph.inputs)),
        tuple(map(_value, graph.outputs)),
        tuple((name, _Same(value.const_value)) for name, value in initializers),
        tuple(map(_node, graph)),
    )


def _node(node: ir.Node) -> tuple[Any, ...]:
    return (
        node.name,
        node.op_identifier(),
        tuple(None if value is None else value.name for value in node.inputs),
        tuple(map(_value, node.outputs)),
        tuple(sorted((name, _attribute(attr)) for name, attr in node.attributes.items())),
    )


def _attribute(attr: ir.Attr) -> Any:
    if attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return "graph"  # it is visited separately
    if attr.type in (ir.AttributeType.TENSOR, ir.AttributeType.TENSORS):
        return _Same(attr.value)
    return repr(attr.value)


def _value(value: ir.Value) -> tuple[Any, ...]:
    return value.name, str(value.type), str(value.shape)


class _Same:
    """Equal to another instance that holds the same object."""

    def __init__(self, held: object) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held

    def __lt__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return id(self.held)
