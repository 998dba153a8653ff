"""Work along the last axis: softmax, layer norm (also decomposed), means, sums, extrema, and elementwise work around.

A task computes every stage for one row, which stays in L1. A reduction keeps a vector of partial results, because a sum
of floats in order is a chain of additions that no compiler may break.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm import intrinsics
from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import PARALLEL_THRESHOLD, f32, finish
from edgec.targets.tvm.schedules.common.plain_expression import (
    PlainExpression,
    is_plain_elementwise,
    matrix_of,
    unravel,
)
from edgec.targets.tvm.schedules.nest import whole_vectors

Value = Callable[[Any, Any], Any]
# TVM's own begin with the lowest finite number, but the maximum of a completely masked row must be minus infinity.
# TVM inspects the number of arguments of the function, hence the lambdas.
LARGEST = te.comm_reducer(lambda a, b: te.max(a, b), lambda dtype: tirx.const(-math.inf, dtype), name="largest")  # noqa: PLW0108
SMALLEST = te.comm_reducer(lambda a, b: te.min(a, b), lambda dtype: tirx.const(math.inf, dtype), name="smallest")  # noqa: PLW0108
REDUCTIONS: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
    "relax.sum": (te.sum, lambda a, b: a + b),
    "relax.mean": (te.sum, lambda a, b: a + b),
    "relax.max": (LARGEST, te.max),
    "relax.min": (SMALLEST, te.min),
}
LARGEST_ROW = 1 << 16
LONG_ROW = 8
"""Vectors of a row from which on it pays to compute some elements twice rather than the odd ones one by one."""


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` works along the last axis of a plain float tensor."""
    source = node.args[0] if node.args else None
    if node.dtype != "float32" or not node.shape or not isinstance(source, Node) or not source.shape:
        return False
    if source.dtype != "float32" or not 1 < source.shape[-1] <= LARGEST_ROW or math.prod(source.shape) == 0:
        return False
    rank = len(source.shape)
    if node.op in ("relax.nn.softmax", "relax.nn.log_softmax"):
        return node.op == "relax.nn.softmax" and int(node.attrs.axis) % rank == rank - 1
    if node.op == "relax.nn.layer_norm":
        constant = all(isinstance(arg, np.ndarray) for arg in node.args[1:3])
        return constant and [int(axis) % rank for axis in node.attrs.axes] == [rank - 1]
    return reduces_rows(node)


def reduces_rows(node: Node) -> bool:
    """Return whether `node` reduces the last axis and keeps it with extent 1."""
    if node.op not in REDUCTIONS or node.attrs.axis is None or not node.attrs.keepdims:
        return False
    shape = node.args[0].shape if isinstance(node.args[0], Node) else None
    if not shape:
        return False
    return [axis % len(shape) for axis in node.ints("axis")] == [len(shape) - 1]


