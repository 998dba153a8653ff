"""Merges nodes that compute the same from the same inputs."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from edgec.model.graph import replace_uses

RANDOM = frozenset(
    {"RandomUniform", "RandomNormal", "RandomUniformLike", "RandomNormalLike", "Multinomial", "Bernoulli"}
)


def merge_equal(graph: ir.Graph) -> bool:
    """Keep the first of several equal nodes of `graph`, subgraphs excluded; return whether any was removed.

    `onnx_ir` has such a pass, but it merges the Identity nodes of two outputs with the same value and inserts a new
    one each time, so that the graph would change in every round.
    """
    first: dict[tuple[Any, ...], ir.Node] = {}
    merged = False
    for node in list(graph):
        key = _key(node)
        kept = node if key is None else first.setdefault(key, node)
        if kept is node:
            continue
        for old, new in zip(node.outputs, kept.outputs, strict=True):
            replace_uses(old, new)
        graph.remove(node, safe=True)
        merged = True
    return merged


def _key(node: ir.Node) -> tuple[Any, ...] | None:
    """Return a key that equal nodes share, or None for a node that has no equal."""
    if node.op_type in RANDOM or (node.op_type == "Identity" and node.outputs[0].is_graph_output()):
        return None
    attributes = []
    for name, attr in sorted(node.attributes.items()):
        if attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS, ir.AttributeType.TENSORS):
            return None
        attributes.append((name, attr.type, _plain(attr)))
    read = tuple(None if output.name == "" else index for index, output in enumerate(node.outputs))
    return node.op_identifier(), tuple(map(id, node.inputs)), tuple(attributes), read


def _plain(attr: ir.Attr) -> Any:
    if attr.type != ir.AttributeType.TENSOR:
        return repr(attr.value)
    tensor = attr.as_tensor()
    return tensor.dtype, tuple(tensor.shape), tensor.tobytes()
