"""Operators that create tensors of a given size: Range, ConstantOfShape, EyeLike; Trilu."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.graph import scalar
from edgec.passes.bound_sizes.facts import Fact, Interval
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.site import Site, Unbounded
from edgec.passes.bound_sizes.size import known


def range_(site: Site) -> None:
    """Count to the largest possible end, in known steps."""
    step = scalar(site.value(2))
    if step is None:
        (only,) = site.numbers(2, "steps")
        step = float(only)
    if step != int(step) or step == 0:
        raise Unbounded(f"counts in steps of {step:g} to an end that depends on the data")
    (start,), (limit,) = site.numbers_or_sizes(0), site.numbers_or_sizes(1)
    span = limit - start if step > 0 else start - limit
    math = site.sizes_math
    length = math.ceil_divide(math.maximum([span, known(0)]), abs(int(step)))
    dtype, bound = site.dtype(0), length.most
    places = site.constant(np.arange(bound) * int(step), dtype)
    if start.known != 0:
        first = site.cast(site.size_value(start), dtype)
        places = site.insert("Add", [places, first], [bound], dtype)
    site.replace(0, places, Fact((length,), interval=Interval(*_ends(start.least, start.most, int(step), bound))))


def _ends(low: int, high: int, step: int, bound: int) -> tuple[float, float]:
    reach = step * max(bound - 1, 0)
    return min(low, low + reach), max(high, high + reach)


def constant_of_shape(site: Site) -> None:
    """Fill the largest possible size."""
    sizes = site.numbers_or_sizes(0)
    value = site.attribute("value")
    element = np.zeros((), np.float32) if value is None else value.numpy().reshape(())
    dtype = ir.DataType.FLOAT if value is None else value.dtype
    bounds = [max(size.most, 0) for size in sizes]
    filled = site.insert("Expand", [site.constant(element, dtype), site.constant(bounds)], bounds, dtype)
    number = float(element)
    site.replace(0, filled, Fact(tuple(sizes), interval=Interval(number, number), clean=number == 0))


def same(site: Site) -> None:
    """Leave the node: an element depends only on its position from the beginning."""
    site.keep((site.bounds(0), Fact(site.sizes(0), clean=site.node.op_type == "Trilu" and site.fact(0).clean)))


RULES: dict[str, Rule] = {
    "ConstantOfShape": constant_of_shape,
    "EyeLike": same,
    "Range": range_,
    "Trilu": same,
}
