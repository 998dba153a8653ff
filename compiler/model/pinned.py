"""Finds nodes with a size that is written into the graph, so that the graph fits only one shape of the inputs."""

from __future__ import annotations

import math

import onnx_ir as ir

from edgec.errors import BadModel
from edgec.model.graph import Array, constant, is_static, label
from edgec.model.serialize import LARGE_CONSTANT

SIZES_IN = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Resize": 3, "Split": 1}
"""Operators with an input that gives the size of the result."""
MOST_NAMED = 3


def check_reshapes(graph: ir.Graph) -> None:
    """Raise an error for a Reshape that changes the number of elements, which ONNX's inference accepts.

    Raises:
        BadModel: The message names the node, both shapes, and the nodes before it that fix sizes.
    """
    for node in graph:
        if node.domain not in ("", "ai.onnx") or node.op_type != "Reshape" or node.inputs[0] is None:
            continue
        x, y = node.inputs[0], node.outputs[0]
        if x.shape is None or y.shape is None or not (is_static(x) and is_static(y)):
            continue
        if math.prod(x.shape.numpy()) != math.prod(y.shape.numpy()):
            raise BadModel(
                f"Reshape node {label(node)!r} cannot reshape {_text(x)} to {_text(y)}{where_pinned(node)}",
                remedy="Use the shape for which the network was exported, or export it with open sizes.",
            )


def where_pinned(node: ir.Node) -> str:
    """Return, as the end of a sentence, which sizes written into the graph keep `node` from accepting other shapes.

    These are its own target shape or its constants, and the nearest nodes before it with written sizes.
    """
    if _pins(node):
        return "; that shape is written into the graph"
    own = [value for value in node.inputs if value is not None and _is_written(value)]
    found: dict[ir.Node, None] = {}
    seen: set[ir.Node] = set()
    pending = [node]
    while pending:
        each = pending.pop()
        if each in seen:
            continue
        seen.add(each)
        if _pins(each):
            found[each] = None
        else:
            makers = [value.producer() for value in each.inputs if value is not None]
            pending.extend(maker for maker in makers if maker is not None)
    names = [f"constant {value.name!r} ({_text(value)})" for value in own]
    names.extend(f"{each.op_type} node {label(each)!r} ({_sizes_text(each)})" for each in found)
    return f"; sizes are written into the graph: {', '.join(names[:MOST_NAMED])}" if names else ""


def _pins(node: ir.Node) -> bool:
    """Return whether the size of the result of `node` is written into the graph, whatever the size of its input."""
    sizes = _written_sizes(node)
    return sizes is not None and sizes.size > 0 and bool((sizes > 0).all() and (sizes > 1).any())


def _sizes_text(node: ir.Node) -> str:
    sizes = _written_sizes(node)
    return "" if sizes is None else "x".join(map(str, sizes.ravel().tolist()))


def _written_sizes(node: ir.Node) -> Array | None:
    index = SIZES_IN.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    return constant(node.inputs[index]) if index is not None and index < len(node.inputs) else None


def _is_written(value: ir.Value) -> bool:
    """Return whether `value` is a constant of more than one element."""
    array = constant(value)
    return bool(value.meta.get(LARGE_CONSTANT)) if array is None else array.ndim > 0 and array.size > 1


def _text(value: ir.Value) -> str:
    return "?" if value.shape is None else "x".join(str(dim) if isinstance(dim, int) else "?" for dim in value.shape)
