"""Finds the nodes that make the size of a value depend on the data, for messages and for the bounding of sizes."""

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
"""Operators whose number of rows in the result depends on the data, and what determines that number."""
SIZED_BY_INPUT = {
    "ConstantOfShape": (0,), "Expand": (1,), "OneHot": (1,), "Pad": (1,), "Range": (0, 1, 2), "Reshape": (1,),
    "Resize": (2, 3), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,), "Tile": (1,), "TopK": (1,),
    "Unsqueeze": (1,), "Upsample": (1,), "CenterCropPad": (1,), "MaxUnpool": (2,), "Col2Im": (1, 2),
}  # fmt: skip
"""Operators whose inputs at these positions give the size of the result."""
MOST_NAMED = 3


def openers(value: ir.Value) -> tuple[ir.Node, ...]:
    """Return the nodes that give `value` its open size: their inputs are static, their results are not.

    Empty if `value` is static, or if an input of the graph is open itself.
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
    """Return why `value` has no static shape, as a phrase that names nodes, and the remedy."""
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
        return "depends on the data: it is not known in advance which of its nodes run"
    computed = _sized_by(node)
    if computed:
        return f"has a size that is computed from the data ({', '.join(repr(value.name) for value in computed)})"
    return "has a shape that cannot be inferred"


def _remedy(node: ir.Node) -> str:
    if node.op_type in COUNTING:
        return f"Export the network without {node.op_type} and the nodes after it, and compute these from its outputs."
    return "Export the network with a fixed size there, or without this node."


def _sized_by(node: ir.Node) -> list[ir.Value]:
    """Return the computed inputs that give the size of the result of `node`."""
    indices = SIZED_BY_INPUT.get(node.op_type, ())
    values = [node.inputs[index] for index in indices if index < len(node.inputs)]
    return [value for value in values if value is not None and constant(value) is None]


def _measured(node: ir.Node) -> list[ir.Value]:
    """Return the values of open size whose shapes determine the size of the result of `node`."""
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
    """Yield the values that `node` reads, including values that its bodies take from outside."""
    yield from (value for value in node.inputs if value is not None)
    for graph in subgraphs(node):
        for inner in graph.all_nodes():
            for value in inner.inputs:
                if value is not None and value.graph is node.graph:
                    yield value


def _is_known(value: ir.Value) -> bool:
    return is_static(value) or constant(value) is not None
