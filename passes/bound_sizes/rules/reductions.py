"""Operators along whole axes: the padding is filled with the neutral element, which changes no result."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.passes.bound_sizes.facts import Fact, Interval
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.site import Site, Unbounded, dtype_of
from edgec.passes.bound_sizes.size import Size, known

NEUTRAL: dict[str, float] = {
    **dict.fromkeys(("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum"), 0.0),
    "ReduceProd": 1.0,
    "ReduceMax": -np.inf,
    "ReduceMin": np.inf,
    "ReduceLogSumExp": -np.inf,
}


def extreme(dtype: ir.DataType, sign: float) -> Any:
    """Return the smallest (negative `sign`) or largest number of `dtype`: infinite where it has infinities."""
    if dtype == ir.DataType.BOOL:
        return sign > 0
    if dtype.is_floating_point():
        return np.inf if sign > 0 else -np.inf
    limits = np.iinfo(dtype.numpy())
    return limits.max if sign > 0 else limits.min


def reduction(site: Site) -> None:
    """Fill the padding with the neutral element; a mean is the sum divided by the true number of elements."""
    rank = site.rank(0)
    axes = site.axes(1)
    if axes == [] or axes is None:
        if site.attribute("noop_with_empty_axes", 0):
            site.keep((site.bounds(0), Fact(site.sizes(0))))
            return
        axes = list(range(rank))
    padded = [axis for axis in site.padded_axes(0) if axis in axes]
    keep = site.attribute("keepdims", 1)
    bounds, sizes = [], []
    for axis, (bound, size) in enumerate(zip(site.bounds(0), site.sizes(0), strict=True)):
        if axis not in axes:
            bounds.append(bound)
            sizes.append(size)
        elif keep:
            bounds.append(1)
            sizes.append(known(1))
    if padded and site.node.op_type == "ReduceMean":
        _mean(site, axes, padded, bounds, sizes)
        return
    if padded:
        number = NEUTRAL[site.node.op_type]
        dtype = dtype_of(site.value(0))
        neutral = extreme(dtype, number) if np.isinf(number) else number
        site.set_input(0, site.filled(site.value(0), site.sizes(0), padded, neutral))
    site.keep((bounds, Fact(tuple(sizes))))


def _mean(site: Site, axes: list[int], padded: list[int], bounds: list[int], sizes: list[Size]) -> None:
    x, dtype = site.value(0), dtype_of(site.value(0))
    filled = site.filled(x, site.sizes(0), padded, 0)
    attributes = {"keepdims": int(site.attribute("keepdims", 1))}
    total = site.insert("ReduceSum", [filled, site.constant(axes)], bounds, dtype, attributes)
    count = known(1)
    for axis in axes:
        count = site.sizes_math.product(count, site.sizes(0)[axis])
    divisor = site.cast(site.size_value(count), dtype)
    if not bounds:
        divisor = site.insert("Reshape", [divisor, site.constant(np.zeros(0, np.int64))], [], dtype)
    site.replace(0, site.insert("Div", [total, divisor], bounds, dtype), Fact(tuple(sizes)))


def arg_extremum(site: Site) -> None:
    """Fill the padding with values that are chosen last; among equal elements the first one is valid."""
    axis = site.axis(0)
    if axis in site.padded_axes(0):
        if site.attribute("select_last_index", 0):
            raise Unbounded("chooses the last of equal elements along an axis whose size depends on the data")
        sign = -1 if site.node.op_type == "ArgMax" else 1
        fill = extreme(dtype_of(site.value(0)), sign)
        site.set_input(0, site.filled(site.value(0), site.sizes(0), [axis], fill))
    bounds, sizes = list(site.bounds(0)), list(site.sizes(0))
    if site.attribute("keepdims", 1):
        bounds[axis], sizes[axis] = 1, known(1)
    else:
        del bounds[axis], sizes[axis]
    site.keep((bounds, Fact(tuple(sizes))))


def top_k(site: Site) -> None:
    """Take as many as can be requested; elements in the padding are chosen last."""
    axis = site.axis(-1)
    size, bound = site.sizes(0)[axis], site.bounds(0)[axis]
    (k,) = site.numbers_or_sizes(1, Interval(0, bound))
    if axis in site.padded_axes(0):
        sign = -1 if site.attribute("largest", 1) else 1
        fill = extreme(dtype_of(site.value(0)), sign)
        site.set_input(0, site.filled(site.value(0), site.sizes(0), [axis], fill))
    most = min(k.most, bound)
    site.set_input(1, site.constant([most]))
    bounds, sizes = list(site.bounds(0)), list(site.sizes(0))
    bounds[axis], sizes[axis] = most, k if k.most <= bound else site.sizes_math.minimum([k, size])
    fact = Fact(tuple(sizes))
    site.keep((bounds, fact), (bounds, fact))


def softmax(site: Site) -> None:
    """Fill the padding with minus infinity; of equal elements, Hardmax chooses the first."""
    axis = site.axis(-1)
    if axis in site.padded_axes(0):
        site.set_input(0, site.filled(site.value(0), site.sizes(0), [axis], -np.inf))
    site.keep((site.bounds(0), Fact(site.sizes(0))))


def cumulative_sum(site: Site) -> None:
    """A sum that begins at the end must not begin in the padding."""
    (axis,) = site.axes(1) or [0]
    if site.attribute("reverse", 0) and axis in site.padded_axes(0):
        site.set_input(0, site.filled(site.value(0), site.sizes(0), [axis], 0))
    site.keep((site.bounds(0), Fact(site.sizes(0))))


RULES: dict[str, Rule] = {
    **dict.fromkeys([*NEUTRAL, "ReduceMean"], reduction),
    "ArgMax": arg_extremum,
    "ArgMin": arg_extremum,
    "CumSum": cumulative_sum,
    "Hardmax": softmax,
    "LogSoftmax": softmax,
    "Softmax": softmax,
    "TopK": top_k,
}