def fits(anchor: Node, node: Node) -> bool:
    """Return whether `node` may join the region of `anchor`: it works along the same rows, or is elementwise."""
    whole, width = matrix_of(anchor.args[0].shape)
    if reduces_rows(node):
        return not node.packed and matrix_of(node.args[0].shape or ()) == (whole, width)
    return is_plain_elementwise(node, whole, width) or is_plain_elementwise(node, whole, 1)


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a region of work along rows."""
    source, tail = region.anchor.args[0], region.tail
    rows, columns = matrix_of(source.shape)
    builder = _Stages(region, rows, columns, cpu)
    given: dict[int, Value] = {}
    for member in region.members:
        if member.op == "relax.nn.softmax":
            given[id(member)] = builder.softmax(builder.operand(member, given))
        elif member.op == "relax.nn.layer_norm":
            given[id(member)] = builder.layer_norm(member, builder.operand(member, given))
        elif member.op in REDUCTIONS:
            given[id(member)] = builder.reduce(member.op, builder.operand(member, given))
    assert tail.shape is not None
    width = tail.shape[-1]
    out = te.compute((rows, width), lambda m, n: builder.expression.at(tail, m, n, given), name="out")
    function = te.create_prim_func([*builder.expression.tensors, out])
    sch = schedule(Schedule(function), cpu, rows * columns)
    tail_shape = tail.shape
    sch.transform_layout(sch.get_sblock("out"), "out", lambda m, n: (*unravel(m, tail_shape), n))
    return Kernel(whole_vectors(finish(sch)), builder.expression.operands, tail_shape)


class _Stages:
    """The TE stages of one region, each over [rows, columns]."""

    def __init__(self, region: Region, rows: int, columns: int, cpu: CpuModel) -> None:
        self.expression = PlainExpression(region.members)
        self.rows, self.columns, self.lanes = rows, columns, cpu.lanes
        self.count = 0

    def operand(self, member: Node, given: dict[int, Value]) -> Value:
        """Return the first operand of `member` as a function of (row, column)."""
        source = member.args[0]
        if id(source) in self.expression.members or id(source) in given:
            return lambda m, n: self.expression.at(source, m, n, given)
        return lambda m, n: self.expression.load(source, source.shape, m, n)

    def _name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def reduce(self, op: str, value: Value) -> Value:
        """Return the reduction of each row, as a function that ignores the column."""
        reducer, join = REDUCTIONS[op]
        total = self._lanes(reducer, join, value)
        scale = f32(1.0 / self.columns)
        if op == "relax.mean":
            return lambda m, n: total[m] * scale
        return lambda m, n: total[m]

    def _lanes(self, reducer: Any, join: Callable[[Any, Any], Any], value: Value) -> te.Tensor:
        lanes, whole = self.lanes, self.columns // self.lanes
        parts: list[te.Tensor] = []
        if whole:
            outer, inner = te.reduce_axis((0, whole), "ro"), te.reduce_axis((0, lanes), "ri")
            wide = te.compute(
                (self.rows, lanes),
                lambda m, i: reducer(value(m, outer * lanes + i), axis=outer),
                name=self._name("wide"),
            )
            parts.append(
                te.compute((self.rows,), lambda m: reducer(wide[m, inner], axis=inner), name=self._name("narrow"))
            )
        if self.columns % lanes:
            rest = te.reduce_axis((0, self.columns % lanes), "rest")
            parts.append(
                te.compute(
                    (self.rows,), lambda m: reducer(value(m, whole * lanes + rest), axis=rest), name=self._name("rest")
                )
            )
        if len(parts) == 1:
            return parts[0]
        return te.compute((self.rows,), lambda m: join(parts[0][m], parts[1][m]), name=self._name("join"))

    def softmax(self, value: Value) -> Value:
        """Return e**(x - max), divided by its sum; the exponentials are stored, the rest is recomputed."""
        largest = self.reduce("relax.max", value)
        powers = te.compute(
            (self.rows, self.columns), lambda m, n: intrinsics.exp(value(m, n) - largest(m, n)), name=self._name("map")
        )
        total = self.reduce("relax.sum", lambda m, n: powers[m, n])
        inverse = te.compute((self.rows,), lambda m: f32(1.0) / total(m, 0), name=self._name("join"))
        return lambda m, n: powers[m, n] * inverse[m]

    def layer_norm(self, node: Node, value: Value) -> Value:
        """Return (x - mean) / sqrt(variance + epsilon) * scale + shift."""
        mean = self.reduce("relax.mean", value)
        variance = self.reduce("relax.mean", lambda m, n: (value(m, n) - mean(m, n)) * (value(m, n) - mean(m, n)))
        epsilon = f32(float(node.attrs.epsilon))
        inverse = te.compute(
            (self.rows,), lambda m: f32(1.0) / te.sqrt(variance(m, 0) + epsilon), name=self._name("join")
        )
        gamma, beta = node.args[1], node.args[2]

        def result(m: Any, n: Any) -> Any:
            scaled = (value(m, n) - mean(m, n)) * inverse[m]
            if bool(getattr(node.attrs, "scale", True)):
                scaled = scaled * self.expression.load(gamma, node.shape or (), m, n)
            if bool(getattr(node.attrs, "center", True)):
                scaled = scaled + self.expression.load(beta, node.shape or (), m, n)
            return scaled

        return result


def schedule(sch: Schedule, cpu: CpuModel, elements: int) -> Schedule:
    """Move every stage into the row loop of `out`, the innermost last, and vectorize each along the row."""
    out = sch.get_sblock("out")
    row = sch.get_loops(out)[0]
    if elements >= PARALLEL_THRESHOLD:
        sch.parallel(row)
    names = [sch.get(block).name_hint for block in sch.get_child_blocks(sch.get_sblock("root"))]
    for name in reversed(names[:-1]):
        sch.compute_at(sch.get_sblock(name), row, preserve_unit_loops=True)
    for name in names:
        block = sch.get_sblock(name)
        loops = sch.get_loops(block)[1:]
        if name.startswith("wide"):
            *_, lane, outer = loops
            sch.reorder(outer, lane)
            sch.vectorize(lane)
            sch.decompose_reduction(block, outer)
        elif name.startswith(("map", "out")):
            extent = int(sch.get(loops[-1]).extent)
            # A short row of odd length is left whole: LLVM vectorizes the loop and peels the remainder.
            lanes = cpu.lanes if extent >= LONG_ROW * cpu.lanes else math.gcd(extent, cpu.lanes)
            if lanes > 1:
                _, lane = sch.split(loops[-1], [None, lanes])
                sch.vectorize(lane)
    return sch


RULE = Rule("rows", "plain", match, lower, fits=fits, grows="first")
