"""Finds outputs whose rows are ordered by a ranking, from the graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import onnx_ir as ir

from edgec.model.graph import attribute, constant
from edgec.reference.rows import Rows


class Mark(NamedTuple):
    """Rows lie along an axis: the node whose ranking orders them, and how many elements of the axis are one row."""

    ranking: str
    run: int = 1


Marks = dict[int, Mark]
"""By axis of a value."""

REDUCING = frozenset({"ArgMax", "ArgMin"})


def ranked_outputs(model: ir.Model) -> dict[str, Rows]:
    """Return the outputs whose rows are in the order of a TopK or NonMaxSuppression, by name.

    A ranked axis is followed through element-wise operators, Gather with ranked indices, Transpose, Reshape and
    products. If it cannot be followed, the output is compared as it is.
    """
    marks: dict[ir.Value, Marks] = {}
    for node in model.graph:
        for index, output in enumerate(node.outputs):
            found = _marks(node, index, marks)
            rank = None if output.shape is None else len(output.shape)
            if found and rank is not None:
                marks[output] = {axis: source for axis, source in found.items() if 0 <= axis < rank}
    result: dict[str, Rows] = {}
    for value in model.graph.outputs:
        for axis, mark in sorted(marks.get(value, {}).items()):
            if mark.run == 1:
                result.setdefault(value.name or "", Rows(mark.ranking, axis))
    return result


def _marks(node: ir.Node, index: int, marks: Mapping[ir.Value, Marks]) -> Marks:
    given = [marks.get(value, {}) if value is not None else {} for value in node.inputs]
    mark = Mark(node.name or node.outputs[0].name or "")
    if node.op_type == "NonMaxSuppression":
        return {0: mark}
    if node.op_type == "TopK":
        axis = attribute(node, "axis", -1) % max(1, _rank(node.inputs[0]))
        return {**given[0], axis: mark}
    if not any(given):
        return {}
    rule = RULES.get(node.op_type)
    if rule is not None:
        return rule(node, given)
    if node.op_type.startswith("Reduce") or node.op_type in REDUCING:
        return _reduced(node, given)
    return _broadcast(node, given)


def _rank(value: ir.Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


def _sizes(value: ir.Value | None) -> list[Any]:
    return [] if value is None or value.shape is None else list(value.shape)


def _broadcast(node: ir.Node, given: Sequence[Marks]) -> Marks:
    """Element-wise or row-wise operators: axes stay in place, counted from the last, unless they are broadcast."""
    rank, sizes = _rank(node.outputs[0]), _sizes(node.outputs[0])
    found: Marks = {}
    for value, marks in zip(node.inputs, given, strict=True):
        before = _sizes(value)
        for axis, source in marks.items():
            to = axis + rank - len(before)
            if 0 <= to < rank and before[axis] == sizes[to]:
                found.setdefault(to, source)
    return found


def _gather(node: ir.Node, given: Sequence[Marks]) -> Marks:
    axis = attribute(node, "axis", 0) % max(1, _rank(node.inputs[0]))
    indices = _rank(node.inputs[1])
    found = {axis + at: source for at, source in given[1].items()}
    for at, source in given[0].items():
        if at != axis:
            found.setdefault(at if at < axis else at + indices - 1, source)
    return found


def _gather_elements(node: ir.Node, given: Sequence[Marks]) -> Marks:
    return dict(given[1])


def _gather_nd(node: ir.Node, given: Sequence[Marks]) -> Marks:
    return {at: source for at, source in given[1].items() if at < _rank(node.inputs[1]) - 1}


def _transpose(node: ir.Node, given: Sequence[Marks]) -> Marks:
    perm = attribute(node, "perm") or tuple(reversed(range(_rank(node.inputs[0]))))
    return {perm.index(at): source for at, source in given[0].items()}


def _reshape(node: ir.Node, given: Sequence[Marks]) -> Marks:
    """An axis stays one if as many elements lie before it as did, and a row takes whole elements of it, or all."""
    before, after = _sizes(node.inputs[0]), _sizes(node.outputs[0])
    found: Marks = {}
    for axis, mark in given[0].items():
        for at in range(len(after)):
            run = _run(before, axis, mark.run, after, at)
            if run:
                found[at] = mark._replace(run=run)
                break
    return found


def _run(before: Sequence[Any], axis: int, run: int, after: Sequence[Any], at: int) -> int | None:
    """Return how many elements of axis `at` are what `run` elements of `axis` were before; None: it is another axis."""
    leading = _count(before[:axis])
    if leading is None or _count(after[:at]) != leading:
        return None
    row, rest = _count(before[axis + 1 :]), _count(after[at + 1 :])
    if row is None or not rest:
        return run if str(before[axis]) == str(after[at]) else None
    return None if row * run % rest else row * run // rest


def _count(sizes: Sequence[Any]) -> int | None:
    return math.prod(sizes) if all(isinstance(size, int) for size in sizes) else None


def _concat(node: ir.Node, given: Sequence[Marks]) -> Marks:
    axis = attribute(node, "axis", 0) % max(1, _rank(node.outputs[0]))
    return {at: source for marks in given for at, source in marks.items() if at != axis}


def _first(node: ir.Node, given: Sequence[Marks]) -> Marks:
    return dict(given[0])


def _scatter_nd(node: ir.Node, given: Sequence[Marks]) -> Marks:
    """Rows within what is written to places that are constant."""
    if constant(node.inputs[1]) is None:
        return {}
    chosen = _sizes(node.inputs[1])[-1]
    shift = chosen - (_rank(node.inputs[1]) - 1)
    return {axis + shift: mark for axis, mark in given[2].items() if axis + shift >= chosen}


def _matmul(node: ir.Node, given: Sequence[Marks]) -> Marks:
    (left, right), rank = (_rank(value) for value in node.inputs[:2]), _rank(node.outputs[0])
    found = {at + rank - left: source for at, source in given[0].items() if at < left - 1 or left == 1}
    if right > 1:
        kept = {at: source for at, source in given[1].items() if at != right - 2}
        found = {at + rank - right: source for at, source in kept.items()} | found
    return found


def _gemm(node: ir.Node, given: Sequence[Marks]) -> Marks:
    rows = 1 if attribute(node, "transA", 0) else 0
    return {0: given[0][rows]} if rows in given[0] else {}


def _batch(node: ir.Node, given: Sequence[Marks]) -> Marks:
    return {0: given[0][0]} if 0 in given[0] else {}


def _of_rois(node: ir.Node, given: Sequence[Marks]) -> Marks:
    return {0: given[1][0]} if 0 in given[1] else {}


def _reduced(node: ir.Node, given: Sequence[Marks]) -> Marks:
    rank = _rank(node.inputs[0])
    if node.op_type in REDUCING:
        axes: Sequence[int] | None = [attribute(node, "axis", 0)]
    else:
        listed = constant(node.inputs[1]) if len(node.inputs) > 1 else None
        axes = attribute(node, "axes") if listed is None else [int(axis) for axis in listed.reshape(-1)]
    reduced = set(range(rank)) if not axes else {axis % rank for axis in axes}
    keeps = attribute(node, "keepdims", 1)
    shift = {at: 0 if keeps else sum(axis < at for axis in reduced) for at in given[0]}
    return {at - shift[at]: source for at, source in given[0].items() if at not in reduced}


Rule = Callable[[ir.Node, Sequence[Marks]], Marks]
RULES: dict[str, Rule] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Transpose": _transpose,
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Flatten"), _reshape),
    "Concat": _concat,
    **dict.fromkeys(("Slice", "Split", "Pad", "QuantizeLinear", "DequantizeLinear"), _first),
    "MatMul": _matmul,
    "Gemm": _gemm,
    "RoiAlign": _of_rois,
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize"), _batch),
    "ScatterND": _scatter_nd,
    **dict.fromkeys(("ScatterElements", "Shape", "Size", "NonZero", "CumSum"), lambda node, given: {}),
}
