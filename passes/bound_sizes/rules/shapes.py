"""Operators that return, add, remove, permute and split axes."""

from __future__ import annotations

import numpy as np

from edgec.passes.bound_sizes.facts import Fact
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.site import INT64, Site, Unbounded
from edgec.passes.bound_sizes.size import Size, known


def shape(site: Site) -> None:
    """Write the true sizes, end to end."""
    sizes = site.sizes(0)[slice(site.attribute("start", 0), site.attribute("end"))]
    parts = [site.size_value(each) for each in sizes] or [site.constant(np.zeros(0, np.int64))]
    joined = site.insert("Concat", parts, [len(sizes)], INT64, {"axis": 0}) if len(parts) > 1 else parts[0]
    elements = np.empty(len(sizes), object)
    elements[:] = sizes
    site.replace(0, joined, Fact((known(len(sizes)),), elements, clean=True))


def size(site: Site) -> None:
    """Write the true number of elements."""
    total = known(1)
    for each in site.sizes(0):
        total = site.sizes_math.product(total, each)
    elements = np.empty((), object)
    elements[()] = total
    site.replace(0, site.scalar(total), Fact((), elements, clean=True))


def transpose(site: Site) -> None:
    """Put the axes in another order, with their padding."""
    order = site.attribute("perm") or tuple(reversed(range(site.rank(0))))
    bounds, fact = site.bounds(0), site.fact(0)
    sizes = tuple(fact.sizes[axis] for axis in order)
    site.keep(([bounds[axis] for axis in order], Fact(sizes, clean=fact.clean)))


def unsqueeze(site: Site) -> None:
    """Add axes of size 1."""
    added = site.numbers(1, "axes")
    rank = site.rank(0) + len(added)
    places = sorted(axis % rank for axis in added)
    bounds: list[int] = list(site.bounds(0))
    sizes: list[Size] = list(site.sizes(0))
    for axis in places:
        bounds.insert(axis, 1)
        sizes.insert(axis, known(1))
    site.set_input(1, site.constant(places))
    site.keep((bounds, Fact(tuple(sizes), clean=site.fact(0).clean)))


def squeeze(site: Site) -> None:
    """Remove axes of size 1; of a padded one, the first position stays."""
    fact, axes = site.fact(0), site.axes(1)
    if axes is None:
        if any(each.terms and each.least <= 1 <= each.most for each in fact.sizes):
            raise Unbounded("removes all axes of size 1, and the data decides which these are")
        axes = [axis for axis, each in enumerate(fact.sizes) if each.known == 1]
    x = site.value(0)
    for axis in axes:
        x = site.slice(x, axis, 0, 1)
    left = [axis for axis in range(site.rank(0)) if axis not in axes]
    bounds, sizes = [site.bounds(0)[axis] for axis in left], tuple(fact.sizes[axis] for axis in left)
    squeezed = site.insert("Squeeze", [x, site.constant(axes)], bounds, site.dtype(0)) if axes else x
    site.replace(0, squeezed, Fact(sizes, clean=fact.clean))


def split(site: Site) -> None:
    """Split an axis that is not padded; a padded one only into whole parts of known size."""
    axis, count = site.axis(0), len(site.node.outputs)
    bounds, sizes = site.bounds(0), site.sizes(0)
    if site.has(1):
        parts = site.numbers_or_sizes(1)
    else:
        whole = sizes[axis]
        even = site.sizes_math.ceil_divide(whole, count)
        parts = [even] * (count - 1)
        parts.append(whole - even.times(count - 1))
    fact = site.fact(0)
    if sizes[axis].known is not None and all(part.known is not None for part in parts):
        lengths = [part.known or 0 for part in parts]
        site.set_input(1, site.constant(lengths)) if site.has(1) else None
        each = [
            ((*bounds[:axis], n, *bounds[axis + 1 :]), (*sizes[:axis], known(n), *sizes[axis + 1 :])) for n in lengths
        ]
        site.keep(*[(shape, Fact(true, clean=fact.clean)) for shape, true in each])
        return
    start = known(0)
    for index, part in enumerate(parts):
        true = (*sizes[:axis], part, *sizes[axis + 1 :])
        site.replace(index, site.window(site.value(0), axis, start, part), Fact(true))
        start = start + part


RULES: dict[str, Rule] = {
    "Shape": shape,
    "Size": size,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
