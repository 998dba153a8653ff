"""`Propagation`: the channels along every axis of every tensor, as far as they have been followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from edgec.errors import BadModel
from edgec.model.graph import constant, is_static, label
from edgec.passes.channels.coupling import FIXED, Coupling, Ids

Axes = list[Ids]
"""Channels of one tensor: for each axis the channel of each index."""
Role = Literal["filters", "follows", "reads"]
"""What a layer's constant does with the channels along an axis: it computes them, accompanies them (depthwise weights,
bias, scale, slope), or sums over them."""


@dataclass(frozen=True, eq=False)
class Operand:
    """A constant as one or several inputs read it; small ones are distinguished by reader, even of one tensor."""

    value: ir.Value
    axes: Axes
    readers: list[tuple[ir.Node, int]]


@dataclass(frozen=True, eq=False)
class Use:
    """Axis `axis` of a constant operand has the role `role` in layer `node`."""

    node: ir.Node
    operand: Operand
    axis: int
    role: Role


class Propagation:
    """The channels of all values found so far; each operator reads and extends it.

    Attributes:
        coupling: Channels that are removed together.
        values: Computed value or input -> its axes.
        operands: All constants that have channels.
        uses: What layers do with them.
    """

    def __init__(self) -> None:
        self.coupling = Coupling()
        self.values: dict[ir.Value, Axes] = {}
        self.operands: list[Operand] = []
        self.uses: list[Use] = []
        self._known: dict[tuple[ir.Value, ir.Node | None, int], Operand] = {}

    def axes(self, node: ir.Node, index: int) -> Axes:
        """Return the axes of an input of `node`: those of a computed value or of a constant (created on first use)."""
        value = node.inputs[index]
        if value is None:
            raise ValueError(f"{label(node)}: input {index} is absent")
        return self.values[value] if value in self.values else self.operand(node, index).axes

    def operand(self, node: ir.Node, index: int) -> Operand:
        """Return the constant in input `index` of `node`.

        Weights that several layers share are one operand, so that they stay shared. Vectors are not: exporters merge
        equal ones (biases of zero) of unrelated layers.
        """
        value = node.inputs[index]
        array = constant(value)
        if value is None or array is None:
            raise ValueError(f"{label(node)}: input {index} is not constant")
        vector = array.size == max(array.shape, default=1)
        key = (value, node, index) if vector else (value, None, 0)
        found = self._known.get(key)
        if found is None:
            axes = [self.coupling.new(size) if size > 1 else fixed(1) for size in array.shape]
            found = Operand(value, axes, [])
            self.operands.append(found)
            self._known[key] = found
        if (node, index) not in found.readers:
            found.readers.append((node, index))
        return found

    def note(self, node: ir.Node, operand: Operand, axis: int, role: Role) -> None:
        """Record what `node` does with axis `axis` of `operand`."""
        self.uses.append(Use(node, operand, axis, role))

    def give(self, node: ir.Node, axes: Axes, output: int = 0) -> None:
        """Set the axes of an output of `node`."""
        self.values[node.outputs[output]] = axes

    def fix(self, node: ir.Node, ids: Ids, why: str) -> None:
        """Fix channels at `node`, for the reason `why`, e.g. `sums over them`."""
        if (ids != FIXED).any():
            self.coupling.fix(ids, f"{label(node)} ({node.op_type}) {why}")

    def tie(self, node: ir.Node, first: Ids, second: Ids) -> None:
        """Tie channels that `node` combines one by one; BadModel where there are not as many of both."""
        if len(first) != len(second):
            problem = f"{label(node)} ({node.op_type}) combines {len(first)} with {len(second)} channels"
            raise BadModel(problem, remedy="Export the model again.")
        self.coupling.tie(first, second, f"{label(node)} ({node.op_type}) combines them with channels that must stay")

    def tie_rows(self, node: ir.Node, rows: Ids) -> Ids:
        """Tie all channels of each row [n, m]; return one of each, [n]."""
        return self.coupling.tie_rows(
            rows, f"{label(node)} ({node.op_type}) ties them to channels that cannot be removed"
        )

    def block(self, node: ir.Node, why: str) -> None:
        """Fix all channels that `node` reads, and make its outputs fixed."""
        for value in [*node.inputs, *_captured(node)]:
            for ids in self.values.get(value, ()) if value is not None else ():
                self.fix(node, ids, why)
        for output in node.outputs:
            if is_static(output) and output.shape is not None:
                self.values[output] = [fixed(size) for size in output.shape.numpy()]


def fixed(size: int) -> Ids:
    """Return `size` channels that are never removed."""
    return np.full(size, FIXED, np.int64)


def _captured(node: ir.Node) -> list[ir.Value]:
    """Return the values that the bodies of `node` read from outside."""
    bodies = [attr.as_graph() for attr in node.attributes.values() if attr.type == ir.AttributeType.GRAPH]
    for attr in node.attributes.values():
        if attr.type == ir.AttributeType.GRAPHS:
            bodies.extend(attr.as_graphs())
    return [value for body in bodies for inner in body.all_nodes() for value in inner.inputs if value is not None]
