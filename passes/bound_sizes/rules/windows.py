"""Operators that cut out or lengthen: Slice, Pad, Concat, Expand, Tile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgec.passes.bound_sizes.broadcast import equal_axes
from edgec.passes.bound_sizes.facts import Fact, Interval, bounds_of
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.site import Site, Unbounded, dtype_of
from edgec.passes.bound_sizes.size import Size, known


def slice_(site: Site) -> None:
    """Cut out, axis by axis; where it begins at 0 the padding just stays behind."""
    limit = Interval(-max(site.bounds(0), default=0) - 1, max(site.bounds(0), default=0) + 1)
    starts, ends = site.numbers_or_sizes(1, limit), site.numbers_or_sizes(2, limit)
    axes = site.axes(3) if site.has(3) else list(range(len(starts)))
    steps = site.numbers(4, "steps") if site.has(4) else [1] * len(starts)
    value, fact = site.value(0), site.fact(0)
    sizes, clean = list(fact.sizes), fact.clean
    for axis, start, end, step in zip(axes or [], starts, ends, steps, strict=True):
        begin, length = _extent(site, sizes[axis], start, end, step)
        clean = clean and begin.known == 0 and step == 1 and length == sizes[axis]
        value = site.window(value, axis, begin, length, step)
        sizes[axis] = length
    site.replace(0, value, Fact(tuple(sizes), clean=clean))


def _extent(site: Site, size: Size, start: Size, end: Size, step: int) -> tuple[Size, Size]:
    """Return where a slice begins and how many elements it has, of an axis of true size `size`."""
    math, zero, one = site.sizes_math, known(0), known(1)
    start, end = _counted(site, start, size), _counted(site, end, size)
    if step > 0:
        begin = math.minimum([math.maximum([start, zero]), size])
        stop = math.minimum([math.maximum([end, zero]), size])
        span, raw = stop - begin, end - start
    else:
        begin = math.minimum([math.maximum([start, zero - one]), size - one])
        stop = math.minimum([math.maximum([end, zero - one]), size - one])
        span, raw = begin - stop, start - end
    length = math.ceil_divide(math.maximum([span, zero]), abs(step))
    if raw.known is not None and start.least >= 0 and end.least >= 0:
        # Clamping to the axis only shortens: that bound is tighter where both ends move together.
        length = math.minimum([length, known(max(-(-raw.known // abs(step)), 0))])
    return begin, length


def _counted(site: Site, place: Size, size: Size) -> Size:
    """Return `place` counted from the beginning, where it may be negative and then counts from the end."""
    if place.least >= 0:
        return place
    if place.most < 0:
        return place + size
    return site.sizes_math.choose(site.sizes_math.compare("Less", place, known(0)), place + size, place)


def pad(site: Site) -> None:
    """Lengthen axes, also by numbers that depend on the data: what lies before and behind is written anew."""
    mode = site.attribute("mode", "constant")
    axes = site.axes(3) if site.has(3) else list(range(site.rank(0)))
    amounts = site.numbers_or_sizes(1)
    number = site.value(2) if site.has(2) else site.constant(0, site.dtype(0))
    value, sizes = site.value(0), list(site.sizes(0))
    count = len(axes or [])
    plain = [0] * (2 * site.rank(0))
    for axis, before, behind in zip(axes or [], amounts[:count], amounts[count:], strict=True):
        if sizes[axis].known is not None and before.known is not None and behind.known is not None:
            plain[axis], plain[site.rank(0) + axis] = before.known, behind.known
            continue
        if before.known == behind.known == 0:
            continue
        if mode != "constant":
            raise Unbounded(f"pads in mode {mode} by a size that depends on the data")
        value = _padded(site, value, axis, sizes[axis], before, behind, number)
        sizes[axis] = sizes[axis] + before + behind
    if any(plain):
        bounds = [n + plain[axis] + plain[site.rank(0) + axis] for axis, n in enumerate(bounds_of(value))]
        sizes = [n + known(plain[axis] + plain[site.rank(0) + axis]) for axis, n in enumerate(sizes)]
        value = site.insert("Pad", [value, site.constant(plain), number], bounds, site.dtype(0), {"mode": mode})
    site.replace(0, value, Fact(tuple(sizes)))


def _padded(
    site: Site, value: ir.Value, axis: int, size: Size, before: Size, behind: Size, number: ir.Value
) -> ir.Value:
    total = size + before + behind
    if total.least < 0:
        raise Unbounded("takes away as many elements as the data says")
    bound, rank = total.most, len(bounds_of(value))
    if before.known is not None and before.known >= 0:
        have = bounds_of(value)[axis]
        plain = [0] * (2 * rank)
        plain[axis], plain[rank + axis] = before.known, max(bound - before.known - have, 0)
        bounds = list(bounds_of(value))
        bounds[axis] += plain[axis] + plain[rank + axis]
        value = (
            site.insert("Pad", [value, site.constant(plain), number], bounds, site.dtype(0)) if any(plain) else value
        )
        moved = site.slice(value, axis, 0, bound)
    else:
        moved = site.take(value, site.clamped(known(0) - before, bound, bounds_of(value)[axis]), axis)
    mask = site.bounding.valid(before + size, bound)
    if before.known != 0:
        below = site.insert("Not", [site.bounding.valid(before, bound)], [bound], ir.DataType.BOOL)
        mask = site.insert("And", [mask, below], [bound], ir.DataType.BOOL)
    return site.where(site.along(mask, axis, rank), moved, number)


def concat(site: Site) -> None:
    """Join along an axis: behind a padded part the rows move up."""
    axis = site.axis(0, site.rank(0))
    present = [index for index in range(len(site.node.inputs)) if site.bounds(index)[axis] > 0]
    if not present:
        site.keep((site.bounds(0), site.fact(0)))
        return
    facts = [site.fact(index) for index in present]
    others = [each for each in range(site.rank(0)) if each != axis]
    sizes = list(facts[0].sizes)
    for fact in facts[1:]:
        for each in others:
            if fact.sizes[each] != sizes[each]:
                sizes[each] = _the_same(sizes[each], fact.sizes[each])
    values = equal_axes(site, [site.value(index) for index in present], others)
    parts = [fact.sizes[axis] for fact in facts]
    bounds = list(bounds_of(values[0]))
    bounds[axis] = sum(bounds_of(value)[axis] for value in values)
    total = known(0)
    for part in parts:
        total = total + part
    sizes[axis] = total
    clean = all(fact.clean for fact in facts)
    joined = values[0]
    if len(values) > 1:
        joined = site.insert("Concat", values, bounds, site.dtype(present[0]), {"axis": axis})
    if any(part.terms for part in parts[:-1]):
        joined = site.take(joined, _compacted(site, [bounds_of(value)[axis] for value in values], parts), axis)
        clean = False
    site.replace(0, joined, Fact(tuple(sizes), clean=clean))


def _the_same(a: Size, b: Size) -> Size:
    """Return the better known of two sizes that are the same in any valid model."""
    return a if a.known is not None else b if b.known is not None else a


def _compacted(site: Site, bounds: Sequence[int], sizes: Sequence[Size]) -> ir.Value:
    """Return the places of what is not padding, in order, of parts of the shapes `bounds` that are joined."""
    masks = [
        site.bounding.valid(size, bound) if size.terms else site.constant(np.ones(bound, bool), ir.DataType.BOOL)
        for size, bound in zip(sizes, bounds, strict=True)
    ]
    whole = sum(bounds)
    mask = site.insert("Concat", masks, [whole], ir.DataType.BOOL, {"axis": 0})
    return site.places_of(mask)[0]


def expand(site: Site) -> None:
    """Repeat axes of size 1, as often as can be wanted."""
    wanted = site.numbers_or_sizes(1)
    value, sizes, bounds = site.value(0), list(site.sizes(0)), list(site.bounds(0))
    lack = len(wanted) - len(sizes)
    sizes, bounds = [known(1)] * lack + sizes, [1] * lack + bounds
    wanted = [known(1)] * -lack + wanted
    clean = site.fact(0).clean
    for axis, size in enumerate(wanted):
        if size.known == 1 or size == sizes[axis]:
            continue
        if sizes[axis].known == 1:
            sizes[axis], bounds[axis] = size, size.most
            clean = clean and not size.terms
        elif sizes[axis].terms:
            clean = False
            value, sizes[axis], bounds[axis] = _expanded(site, value, axis - max(lack, 0), sizes[axis], size)
        # An axis of another known size stays as it is: what is wanted is 1 or the same.
    made = site.insert("Expand", [value, site.constant(bounds)], bounds, dtype_of(value))
    site.replace(0, made, Fact(tuple(sizes), interval=site.fact(0).interval, clean=clean))


def _expanded(site: Site, value: ir.Value, axis: int, size: Size, wanted: Size) -> tuple[ir.Value, Size, int]:
    """Return `value` with its axis, whose size may be 1, brought to `wanted`."""
    math = site.sizes_math
    if size.least > 1:
        return value, size, bounds_of(value)[axis]
    final = wanted if wanted.least > 1 else math.choose(math.compare("Equal", size, known(1)), wanted, size)
    return site.take(value, site.first_or_only(size, final.most), axis), final, final.most


def tile(site: Site) -> None:
    """Repeat; along a padded axis, place by place."""
    repeats = site.numbers_or_sizes(1)
    value, sizes = site.value(0), list(site.sizes(0))
    for axis, times in enumerate(repeats):
        if times.known == 1:
            continue
        size = sizes[axis]
        total = site.sizes_math.product(size, times)
        if size.known is None or times.known is None:
            divisor = site.size_value(site.sizes_math.maximum([size, known(1)]))
            places = site.insert("Mod", [site.places(total.most), divisor], [total.most], ir.DataType.INT64)
            value = site.take(value, places, axis)
        else:
            shape = list(bounds_of(value))
            shape[axis] *= times.known
            factors = [times.known if each == axis else 1 for each in range(len(shape))]
            value = site.insert("Tile", [value, site.constant(factors)], shape, site.dtype(0))
        sizes[axis] = total
    site.replace(0, value, Fact(tuple(sizes)))


RULES: dict[str, Rule] = {"Concat": concat, "Expand": expand, "Pad": pad, "Slice": slice_, "Tile": tile}
