"""Constant folding by numpy: TVM's own compiles a program per operator, which takes seconds for one network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgec.targets.tvm.regions.facts import Array, Scaling
from edgec.targets.tvm.regions.graph import Graph, Node, nodes_in
from edgec.targets.tvm.regions.operators import DEQUANTIZE, QUANTIZE

RESHAPES = frozenset({"relax.reshape", "relax.squeeze", "relax.expand_dims"})
UNARY: dict[str, Callable[[Array], Array]] = {
    "relax.sqrt": np.sqrt,
    "relax.rsqrt": lambda x: np.reciprocal(np.sqrt(x)),
    "relax.negative": np.negative,
    "relax.exp": np.exp,
    "relax.abs": np.abs,
    "relax.isnan": np.isnan,
}
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "relax.add": np.add,
    "relax.subtract": np.subtract,
    "relax.multiply": np.multiply,
    "relax.divide": np.divide,
    "relax.maximum": np.maximum,
    "relax.minimum": np.minimum,
}


def fold(graph: Graph) -> bool:
    """Replace nodes of `graph` that read only constants by their values; return whether no such node is left.

    This folds only operators that numpy computes exactly as TVM does; the others are left to TVM.
    """
    complete = True
    for node in list(graph.nodes):
        if not node.args or any(True for _ in nodes_in(node.args)) or not _reads_array(node):
            continue
        value = _value(node)
        if value is None:
            complete = False
        else:
            graph.replace(node, np.array(value, node.dtype, order="C"))  # ascontiguousarray makes a scalar a vector
    graph.relink()
    return complete


def _reads_array(node: Node) -> bool:
    return any(isinstance(arg, (np.ndarray, list)) for arg in node.args)


def _value(node: Node) -> Array | None:
    """Return the constant that `node` computes; None if it is not folded by numpy."""
    first = node.args[0]
    if node.shape is None or not isinstance(first, np.ndarray):
        return None
    if node.op in (QUANTIZE, DEQUANTIZE):
        return _pair(node, first)
    if node.op in RESHAPES:
        return first.reshape(node.shape)
    if node.op == "relax.permute_dims":
        return first.transpose(None if node.attrs.axes is None else node.ints("axes"))
    if node.op == "relax.where" and all(isinstance(arg, np.ndarray) for arg in node.args):
        chosen: Array = np.where(*node.args)
        return chosen
    return _arithmetic(node.op, first, node.args[1:]) if first.dtype.kind == "f" else None


def _pair(node: Node, array: Array) -> Array:
    scaling = node.known(Scaling)
    return scaling.quantize(array, node.dtype) if node.op == QUANTIZE else scaling.dequantize(array)


def _arithmetic(op: str, first: Array, rest: Sequence[Any]) -> Array | None:
    if op in UNARY:
        return UNARY[op](first)
    second = rest[0] if op in BINARY else None
    if isinstance(second, np.ndarray) and second.dtype == first.dtype:
        return BINARY[op](first, second)
    return None
