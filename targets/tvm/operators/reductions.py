"""Reductions over axes, positions of extremes, and cumulative sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax

from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, cast, is_float, like

EXTREMA_IN = {"bool": "uint8", "float16": "float32", "bfloat16": "float32"}
"""TVM has no extremes of booleans, and uses finite limits instead of infinities for fp16."""


class _Reduction:
    """The axes that a node reduces, and whether they are kept with extent 1."""

    def __init__(self, n: OnnxNode) -> None:
        given = n.constant(1, "axes") if n.has(1) else np.array(n.attribute("axes", ()), np.int64)
        every = given.size == 0 and not n.attribute("noop_with_empty_axes", 0)
        self.axes = sorted({int(axis) % n.rank(0) for axis in given.reshape(-1)}) if n.rank(0) else []
        if every:
            self.axes = list(range(n.rank(0)))
        self.keep = bool(n.attribute("keepdims", 1))

    def __call__(self, operator: Callable[..., Any], x: Expr, keep: bool | None = None) -> Expr:
        """Return the reduction of `x` by a Relax `operator`; `x` itself where no axis is reduced."""
        return operator(x, self.axes, keepdims=self.keep if keep is None else keep) if self.axes else x


def _reduce(operator: Callable[..., Any], before: Callable[[Expr], Expr], after: Callable[[Expr], Expr]) -> Converter:
    return lambda n: after(_Reduction(n)(operator, before(n[0])))


def _same(x: Expr) -> Expr:
    return x


def _square(x: Expr) -> Expr:
    return relax.op.multiply(x, x)


def _extremum(operator: Callable[..., Any]) -> Converter:
    def convert(n: OnnxNode) -> Expr:
        kind = n.dtype(0)
        wide = EXTREMA_IN.get(kind, kind)
        result = n.emit(_Reduction(n)(operator, cast(n[0], wide)))
        return relax.op.not_equal(result, like(0, result)) if kind == "bool" else cast(result, kind)

    return convert


def _mean(n: OnnxNode) -> Expr:
    """ReduceMean; for integers the quotient is rounded towards zero."""
    reduction = _Reduction(n)
    if is_float(n.dtype(0)):
        return reduction(relax.op.mean, n[0])
    count = int(np.prod([n.shape(0)[axis] for axis in reduction.axes], dtype=np.int64))
    return relax.op.divide(reduction(relax.op.sum, n[0]), like(count, n[0]))


def _log_sum_exp(n: OnnxNode) -> Expr:
    """ReduceLogSumExp; the largest element is subtracted first, so that exp does not overflow."""
    x, reduction = n[0], _Reduction(n)
    if not reduction.axes:
        return x
    largest = n.emit(reduction(relax.op.max, x, keep=True))
    finite = relax.op.less(relax.op.abs(largest), like(np.inf, x))
    shift = n.emit(relax.op.where(finite, largest, like(0, x)))
    total = reduction(relax.op.sum, relax.op.exp(relax.op.subtract(x, shift)))
    shift = shift if reduction.keep else relax.op.squeeze(shift, reduction.axes)
    return relax.op.add(relax.op.log(total), shift)


def _l2(n: OnnxNode) -> Expr:
    if is_float(n.dtype(0)):
        return relax.op.sqrt(_Reduction(n)(relax.op.sum, _square(n[0])))
    total = n.emit(_Reduction(n)(relax.op.sum, _square(n[0])))
    return cast(n.emit(relax.op.sqrt(cast(total, "float64"))), n.dtype(0))


def _place(operator: Callable[..., Any]) -> Converter:
    def convert(n: OnnxNode) -> Expr:
        axis, x, keep = n.axis(0), n[0], bool(n.attribute("keepdims", 1))
        if not n.rank(0):
            return like(np.zeros((), np.int64), relax.const(0, "int64"))
        if n.dtype(0) in EXTREMA_IN:
            x = cast(x, EXTREMA_IN[n.dtype(0)])
        if not n.attribute("select_last_index", 0):
            return cast(n.emit(operator(x, axis, keepdims=keep)), "int64")
        first = cast(n.emit(operator(relax.op.flip(x, axis), axis, keepdims=keep)), "int64")
        return relax.op.subtract(relax.const(n.shape(0)[axis] - 1, "int64"), first)

    return convert


def _running(operator: Callable[..., Any]) -> Converter:
    def convert(n: OnnxNode) -> Expr:
        axis = int(n.constant(1, "axis").reshape(())) % n.rank(0)
        x, exclusive, reverse = n[0], bool(n.attribute("exclusive", 0)), bool(n.attribute("reverse", 0))
        x = relax.op.flip(x, axis) if reverse else x
        result = operator(x, axis, dtype=n.dtype(0), exclusive=exclusive)
        return relax.op.flip(result, axis) if reverse else result

    return convert


CONVERTERS: dict[str, Converter] = {
    "ArgMax": _place(relax.op.argmax),
    "ArgMin": _place(relax.op.argmin),
    "CumProd": _running(relax.op.cumprod),
    "CumSum": _running(relax.op.cumsum),
    "ReduceL1": _reduce(relax.op.sum, relax.op.abs, _same),
    "ReduceL2": _l2,
    "ReduceLogSum": _reduce(relax.op.sum, _same, relax.op.log),
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _extremum(relax.op.max),
    "ReduceMean": _mean,
    "ReduceMin": _extremum(relax.op.min),
    "ReduceProd": _reduce(relax.op.prod, _same, _same),
    "ReduceSum": _reduce(relax.op.sum, _same, _same),
    "ReduceSumSquare": _reduce(relax.op.sum, _square, _same),
}
