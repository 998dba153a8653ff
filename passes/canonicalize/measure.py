"""A measure that every rewrite lowers: canonicalization repeats while it falls, so that it terminates.

Two measures are compared part by part, and the first difference decides (a lexicographic order of well-founded parts):

1. Control flow: the nesting heights of If, Loop and Scan, largest first (a multiset ordering: a resolved node
   leaves only nodes of lower height), then the number of operators on sequences.
2. Terms: one number per node, largest first. It grows with those of the operands, so that replacing a node by a
   smaller one lowers all nodes that follow, and nodes inserted before it are smaller than the old one. Operators that
   transposes sink through multiply: op(Transpose(x)) is 2 (x + 3) + 2, Transpose(op(x)) is 2 x + 2 + 3.
3. Disorder: constants in first place, attributes left to their defaults, and similar, which are rewritten in place.
4. The number of constants.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from edgec.model.control_flow import is_control_flow
from edgec.model.graph import attribute, constant, subgraphs
from edgec.model.sequences import MAKERS, READERS
from edgec.passes.canonicalize.drop_empty import unused_inputs
from edgec.passes.canonicalize.explicit_windows import WINDOWED, left_implicit
from edgec.passes.canonicalize.operands import static_shape
from edgec.passes.canonicalize.sink_transpose import SINKABLE

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"})
"""No rule moves anything past these operators: the numbers start again after them, which keeps them small."""
INPUT, WEIGHT = 1, 2
HEAVY = {
    "Add": 3,
    "Sub": 4,
    "Div": 3,
    "Transpose": 3,
    "Compress": 3,
    "Flatten": 3,
    "Squeeze": 3,
    "Unsqueeze": 3,
    "CastLike": 3,
}
"""Operators that a rule rewrites as another one have a larger weight than that one."""

Measure = tuple[list[int], int, list[int], int, int]


def measure(model: ir.Model) -> Measure:
    """Return the measure of `model`; compare two of them by `<`."""
    nodes = list(model.graph.all_nodes())
    heights = sorted((_height(node) for node in nodes if is_control_flow(node)), reverse=True)
    sequences = sum(node.op_type in (MAKERS - {"Identity"}) | READERS for node in nodes)
    terms: dict[ir.Value, int] = {}
    for node in nodes:
        term = _term(node, terms)
        terms.update(dict.fromkeys(node.outputs, term))
    sizes = sorted((terms[node.outputs[0]] for node in nodes if node.op_type != "Identity"), reverse=True)
    return (
        heights,
        sequences,
        sizes,
        sum(map(_disorder, nodes)),
        sum(len(graph.initializers) for graph in model.graphs()),
    )


def _height(node: ir.Node) -> int:
    inside = [inner for graph in subgraphs(node) for inner in graph if is_control_flow(inner)]
    return 1 + max(map(_height, inside), default=0)


def _term(node: ir.Node, terms: dict[ir.Value, int]) -> int:
    operands = [_operand(value, terms) for value in node.inputs]
    weight = HEAVY.get(node.op_type, WEIGHT)
    if node.domain != "" or node.op_type in LAYERS:
        return weight
    if node.op_type == "Identity":
        return sum(operands)
    if node.op_type == "Sum":  # n operands become n - 1 Adds
        return (sum(operands) + HEAVY["Add"]) << max(len(operands), 1)
    if node.op_type == "Swish":  # x * Sigmoid(x)
        return 4 * (2 * sum(operands) + WEIGHT)
    if node.op_type in SINKABLE or node.op_type == "CastLike":
        return 2 * sum(operands) + weight
    return sum(operands) + weight + (len(operands) if node.op_type == "Concat" else 0)


def _operand(value: ir.Value | None, terms: dict[ir.Value, int]) -> int:
    if value is None or constant(value) is not None:
        return 0
    return terms.get(value, INPUT)


def _disorder(node: ir.Node) -> int:
    """Return how many parts of `node` a rule would still rewrite without replacing it by another operator."""
    count = DISORDER.get(node.op_type)
    return 0 if count is None or node.domain != "" else count(node)


def _swapped(node: ir.Node) -> int:
    first, second = node.inputs
    constants = constant(first) is not None and constant(second) is None
    gate = None if first is None else first.producer()
    return int(constants) + int(gate is not None and gate.op_type == "Sigmoid" and gate.inputs[0] is second)


def _unspelled(node: ir.Node) -> int:
    written, shape = constant(node.inputs[1]), static_shape(node.outputs[0])
    return int(written is None or tuple(written.tolist()) != shape or bool(attribute(node, "allowzero", 0)))


DISORDER: dict[str, Callable[[ir.Node], int]] = {
    "Add": _swapped,
    "Identity": lambda node: 1,
    "Mul": _swapped,
    "Reshape": _unspelled,
    "Resize": lambda node: len(unused_inputs(node)),
    **dict.fromkeys(WINDOWED, left_implicit),
}
