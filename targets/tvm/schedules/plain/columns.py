"""Work along an axis before the last: means, sums, extrema, softmax, decomposed layer norm, and elementwise work after.

A task takes a strip of columns, some vectors wide, through every stage; partial results stay in registers, since
neighbouring columns are independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import te
from tvm.s_tir import Schedule

from edgec.targets.tvm import intrinsics
from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.elementwise import BINARY, PARAMETRIC, UNARY
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import PARALLEL_THRESHOLD, f32, finish
from edgec.targets.tvm.schedules.common.packed_expression import apply
from edgec.targets.tvm.schedules.common.tiles import divisors
from edgec.targets.tvm.schedules.plain.rows import REDUCTIONS

Index = tuple[Any, ...]
Value = Callable[[Index], Any]
SOFTMAX = "relax.nn.softmax"
WIDEST_STRIP = 4
"""Number of vectors of columns per task."""
REDUCED = 1
"""Extent of a reduced axis, which is kept."""


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` reduces axes before the last of a plain float tensor, or is a softmax along them."""
    source = node.args[0] if node.args else None
    if node.dtype != "float32" or not node.shape or not isinstance(source, Node) or not source.shape:
        return False
    if source.dtype != "float32" or math.prod(source.shape) == 0 or source.shape[-1] == 1:
        return False
    axes = axes_of(node)
    return axes is not None and len(source.shape) - 1 not in axes


def axes_of(node: Node) -> frozenset[int] | None:
    """Return the axes that `node` reduces and keeps, or along which it is a softmax; None if it is neither."""
    rank = len(node.args[0].shape or ()) if node.args and isinstance(node.args[0], Node) else 0
    if node.op == SOFTMAX:
        return frozenset({int(node.attrs.axis) % rank})
    if node.op not in REDUCTIONS or node.attrs.axis is None or not node.attrs.keepdims:
        return None
    return frozenset(axis % rank for axis in node.ints("axis"))


def fits(anchor: Node, node: Node) -> bool:
    """Return whether `node` may join the region of `anchor`: it works along the same axes, or is elementwise."""
    whole = anchor.args[0].shape
    if node.op in REDUCTIONS:
        return node.dtype == "float32" and node.args[0].shape == whole and axes_of(node) == axes_of(anchor)
    axes = axes_of(anchor) or ()
    reduced = tuple(REDUCED if axis in axes else extent for axis, extent in enumerate(whole))
    if node.packed or node.dtype != "float32" or node.shape not in (whole, reduced):
        return False
    if node.op in UNARY or node.op in PARAMETRIC:
        return isinstance(node.args[0], Node)
    return node.op in BINARY and all(_is_operand(arg) for arg in node.args)


