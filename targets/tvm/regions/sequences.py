"""Sequences become pictures of one row: [N, C, L] and [N, C, L, 1] are seen as [N, C, 1, L], whose bytes are the same.

Tiles run along rows, and only pictures lie in blocks of channels. A sequence between convolutions stays one throughout.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from edgec.targets.tvm.regions.elementwise import BINARY, PARAMETRIC, UNARY
from edgec.targets.tvm.regions.facts import Array, Convolution, Pool
from edgec.targets.tvm.regions.graph import Graph, Node

Shape = tuple[int, ...]
SEQUENCE, PICTURE = 3, 4
CHANNELS, LENGTH = 1, 2
"""Axes."""
VIEW = "relax.reshape"
VIEWS = frozenset({VIEW, "relax.squeeze", "relax.expand_dims"})
WINDOWS = frozenset({"relax.nn.conv2d", "edgec.max_pool"})
"""Operators that can be turned."""
ROWS = frozenset({*WINDOWS, "edgec.average_pool", "edgec.interleave"})
"""Operators of pictures that lie in blocks of channels, of one row too."""


def sequences_as_rows(graph: Graph) -> None:
    """Rewrite, in place, convolutions and pools of sequences, and elementwise work between or behind them."""
    rows = _Rows()
    for node in list(graph.nodes):
        rows.visit(node)
    outside = [node for node in graph.nodes if id(node) not in rows.known]
    for node in outside:
        node.args = rows.restored(node.args)
    graph.outputs = rows.restored(graph.outputs)
    graph.nodes += rows.views


class _Rows:
    """What each node is as a picture of one row, as far as the nodes ahead of it are known."""

    def __init__(self) -> None:
        self.known: dict[int, Node] = {}
        self.turned: set[int] = set()
        self.views: list[Node] = []
        self._back: dict[int, Node] = {}
        self._in: dict[int, Node] = {}

    def visit(self, node: Node) -> None:
        """Turn `node` if that pays; note what it is as a picture of one row."""
        if node.dtype != "float32" or not node.shape or math.prod(node.shape) == 0 or not node.args:
            return
        source = node.args[0]
        if node.op in VIEWS:
            row = self.known.get(id(source)) if isinstance(source, Node) else None
            if row is not None and row.shape == row_of(node.shape):
                node.op, node.args, node.call = VIEW, [row], None
                self.known[id(node)] = row
        elif node.op in ROWS and node.facts is not None:
            self._visit_window(node, node.facts)
        elif node.op == "relax.concat":
            self._visit_concat(node)
        elif node.op == "relax.mean" and id(source) in self.known:
            self._visit_mean(node)
        elif node.op in UNARY or node.op in PARAMETRIC:
            if id(source) in self.known:
                self._turn(node, [self.known[id(source)], *node.args[1:]])
        elif node.op in BINARY:
            operands = [self._operand(arg, node) for arg in node.args]
            if all(operand is not None for operand in operands) and any(id(arg) in self.known for arg in node.args):
                self._turn(node, operands)

    def _visit_window(self, node: Node, layer: Any) -> None:
        source = node.args[0]
        assert node.shape is not None
        if row_of(node.shape) == node.shape and row_of(source.shape) == source.shape:
            node.args[0] = self.known.get(id(source), source)
            self.known[id(node)] = node
            return
        if node.op not in WINDOWS or row_of(source.shape) is None or row_of(node.shape) is None:
            return
        window = layer.weights.shape[2:] if isinstance(layer, Convolution) else layer.window
        if window[1] != 1 or layer.padding[1] or layer.padding[3]:
            return
        if id(source) not in self.known and window[0] == 1:  # its rows are fused anyway
            return
        node.facts = turned_window(layer)
        self._turn(node, [self.known.get(id(source)) or self._view(source), *node.args[1:]])

    def _visit_mean(self, node: Node) -> None:
        axes = [] if node.attrs.axis is None else node.ints("axis")
        if len(node.shape or ()) == SEQUENCE and node.attrs.keepdims and axes in ([LENGTH], [LENGTH - SEQUENCE]):
            self._turn(node, [self.known[id(node.args[0])]])
            node.op = "edgec.global_pool"

    def _visit_concat(self, node: Node) -> None:
        parts = node.args[0] if isinstance(node.args[0], list) else node.args
        known = [self.known.get(id(part)) for part in parts]
        if None not in known and int(node.attrs.axis) == CHANNELS:
            self._turn(node, [known])

    def _operand(self, arg: Any, reader: Node) -> Any:
        """Return an operand of elementwise work as it is read by the row of `reader`, or None if it cannot be."""
        if isinstance(arg, np.ndarray):
            return arg if arg.size == 1 else _row_of_constant(arg, len(reader.shape or ()))
        if (
            id(arg) not in self.known
            and arg.shape is not None
            and arg.dtype == "float32"
            and len(arg.shape) >= SEQUENCE
        ):
            if arg.shape[2:] == (1, 1):
                return arg
            if arg.shape[2:] == (1,):
                return self._view(arg)
        return self.known.get(id(arg))

    def _turn(self, node: Node, args: list[Any]) -> None:
        assert node.shape is not None
        row = row_of(node.shape)
        if row is not None and row != node.shape:
            node.original = node.shape
            node.shape = row
            self.turned.add(id(node))
        node.args = args
        self.known[id(node)] = node

    def _view(self, source: Node) -> Node:
        """Return what `source`, not turned itself, is as a row."""
        if id(source) not in self._in:
            view = Node(VIEW, [source], row_of(source.shape or ()), source.dtype, order=source.order + 0.0001)
            self._in[id(source)] = view
            self.views.append(view)
        return self._in[id(source)]

    def restored(self, values: Any) -> list[Any]:
        """Return arguments of a node that is not turned, or outputs, with turned ones in their own shapes."""
        return [self.restored(value) if isinstance(value, list) else self._restored(value) for value in values]

    def _restored(self, value: Any) -> Any:
        if not isinstance(value, Node) or id(value) not in self.turned:
            return value
        if id(value) not in self._back:
            view = Node(VIEW, [value], value.original, value.dtype, order=value.order + 0.0001)
            self._back[id(value)] = view
            self.views.append(view)
        return self._back[id(value)]


def row_of(shape: Shape) -> Shape | None:
    """Return the shape of a sequence, or of pictures one row or one column wide, as that of pictures of one row."""
    if len(shape) == SEQUENCE:
        return (*shape[:2], 1, shape[2])
    if len(shape) == PICTURE and 1 in shape[2:]:
        return (*shape[:2], 1, math.prod(shape[2:]))
    return None


def turned_window(layer: Convolution | Pool) -> Convolution | Pool:
    """Return a layer of pictures one column wide for the same as pictures of one row; `layer` is altered in place."""
    top, left, bottom, right = layer.padding
    padding, strides = (left, top, right, bottom), layer.strides[::-1]
    if isinstance(layer, Pool):
        return replace(layer, window=layer.window[::-1], strides=strides, padding=padding)
    layer.weights = np.ascontiguousarray(layer.weights.swapaxes(2, 3))
    layer.padding, layer.strides, layer.dilation = padding, strides, layer.dilation[::-1]
    return layer


def _row_of_constant(array: Array, rank: int) -> Array | None:
    """Return a constant operand of elementwise work on tensors of `rank` axes as it broadcasts to their rows."""
    whole = (1,) * (rank - array.ndim) + array.shape
    row = row_of(whole)
    return None if row is None else array.reshape(row)
