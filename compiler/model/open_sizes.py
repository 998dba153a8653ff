"""Which nodes make the size of a value depend on the data, and why: for messages, and for whoever bounds such sizes."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgec.model.control_flow import is_control_flow
from edgec.model.graph import constant, is_static, label, subgraphs

COUNTING = {
    "NonMaxSuppression": "keeps as many boxes as their scores allow",
    "NonZero": "finds as many elements as are not zero",
    "Unique": "finds as many elements as differ",
    "Compress": "keeps as many elements as its condition holds for",
}
"""Operators whose result has as many rows as the data say, and what the number is."""
SIZED_BY_INPUT = {
    "ConstantOfShape": (0,), "Expand": (1,), "OneHot": (1,), "Pad": (1,), "Range": (0, 1, 2), "Reshape": (1,),
    "Resize": (2, 3), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,), "Tile": (1,), "TopK": (1,),
    "Unsqueeze": (1,), "Upsample": (1,), "CenterCropPad": (1,), "MaxUnpool": (2,), "Col2Im": (1, 2),
}  # fmt: skip
"""Operators whose result has the size that these inputs hold."""
MOST_NAMED = 3


def openers(value: ir.Value) -> tuple[ir.Node, ...]:
    """Return the nodes from which `value` has its open size: all they read is static, and what they give is not.

    Empty where `value` is static, or where an input of the graph is open itself.
    """
    found: dict[ir.Node, None] = {}
    seen: set[ir.Value] = set()
    pending = [value]
    while pending:
        each = pending.pop()
        node = each.producer()
        if each in seen or node is None or _is_known(each):
            continue
        seen.add(each)
        causes = [operand for operand in _reads(node) if not _is_known(operand)] or _measured(node)
        pending.extend(causes)
        if not causes:
            found[node] = None
    return tuple(found)


def why_open(value: ir.Value) -> tuple[str, str]:
    """Return why `value` has no static shape, as a phrase that names nodes, and what to do about it."""
    nodes = openers(value)
    if not nodes:
        return "the shape of an input is open", "Fix the open dimensions with --shape."
    shown = "; ".join(f"{node.op_type} node {label(node)!r} {_reason(node)}" for node in nodes[:MOST_NAMED])
    more = f"; and {len(nodes) - MOST_NAMED} more" if len(nodes) > MOST_NAMED else ""
    return f"{shown}{more}", _remedy(nodes[0])


def _reason(node: ir.Node) -> str:
    if node.domain not in ("", "ai.onnx"):
        return f"is of the domain {node.domain!r}, whose shapes edgec does not know"
    if node.op_type in COUNTING:
        return COUNTING[node.op_type]
    if is_control_flow(node):
        return "depends on the data: which of its nodes run is not known before"
    computed = _sized_by(node)
    if computed:
        return f"has a size that is computed from the data ({', '.join(repr(value.name) for value in computed)})"
    return "has a shape that cannot be inferred"


def _remedy(node: ir.Node) -> str:
    if node.op_type in COUNTING:
        return f"Export the network without {node.op_type} and what comes after it, and compute these from its outputs."
    return "Export the network with a fixed size there, or without this node."


def _sized_by(node: ir.Node) -> list[ir.Value]:
    """Return the inputs that hold the size of the result of `node` and are computed."""
    indices = SIZED_BY_INPUT.get(node.op_type, ())
    values = [node.inputs[index] for index in indices if index < len(node.inputs)]
    return [value for value in values if value is not None and constant(value) is None]


def _measured(node: ir.Node) -> list[ir.Value]:
    """Return the values of open size from whose shape the size of the result of `node` is computed."""
    found: list[ir.Value] = []
    pending = _sized_by(node)
    seen: set[ir.Value] = set()
    while pending:
        value = pending.pop()
        maker = value.producer()
        if value in seen or maker is None:
            continue
        seen.add(value)
        operands = [operand for operand in maker.inputs if operand is not None]
        if maker.op_type in ("Shape", "Size"):
            found.extend(operand for operand in operands if not _is_known(operand))
        else:
            pending.extend(operands)
    return found


def _reads(node: ir.Node) -> Iterator[ir.Value]:
    """Yield what `node` reads, values that its bodies take from outside included."""
    yield from (value for value in node.inputs if value is not None)
    for graph in subgraphs(node):
        for inner in graph.all_nodes():
            for value in inner.inputs:
                if value is not None and value.graph is node.graph:
                    yield value


def _is_known(value: ir.Value) -> bool:
    return is_static(value) or constant(value) is not None
