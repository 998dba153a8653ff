"""The elementwise part of a region over plain tensors, all of them seen as matrices [rows, columns]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import te, tirx

from edgec.targets.tvm.regions.elementwise import BINARY, PARAMETRIC, UNARY
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.operators import DEQUANTIZE
from edgec.targets.tvm.regions.rule import Operand
from edgec.targets.tvm.schedules.common.kernel import f32, floordiv, floormod
from edgec.targets.tvm.schedules.common.packed_expression import apply

VIEWS = frozenset({"relax.reshape", "relax.squeeze", "relax.expand_dims"})


def matrix_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns of `shape` seen as a matrix, whose columns are the last axis."""
    return (math.prod(shape[:-1]), shape[-1]) if shape else (1, 1)


def unravel(row: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the index over the leading axes `shape[:-1]` of the matrix row `row`."""
    index: list[Any] = []
    for extent in reversed(shape[:-1]):
        index.append(floormod(row, extent) if extent > 1 else tirx.const(0, "int32"))
        row = floordiv(row, extent) if extent > 1 else row
    return tuple(reversed(index))


def is_plain_elementwise(node: Node, rows: int, columns: int) -> bool:
    """Return whether `node` computes a [rows, columns] matrix element by element, or is a view of one."""
    if node.packed or not node.shape or node.dtype != "float32" or matrix_of(node.shape) != (rows, columns):
        return False
    if node.op in VIEWS:
        return isinstance(node.args[0], Node) and matrix_of(node.args[0].shape or ()) == (rows, columns)
    if node.op in UNARY or node.op in PARAMETRIC:
        return isinstance(node.args[0], Node) and bool(node.args[0].shape == node.shape)
    return node.op in BINARY and all(_is_operand(arg) for arg in node.args)


def fits_matrix(anchor: Node, node: Node) -> bool:
    """Return whether `node` is elementwise work on the result of `anchor`, both seen as matrices."""
    return anchor.shape is not None and is_plain_elementwise(node, *matrix_of(anchor.shape))


def _is_operand(arg: Any) -> bool:
    if isinstance(arg, np.ndarray):
        return bool(arg.dtype == np.float32)
    return isinstance(arg, Node) and arg.shape is not None and arg.dtype == "float32"


class PlainExpression:
    """Builds a region's values at (row, column), and collects the operands that it reads.

    Args:
        members: Members of the region; those in `given` are not expanded.
    """

    def __init__(self, members: list[Node]) -> None:
        self.members = {id(member) for member in members}
        self.tensors: list[te.Tensor] = []
        self.operands: list[Operand] = []
        self._known: dict[int, te.Tensor] = {}
        self._keep: list[Any] = []

    def at(self, node: Node, row: Any, column: Any, given: dict[int, Callable[[Any, Any], Any]]) -> Any:
        """Return the value of `node` at (row, column); `given` contains stages that are already computed, by node."""
        memo: dict[int, Any] = {}

        def member(current: Node) -> Any:
            if id(current) in given:
                return given[id(current)](row, column)
            if id(current) not in memo:
                if current.op in VIEWS:
                    memo[id(current)] = value(current.args[0], current)
                else:
                    memo[id(current)] = apply(current, lambda arg: value(arg, current))
            return memo[id(current)]

        def value(arg: Any, reader: Node) -> Any:
            if isinstance(arg, Node) and (id(arg) in self.members or id(arg) in given):
                return member(arg)
            shape = arg.shape if reader.op in VIEWS else reader.shape
            return self.load(arg, shape or (), row, column)

        return member(node)

    def load(self, arg: Node | Array, shape: tuple[int, ...], row: Any, column: Any) -> Any:
        """Return element (row, column) of a matrix of `shape` to which `arg` broadcasts."""
        if isinstance(arg, np.ndarray) and arg.size == 1:
            return f32(float(arg.reshape(-1)[0]))
        if isinstance(arg, Node) and arg.op == DEQUANTIZE:
            return apply(arg, lambda source: self.load(source, shape, row, column))
        tensor = self._tensor(arg)
        index = (*unravel(row, shape), column) if shape else ()
        extents = [int(extent) for extent in tensor.shape]
        index = index[len(index) - len(extents) :]
        return tensor[tuple(0 if extent == 1 else at for extent, at in zip(extents, index, strict=True))]

    def _tensor(self, arg: Node | Array) -> te.Tensor:
        if id(arg) not in self._known:
            self._keep.append(arg)
            assert arg.shape is not None
            tensor = te.placeholder(arg.shape, str(arg.dtype), name=f"in{len(self.tensors)}")
            self._known[id(arg)] = tensor
            self.tensors.append(tensor)
            self.operands.append(Operand(np.ascontiguousarray(arg) if isinstance(arg, np.ndarray) else arg))
        return self._known[id(arg)]
