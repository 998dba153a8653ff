"""Queries of the rules on the operands of a node: its variable input, its constants, static shapes, float types."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from edgec.model.graph import constant, scalar, single_consumer

Array = np.ndarray[Any, Any]


class WithConstant(NamedTuple):
    """A binary node with exactly one constant operand."""

    variable: ir.Value
    value: ir.Value
    array: Array
    constant_is_first: bool


def with_constant(node: ir.Node) -> WithConstant | None:
    """Return the operands of a binary node of which exactly one is constant, or None."""
    if len(node.inputs) != 2:
        return None
    first, second = node.inputs
    if first is None or second is None:
        return None
    left, right = constant(first), constant(second)
    if (left is None) == (right is None):
        return None
    if right is not None:
        return WithConstant(first, second, right, False)
    return WithConstant(second, first, left, True) if left is not None else None


def scalar_operand(node: ir.Node) -> tuple[ir.Value, float] | None:
    """Return the variable operand and the number of a commutative binary node with a one-element constant, or None."""
    operands = with_constant(node)
    if operands is None or (number := scalar(operands.value)) is None:
        return None
    # A constant of higher rank than the variable would add axes to the result.
    rank = rank_of(operands.variable)
    if rank is None or operands.array.ndim > rank:
        return None
    return operands.variable, number


def own_producer(value: ir.Value | None, *ops: str) -> ir.Node | None:
    """Return the node with an operator among `ops` that computes `value` for a single reader, or None."""
    if value is None:
        return None
    node = value.producer()
    if node is None or node.domain != "" or node.op_type not in ops or single_consumer(value) is None:
        return None
    return node


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return the shape of `value` if every dimension is known, or None."""
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(value.shape.numpy())


def rank_of(value: ir.Value | None) -> int | None:
    """Return the rank of `value` if known, or None."""
    return None if value is None or value.shape is None else len(value.shape)


def is_float(value: ir.Value | None) -> bool:
    """Return whether `value` is known to contain floating-point numbers."""
    return value is not None and value.dtype is not None and value.dtype.is_floating_point()


def clip_bounds(node: ir.Node) -> tuple[float, float] | None:
    """Return the constant bounds of a Clip or Relu node, infinite if absent, or None if one is computed."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    bounds = []
    for index, absent in ((1, float("-inf")), (2, float("inf"))):
        value = node.inputs[index] if len(node.inputs) > index else None
        number = absent if value is None else scalar(value)
        if number is None:
            return None
        bounds.append(number)
    return bounds[0], bounds[1]
