"""Which operators are elementwise work on packed tensors, so that any kernel of packed tensors can take them in."""

from __future__ import annotations

import numpy as np

from edgec.targets.tvm.regions.elementwise import BINARY, PARAMETRIC, UNARY
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.operators import QUANTIZE


def is_packed_elementwise(node: Node) -> bool:
    """Whether `node` is an elementwise operator that can read packed operands, at least one of which is packed."""
    if node.shape is None or len(node.shape) != 4 or (node.dtype != "float32" and node.op != QUANTIZE):
        return False
    if node.op in UNARY or node.op in PARAMETRIC or node.op == QUANTIZE:
        return isinstance(node.args[0], Node) and node.args[0].packed
    if node.op not in BINARY:
        return False
    return all(_readable(arg, node.shape) for arg in node.args) and any(
        isinstance(arg, Node) and arg.packed for arg in node.args
    )


def _readable(arg: object, shape: tuple[int, ...]) -> bool:
    if isinstance(arg, np.ndarray):
        return arg.dtype == np.float32 and arg.ndim <= 4
    if not isinstance(arg, Node) or arg.shape is None or len(arg.shape) != 4 or arg.dtype != "float32":
        return False
    return all(mine in (1, whole) for mine, whole in zip(arg.shape, shape, strict=True))