def _is_operand(arg: Any) -> bool:
    return arg.dtype == "float32" and arg.shape is not None if isinstance(arg, (Node, np.ndarray)) else False


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a region of work along columns."""
    stages = _Stages(region)
    for member in region.members:
        if member.op == SOFTMAX:
            stages.given[id(member)] = stages.softmax(stages.operand(member))
        elif member.op in REDUCTIONS:
            stages.given[id(member)] = stages.reduce(member.op, stages.operand(member))
    shape = region.tail.shape
    assert shape is not None
    out = te.compute(shape, lambda *index: stages.at(region.tail, index), name="out")
    sch = schedule(Schedule(te.create_prim_func([*stages.tensors, out])), sorted(stages.axes), cpu)
    return Kernel(finish(sch), stages.operands, shape)


class _Stages:
    """The TE stages of one region, over the axes of its source; reduced axes have extent 1."""

    def __init__(self, region: Region) -> None:
        self.members = {id(member) for member in region.members}
        self.shape = region.anchor.args[0].shape
        self.axes = axes_of(region.anchor) or frozenset()
        self.given: dict[int, Value] = {}
        self.tensors: list[te.Tensor] = []
        self.operands: list[Operand] = []
        self._known: dict[int, te.Tensor] = {}
        self._keep: list[Any] = []
        self._count = 0

    def at(self, node: Node, index: Index) -> Any:
        """Return the value of a member at `index`."""
        memo: dict[int, Any] = {}

        def value(arg: Any) -> Any:
            if id(arg) in self.given:
                return self.given[id(arg)](index)
            if id(arg) not in self.members:
                return self.load(arg, index)
            if id(arg) not in memo:
                memo[id(arg)] = apply(arg, value)
            return memo[id(arg)]

        return value(node)

    def operand(self, member: Node) -> Value:
        """Return the first operand of `member`."""
        source = member.args[0]
        known = id(source) in self.members or id(source) in self.given
        return (lambda index: self.at(source, index)) if known else (lambda index: self.load(source, index))

    def load(self, arg: Node | Array, index: Index) -> Any:
        """Return the element of an operand outside the region that is broadcast to `index`."""
        if isinstance(arg, np.ndarray) and arg.size == 1:
            return f32(float(arg.reshape(-1)[0]))
        if id(arg) not in self._known:
            self._keep.append(arg)
            assert arg.shape is not None
            self._known[id(arg)] = te.placeholder(arg.shape, name=f"in{len(self.tensors)}")
            self.tensors.append(self._known[id(arg)])
            self.operands.append(Operand(np.ascontiguousarray(arg) if isinstance(arg, np.ndarray) else arg))
        tensor = self._known[id(arg)]
        extents = [int(extent) for extent in tensor.shape]
        aligned = index[len(index) - len(extents) :]
        return tensor[tuple(0 if extent == 1 else at for extent, at in zip(extents, aligned, strict=True))]

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _reduced(self, index: Index) -> Index:
        return tuple(0 if axis in self.axes else at for axis, at in enumerate(index))

    def _stage(self, compute: Callable[[Index], Any], kind: str, *, whole: bool = False) -> Value:
        shape = [REDUCED if axis in self.axes and not whole else extent for axis, extent in enumerate(self.shape)]
        stage = te.compute(tuple(shape), lambda *index: compute(index), name=self._name(kind))
        return lambda index: stage[index if whole else self._reduced(index)]

    def reduce(self, op: str, value: Value) -> Value:
        """Return the reduction over the region's axes."""
        reducer, _ = REDUCTIONS[op]
        over = {axis: te.reduce_axis((0, self.shape[axis]), f"r{axis}") for axis in sorted(self.axes)}
        total = self._stage(
            lambda index: reducer(
                value(tuple(over.get(axis, at) for axis, at in enumerate(index))), axis=list(over.values())
            ),
            "total",
        )
        scale = f32(1.0 / math.prod(self.shape[axis] for axis in self.axes))
        return (lambda index: total(index) * scale) if op == "relax.mean" else total

    def softmax(self, value: Value) -> Value:
        """Return e**(x - max), divided by its sum."""
        largest = self.reduce("relax.max", value)
        powers = self._stage(lambda index: intrinsics.exp(value(index) - largest(index)), "map", whole=True)
        total = self.reduce("relax.sum", powers)
        inverse = self._stage(lambda index: f32(1.0) / total(index), "map")
        return lambda index: powers(index) * inverse(index)


def schedule(sch: Schedule, axes: list[int], cpu: CpuModel) -> Schedule:
    """Schedule tasks of strips of columns; every stage is computed within its strip and vectorized along it."""
    out = sch.get_sblock("out")
    loops = sch.get_loops(out)
    width, lanes = _strip(int(sch.get(loops[-1]).extent), cpu)
    strips, column = sch.split(loops[-1], [None, width])
    kept = [loop for axis, loop in enumerate(loops[:-1]) if axis not in axes]
    along = [loops[axis] for axis in axes]
    sch.reorder(*kept, strips, *along, column)
    task = sch.fuse(*kept, strips) if kept else strips
    names = [sch.get(block).name_hint for block in sch.get_child_blocks(sch.get_sblock("root"))]
    for name in reversed(names[:-1]):
        sch.compute_at(sch.get_sblock(name), task, preserve_unit_loops=True)
    inners = [sch.get_loops(sch.get_sblock(name))[1:] for name in names]
    elements = max(math.prod(int(sch.get(loop).extent) for loop in inner) for inner in inners)
    if int(sch.get(task).extent) * elements >= PARALLEL_THRESHOLD:
        sch.parallel(task)  # ahead of what takes reductions apart: TVM does not know them as such behind it
    for name, inner in zip(names, inners, strict=True):
        block = sch.get_sblock(name)
        if name.startswith("total"):
            reduced = inner[-len(axes) :]
            column = inner[-len(axes) - 1]
            sch.reorder(*reduced, column)
            _vectorize(sch, column, lanes)
            sch.decompose_reduction(block, reduced[0])
        else:
            _vectorize(sch, inner[-1], lanes)
    return sch


def _strip(columns: int, cpu: CpuModel) -> tuple[int, int]:
    """Return the number of columns of a strip, and of a vector in it (1: vectorization is left to LLVM)."""
    lanes = math.gcd(columns, cpu.lanes)
    if lanes < min(4, cpu.lanes):
        return columns, 1
    return max(count for count in divisors(columns // lanes) if count <= WIDEST_STRIP) * lanes, lanes


def _vectorize(sch: Schedule, column: Any, lanes: int) -> None:
    if lanes == 1:
        return
    vectors, lane = sch.split(column, [None, lanes])
    sch.unroll(vectors)
    sch.vectorize(lane)


RULE = Rule("columns", "plain", match, lower, fits=fits, grows="first")
