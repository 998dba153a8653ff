"""Rewrites MatMul of vectors with matrices: parsers reshape the vector wrongly beside a stack of matrices."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder
from edgec.model.graph import shape_of
from edgec.targets.tensorrt.limits import Limits


def vector_matmul(node: ir.Node, limits: Limits) -> str | None:
    """Make a vector on the left a row, on the right a column, and remove the axis of size 1 from the result."""
    shapes, result = [shape_of(value) for value in node.inputs], shape_of(node.outputs[0])
    left, right = shapes
    if left is None or right is None or result is None or min(len(left), len(right)) != 1:
        return None
    make, (a, b) = Builder(node), node.inputs
    if len(left) == 1:
        a = make.op("Reshape", [a, make.constant([1, *left], np.int64)])
    if len(right) == 1:
        b = make.op("Reshape", [b, make.constant([*right, 1], np.int64)])
    make.finish(make.op("Reshape", [make.op("MatMul", [a, b]), make.constant(result, np.int64)]))
    return "MatMul of a vector written with a matrix"
