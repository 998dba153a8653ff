"""Interval arithmetic: the range that the elements of a result lie in, from those of the operands."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import onnx_ir as ir

from edgec.passes.bound_sizes.elements import REARRANGERS
from edgec.passes.bound_sizes.facts import Interval, bounds_of
from edgec.passes.bound_sizes.site import Site

ANY = Interval()
ROUNDING = 1e-6
"""Results of float32 arithmetic are that much larger, relative to their magnitude, than exact ones at most."""

KEPT = REARRANGERS | {"Dropout", "MaxPool", "ReduceMax", "ReduceMin"}
"""Operators whose results are elements of their first operand, of a Concat of all."""
ROUNDED = frozenset({"Add", "Sub", "Mul", "Div", "Sqrt", "ReduceSum"})
"""Operators whose results are rounded."""
INDICES = {"ArgMax": 0, "ArgMin": 0, "TopK": 1}
"""Operators with an output of indices along an axis of the first operand: which output."""
RANGES = {
    "Sigmoid": Interval(0, 1),
    "Softmax": Interval(0, 1),
    "HardSigmoid": Interval(0, 1),
    "Tanh": Interval(-1, 1),
    "Sin": Interval(-1, 1),
    "Cos": Interval(-1, 1),
}


def intervals_of(site: Site) -> list[Interval]:
    """Return where the elements of each output of the node lie."""
    node = site.node
    if node.domain != "":
        return [ANY] * len(node.outputs)
    if node.op_type in INDICES:
        last = bounds_of(site.value(0))[site.axis(-1 if node.op_type == "TopK" else 0)] - 1
        return [Interval(0, last) if at == INDICES[node.op_type] else site.fact(0).interval for at in (0, 1)][
            : len(node.outputs)
        ]
    found = RANGES.get(node.op_type)
    if found is None and node.op_type in KEPT:
        operands = node.inputs if node.op_type == "Concat" else node.inputs[:1]
        found = _hull([site.facts[value].interval for value in operands if value is not None])
    if found is None and node.op_type in COMPUTED:
        found = COMPUTED[node.op_type](site)
    if found is not None and _is_float(node.outputs[0]) and node.op_type in ROUNDED:
        found = Interval(found.least - ROUNDING * abs(found.least), found.most + ROUNDING * abs(found.most))
    return [found or ANY] * len(node.outputs)


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()


def _hull(intervals: list[Interval]) -> Interval:
    return Interval(min(each.least for each in intervals), max(each.most for each in intervals))


def _of(site: Site, index: int, default: float) -> Interval:
    return site.fact(index).interval if site.has(index) else Interval(default, default)


def _corners(combine: Callable[[float, float], float]) -> Callable[[Site], Interval]:
    """Combine the ends of both operands: right for what rises or falls in each of them."""

    def compute(site: Site) -> Interval:
        a, b = site.fact(0).interval, site.fact(1).interval
        values = [combine(x, y) for x, y in itertools.product((a.least, a.most), (b.least, b.most))]
        return ANY if any(math.isnan(value) for value in values) else Interval(min(values), max(values))

    return compute


def _product(x: float, y: float) -> float:
    return 0.0 if 0 in (x, y) else x * y


def _quotient(site: Site) -> Interval:
    a, b = site.fact(0).interval, site.fact(1).interval
    if b.least <= 0 <= b.most:
        return ANY
    values = [x / y for x, y in itertools.product((a.least, a.most), (b.least, b.most))]
    return ANY if any(math.isnan(value) for value in values) else Interval(min(values), max(values))


def _rising(function: Callable[[float], float]) -> Callable[[Site], Interval]:
    def compute(site: Site) -> Interval:
        a = site.fact(0).interval
        ends = [end if math.isinf(end) else function(end) for end in (a.least, a.most)]
        return Interval(*ends)

    return compute


def _clip(site: Site) -> Interval:
    a, low, high = site.fact(0).interval, _of(site, 1, -math.inf), _of(site, 2, math.inf)
    least = min(max(a.least, low.least), high.most)
    return Interval(least, max(min(a.most, high.most), least))


def _extremum(pick: Callable[..., float]) -> Callable[[Site], Interval]:
    def compute(site: Site) -> Interval:
        intervals = [site.facts[value].interval for value in site.node.inputs if value is not None]
        return Interval(pick(each.least for each in intervals), pick(each.most for each in intervals))

    return compute


def _sum(site: Site) -> Interval:
    """Return where the sum over axes lies; there are as many summands as the axes are long."""
    interval, bounds = site.fact(0).interval, site.bounds(0)
    fact = site.fact(1) if site.has(1) else None
    axes = range(len(bounds))
    if fact is not None and fact.elements is not None and all(size.known is not None for size in fact.elements.flat):
        axes = [size.known % len(bounds) for size in fact.elements.flat] or axes  # type: ignore[assignment]
    count = math.prod(bounds[axis] for axis in axes)
    return Interval(min(_product(interval.least, count), 0.0), max(_product(interval.most, count), 0.0))


def _cast(site: Site) -> Interval:
    interval, output = site.fact(0).interval, site.node.outputs[0]
    if output.dtype == ir.DataType.BOOL:
        return Interval(0, 1)
    source = site.value(0).dtype
    if source == ir.DataType.BOOL:
        return Interval(max(interval.least, 0), min(interval.most, 1))
    if _is_float(output) or output.dtype is None:
        return interval
    return Interval(*(end if math.isinf(end) else float(math.trunc(end)) for end in (interval.least, interval.most)))


def _where(site: Site) -> Interval:
    return _hull([site.fact(1).interval, site.fact(2).interval])


def _absolute(site: Site) -> Interval:
    a = site.fact(0).interval
    least = 0.0 if a.least <= 0 <= a.most else min(abs(a.least), abs(a.most))
    return Interval(least, max(abs(a.least), abs(a.most)))


COMPUTED: dict[str, Callable[[Site], Interval]] = {
    "Abs": _absolute,
    "Add": _corners(lambda x, y: x + y),
    "Sub": _corners(lambda x, y: x - y),
    "Mul": _corners(_product),
    "Div": _quotient,
    "Min": _extremum(min),
    "Max": _extremum(max),
    "Clip": _clip,
    "Relu": _rising(lambda x: max(x, 0.0)),
    "Neg": lambda site: Interval(-site.fact(0).interval.most, -site.fact(0).interval.least),
    "Ceil": _rising(lambda x: float(math.ceil(x))),
    "Floor": _rising(lambda x: float(math.floor(x))),
    "Round": _rising(lambda x: float(round(x))),
    "Sqrt": _rising(lambda x: math.sqrt(max(x, 0.0))),
    "Cast": _cast,
    "Where": _where,
    "ReduceSum": _sum,
}
