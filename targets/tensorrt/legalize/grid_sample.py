"""Rewrites GridSample of pictures with GatherElements, for parsers that lack it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder
from edgec.model.graph import attribute, dtype_of, shape_of
from edgec.targets.tensorrt.limits import Limits

MODES = {"bilinear": "linear", "linear": "linear", "nearest": "nearest"}


def grid_sample(node: ir.Node, limits: Limits) -> str | None:
    """Write y[n, c, i, j] = sum over the corners (u, v) of weight * x[n, c, v, u], corners outside counting as 0.

    The position is u = (g + 1) / 2 * (W - 1) with `align_corners`, else ((g + 1) * W - 1) / 2; if `padding_mode` is
    border it is clipped to the picture first. Linear has four corners, of weight (1 - |u - place|) * (1 - |v - place|);
    nearest has one, rounded half to even. Cubic and reflection are not rewritten.
    """
    x, grid = shape_of(node.inputs[0]), shape_of(node.inputs[1])
    mode = MODES.get(attribute(node, "mode", "linear"))
    padding = attribute(node, "padding_mode", "zeros")
    dtype = dtype_of(node.inputs[0])
    if limits.takes("GridSample") or x is None or grid is None or len(x) != 4 or dtype != np.float32:
        return None
    if mode is None or padding not in ("zeros", "border"):
        return None
    sampler = _Sampler(node, x, grid, clip=padding == "border", align=bool(attribute(node, "align_corners", 0)))
    sampler.make.finish(sampler.linear() if mode == "linear" else sampler.nearest())
    return "GridSample written with GatherElements"


class _Sampler:
    """Builds the nodes; positions and weights have the shape [N, 1, Ho * Wo], so that they broadcast over channels."""

    def __init__(self, node: ir.Node, x: tuple[int, ...], grid: tuple[int, ...], *, clip: bool, align: bool) -> None:
        self.make = Builder(node)
        self.batch, self.channels, *self.sizes = x
        self.out, self.points = grid[1:3], grid[1] * grid[2]
        self.clip, self.align = clip, align
        picture = [self.batch, self.channels, self.sizes[0] * self.sizes[1]]
        self.pixels = self.op("Reshape", node.inputs[0], self.ints(picture))
        self.grid = node.inputs[1]
        self.row, self.column = self.place(1), self.place(0)

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        return self.make.op(op_type, inputs, attributes)

    def ints(self, values: Any) -> ir.Value:
        return self.make.constant(values, np.int64)

    def number(self, value: float) -> ir.Value:
        return self.make.constant(value, np.float32)

    def place(self, part: int) -> ir.Value:
        """Return the position in pixels along the axis of `part` of the grid (0: x, 1: y)."""
        size = self.sizes[1 - part]
        value = self.op("Gather", self.grid, self.ints(part), axis=3)
        value = self.op("Reshape", value, self.ints([self.batch, 1, self.points]))
        value = self.op("Add", value, self.number(1))
        # In ONNX Runtime's order, because a position rounded differently may be nearest to another pixel.
        if self.align:
            value = self.op("Mul", self.op("Mul", value, self.number(0.5)), self.number(size - 1))
        else:
            value = self.op("Sub", self.op("Mul", value, self.number(size)), self.number(1))
            value = self.op("Mul", value, self.number(0.5))
        return self.op("Clip", value, self.number(0), self.number(size - 1)) if self.clip else value

    def nearest(self) -> ir.Value:
        return self.shaped(self.corner(self.op("Round", self.row), self.op("Round", self.column)))

    def linear(self) -> ir.Value:
        corners = []
        for row, row_weight in self.neighbours(self.row):
            for column, column_weight in self.neighbours(self.column):
                weight = self.op("Mul", row_weight, column_weight)
                corners.append(self.op("Mul", self.corner(row, column), weight))
        total = corners[0]
        for corner in corners[1:]:
            total = self.op("Add", total, corner)
        return self.shaped(total)

    def neighbours(self, place: ir.Value) -> list[tuple[ir.Value, ir.Value]]:
        """Return the two pixels around `place` on one axis, each with its weight."""
        low = self.op("Floor", place)
        past = self.op("Sub", place, low)
        one = self.number(1)
        return [(low, self.op("Sub", one, past)), (self.op("Add", low, one), past)]

    def corner(self, row: ir.Value, column: ir.Value) -> ir.Value:
        """Return the pixels at integer positions, 0 outside the picture: [N, C, Ho * Wo]."""
        height, width = self.sizes
        inside = [self.bounded(row, height), self.bounded(column, width)]
        index = self.op("Add", self.op("Mul", inside[0], self.number(width)), inside[1])
        index = self.op("Cast", index, to=int(ir.DataType.INT64))
        every_channel = self.ints([self.batch, self.channels, self.points])
        found = self.op("GatherElements", self.pixels, self.op("Expand", index, every_channel), axis=2)
        # |clipped - place| is 0 inside, at least 1 outside.
        for place, near in ((row, inside[0]), (column, inside[1])):
            outside = self.op("Greater", self.op("Abs", self.op("Sub", near, place)), self.number(0.5))
            found = self.op("Where", outside, self.number(0), found)
        return found

    def bounded(self, place: ir.Value, size: int) -> ir.Value:
        return self.op("Clip", place, self.number(0), self.number(size - 1))

    def shaped(self, value: ir.Value) -> ir.Value:
        return self.op("Reshape", value, self.ints([self.batch, self.channels, *self.out]))
