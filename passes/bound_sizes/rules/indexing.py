"""Gathering and scattering: the padding of indices points at the first row, that of updates is dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgec.passes.bound_sizes.broadcast import equal_axes
from edgec.passes.bound_sizes.facts import Fact, Interval, bounds_of
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.site import BOOL, Site, Unbounded, dtype_of
from edgec.passes.bound_sizes.size import Size, known


def _indices(site: Site, index: int, size: Size) -> ir.Value:
    """Return the indices that input `index` holds, along an axis of true size `size`: counted from its beginning."""
    value = site.safe_indices(index)
    if size.known is not None or site.fact(index).interval.least >= 0:
        return value
    # What counts from the end means the true one.
    bounds, dtype = bounds_of(value), dtype_of(value)
    negative = site.insert("Less", [value, site.constant(0, dtype)], bounds, BOOL)
    shifted = site.insert("Add", [value, site.cast(site.scalar(size), dtype)], bounds, dtype)
    return site.insert("Where", [negative, shifted, value], bounds, dtype)


def gather(site: Site) -> None:
    """Row i of a padded axis is row i: only indices from its end are counted anew."""
    axis = site.axis(0)
    bounds = (*site.bounds(0)[:axis], *site.bounds(1), *site.bounds(0)[axis + 1 :])
    sizes = (*site.sizes(0)[:axis], *site.sizes(1), *site.sizes(0)[axis + 1 :])
    # Rows gathered along one axis keep the zeros in the padding of another.
    clean = site.fact(0).clean and not site.sizes(0)[axis].terms and not site.is_padded(1)
    site.set_input(1, _indices(site, 1, site.sizes(0)[axis]))
    site.keep((bounds, Fact(sizes, clean=clean)))


def gather_elements(site: Site) -> None:
    """As gather, element by element."""
    axis = site.axis(0)
    sizes, bounds = site.sizes(1), site.bounds(1)
    indices = _indices(site, 1, site.sizes(0)[axis])
    data = site.value(0)
    for other in range(len(bounds)):
        # Indices reach as far as the data along the other axes, padding included: both are cut to one length.
        if other != axis and bounds_of(data)[other] < bounds_of(indices)[other]:
            indices = site.slice(indices, other, 0, bounds_of(data)[other])
    site.set_input(1, indices)
    site.keep((bounds_of(indices), Fact(sizes)))


def gather_nd(site: Site) -> None:
    """As gather, by rows of indices."""
    batch = site.attribute("batch_dims", 0)
    depth = site.bounds(1)[-1]
    sizes = site.sizes(1)
    indices = _from_the_beginning(
        site, site.safe_indices(1), site.fact(1).interval, site.sizes(0)[batch : batch + depth]
    )
    data = site.value(0)
    if batch:
        data, indices = equal_axes(site, [data, indices], range(batch))
        site.set_input(0, data)
    site.set_input(1, indices)
    bounds = (*bounds_of(indices)[:-1], *bounds_of(data)[batch + depth :])
    site.keep((bounds, Fact((*sizes[:-1], *site.sizes(0)[batch + depth :]))))


def _from_the_beginning(site: Site, indices: ir.Value, interval: Interval, sizes: Sequence[Size]) -> ir.Value:
    """Return rows of indices along axes of the true `sizes`, those that count from the end counted anew."""
    if interval.least >= 0 or all(size.known is not None for size in sizes):
        return indices
    bounds, dtype = bounds_of(indices), dtype_of(indices)
    parts = [site.cast(site.size_value(size), dtype) for size in sizes]
    lengths = site.insert("Concat", parts, [len(parts)], dtype, {"axis": 0})
    negative = site.insert("Less", [indices, site.constant(0, dtype)], bounds, BOOL)
    shifted = site.insert("Add", [indices, lengths], bounds, dtype)
    return site.insert("Where", [negative, shifted, indices], bounds, dtype)


def scatter_elements(site: Site) -> None:
    """Lengthen the axis by one place, where the padding of the updates goes, and cut that off again."""
    axis = site.axis(0)
    rows = _as_rows(site, axis)
    if rows is not None:
        _scatter_rows(site, rows)
        return
    indices = _indices(site, 1, site.sizes(0)[axis])
    updates = site.value(2)
    padded = [each for each, size in enumerate(site.sizes(1)) if size.terms]
    padded_updates = site.padded_axes(2)
    indices, updates = equal_axes(site, [indices, updates], range(len(bounds_of(updates))))
    data = site.value(0)
    if not padded and not padded_updates:
        site.set_input(1, indices)
        site.set_input(2, updates)
        site.keep((site.bounds(0), Fact(site.sizes(0))))
        return
    sizes = site.sizes(1)
    bound = bounds_of(data)[axis]
    indices = site.filled(indices, sizes, padded, bound)
    longer = _lengthened(site, data, axis)
    attributes = {"axis": axis, "reduction": site.attribute("reduction", "none")}
    scattered = site.insert(
        "ScatterElements", [longer, indices, updates], bounds_of(longer), dtype_of(data), attributes
    )
    site.replace(0, site.slice(scattered, axis, 0, bound), Fact(site.sizes(0)))


def _as_rows(site: Site, axis: int) -> ir.Value | None:
    """Return the indices [n] if those of the node are n rows, each filled with one index, along the first axis."""
    producer = site.value(1).producer()
    if axis != 0 or producer is None or producer.op_type != "Expand" or producer.inputs[0] is None:
        return None
    source = producer.inputs[0]
    shape, whole = bounds_of(source), site.bounds(1)
    if len(shape) != len(whole) or any(size != 1 for size in shape[1:]) or shape[0] != whole[0]:
        return None
    if site.sizes(1)[1:] != site.sizes(0)[1:] or whole[1:] != site.bounds(0)[1:]:
        return None
    return source


def _scatter_rows(site: Site, rows: ir.Value) -> None:
    data, updates = site.value(0), site.value(2)
    count = bounds_of(rows)[0]
    fact = site.facts[rows]
    indices = site.insert("Reshape", [rows, site.constant([count, 1])], [count, 1], dtype_of(rows))
    site.facts[indices] = Fact((fact.sizes[0], known(1)), interval=fact.interval, clean=fact.clean)
    _scatter(site, data, indices, updates)


def scatter_nd(site: Site) -> None:
    """As scatter_elements, by rows of indices."""
    _scatter(site, site.value(0), site.value(1), site.value(2))


def _scatter(site: Site, data: ir.Value, indices: ir.Value, updates: ir.Value) -> None:
    rank = len(bounds_of(indices)) - 1
    fact, dtype = site.facts[indices], dtype_of(data)
    depth = bounds_of(indices)[-1]
    indices = _from_the_beginning(site, indices, fact.interval, site.facts[data].sizes[:depth])
    indices, updates = equal_axes(site, [indices, updates], range(rank))
    for axis, size in enumerate(site.facts[data].sizes[depth:]):
        at = rank + axis
        bound = bounds_of(data)[depth + axis]
        if bounds_of(updates)[at] > bound:
            updates = site.slice(updates, at, 0, bound)
        elif bounds_of(updates)[at] < bound:
            raise Unbounded(f"scatters slices of another padding than the data's: {size}")
    padded = [axis for axis in range(rank) if fact.sizes[axis].terms]
    bound = bounds_of(data)[0]
    attributes = {"reduction": site.attribute("reduction", "none")}
    if not padded:
        scattered = site.insert("ScatterND", [data, indices, updates], bounds_of(data), dtype, attributes)
        site.replace(0, scattered, Fact(site.facts[data].sizes))
        return
    # The row behind the last takes what is not to be seen.
    beyond = np.zeros(depth, np.int64)
    beyond[0] = bound
    for axis in padded:
        mask = site.bounding.valid(fact.sizes[axis], bounds_of(indices)[axis])
        mask = site.along(mask, axis, rank + 1)
        indices = site.insert("Where", [mask, indices, site.constant(beyond)], bounds_of(indices), ir.DataType.INT64)
    longer = _lengthened(site, data, 0)
    scattered = site.insert("ScatterND", [longer, indices, updates], bounds_of(longer), dtype, attributes)
    site.replace(0, site.slice(scattered, 0, 0, bound), Fact(site.facts[data].sizes))


def _lengthened(site: Site, data: ir.Value, axis: int) -> ir.Value:
    """Return `data` with one more place behind the last of `axis`."""
    bounds = list(bounds_of(data))
    pads = [0] * (2 * len(bounds))
    pads[len(bounds) + axis] = 1
    bounds[axis] += 1
    return site.insert("Pad", [data, site.constant(pads)], bounds, dtype_of(data))


def one_hot(site: Site) -> None:
    """Row by row, for a known depth."""
    (depth,) = site.numbers(1, "a depth")
    axis = site.axis(-1, site.rank(0) + 1)
    bounds, sizes = list(site.bounds(0)), list(site.sizes(0))
    bounds.insert(axis, depth)
    sizes.insert(axis, known(depth))
    site.set_input(1, site.constant([depth]))
    site.keep((bounds, Fact(tuple(sizes))))


RULES: dict[str, Rule] = {
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "OneHot": one_hot,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
}
