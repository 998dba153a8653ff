"""Reshape and Flatten: sizes of the result, and where the rows of a padded axis come to lie in it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgec.passes.bound_sizes.arithmetic import Arithmetic
from edgec.passes.bound_sizes.facts import Fact
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.site import INT64, Site
from edgec.passes.bound_sizes.size import Size, known


def reshape(site: Site) -> None:
    """Read the shape that is wanted: 0 is the size that is there, -1 what is left."""
    written, sizes = site.numbers_or_sizes(1), site.sizes(0)
    if not site.attribute("allowzero", 0):
        written = [sizes[axis] if size.known == 0 else size for axis, size in enumerate(written)]
    open_axes = [axis for axis, size in enumerate(written) if size.known == -1]
    for axis in open_axes:
        others = [size for at, size in enumerate(written) if at != axis]
        written[axis] = _quotient(site.sizes_math, sizes, others)
    _reshape(site, written)


def flatten(site: Site) -> None:
    """Join the axes before `axis`, and those from it on."""
    axis, sizes = site.attribute("axis", 1), site.sizes(0)
    axis = axis + len(sizes) if axis < 0 else axis
    halves = [known(1), known(1)]
    for at, size in enumerate(sizes):
        halves[at >= axis] = site.sizes_math.product(halves[at >= axis], size)
    _reshape(site, halves)


def _quotient(arithmetic: Arithmetic, above: Sequence[Size], below: Sequence[Size]) -> Size:
    """Return the product of `above` divided by that of `below`, equal sizes cancelled."""
    left, right = list(above), []
    for size in below:
        if size.terms and size in left:
            left.remove(size)
        else:
            right.append(size)
    total, divisor = known(1), known(1)
    for size in left:
        total = arithmetic.product(total, size)
    for size in right:
        divisor = arithmetic.product(divisor, size)
    if divisor.known is None:
        return arithmetic.divide(total, arithmetic.maximum([divisor, known(1)]))
    if divisor.known == 0:
        return known(0)
    return arithmetic.floor_divide(total, divisor.known)


@dataclass(frozen=True)
class _Group:
    """Neighbouring axes of the data that become neighbouring axes of the result."""

    bounds: tuple[int, ...]
    sizes: tuple[Size, ...]
    wanted: tuple[Size, ...]

    @property
    def length(self) -> int:
        """Elements, padding included."""
        return math.prod(self.bounds)

    def is_prefix(self, sizes: Sequence[Size]) -> bool:
        """Return whether the elements of axes of `sizes` lie end to end: at most the first of length > 1 is padded."""
        longer = [size for size in sizes if size.known != 1]
        return not any(size.terms for size in longer[1:])


def _reshape(site: Site, wanted: Sequence[Size]) -> None:
    groups = _grouped(site.bounds(0), site.sizes(0), wanted)
    shape: list[int] = []
    clean, moved = site.fact(0).clean, False
    value = site.value(0)
    flat = [group.length for group in groups]
    for at, group in enumerate(groups):
        bounds = _bounds(group)
        if math.prod(bounds) != group.length or not (group.is_prefix(group.sizes) and group.is_prefix(group.wanted)):
            same = [size for size in group.sizes if size.known != 1] == [
                size for size in group.wanted if size.known != 1
            ]
            if same:
                source = iter([b for b, size in zip(group.bounds, group.sizes, strict=True) if size.known != 1])
                bounds = [1 if size.known == 1 else next(source) for size in group.wanted]
            else:
                value = value if moved else _flat(site, value, flat)
                value, clean = _moved(site, value, at, group, bounds), False
                moved = True
        shape += bounds
    reshaped = site.insert("Reshape", [value, site.constant(shape)], shape, site.dtype(0))
    site.replace(0, reshaped, Fact(tuple(wanted), interval=site.fact(0).interval, clean=clean))


def _flat(site: Site, value: ir.Value, shape: Sequence[int]) -> ir.Value:
    return site.insert("Reshape", [value, site.constant(shape)], shape, site.dtype(0))


def _grouped(bounds: Sequence[int], sizes: Sequence[Size], wanted: Sequence[Size]) -> list[_Group]:
    """Cut both shapes where the products up to there are the same."""
    ends = _products(wanted)
    groups, i, j = [], 0, 0
    for end, product in enumerate(_products(sizes), 1):
        if end == len(sizes):
            reached = len(wanted)
        else:
            after = [at for at in range(j, len(wanted)) if ends[at] == product]
            if not after:
                continue
            reached = after[0] + 1
        groups.append(_Group(tuple(bounds[i:end]), tuple(sizes[i:end]), tuple(wanted[j:reached])))
        i, j = end, reached
    return groups or [_Group((), (), tuple(wanted))]


def _products(sizes: Sequence[Size]) -> list[tuple[int, Counter[Size]]]:
    """Return the products of the first, the first two ... of `sizes`, in a form in which equal ones are equal."""
    factor, symbols = 1, Counter[Size]()
    products = []
    for size in sizes:
        if size.known is not None:
            factor *= size.known
        else:
            common = math.gcd(size.constant, *(k for _, k in size.terms))
            rest = size.divided(common)
            assert rest is not None
            factor, symbols = factor * common, symbols + Counter([rest])
        products.append((factor, symbols.copy()))
    return products


def _bounds(group: _Group) -> list[int]:
    """Return the lengths that the axes wanted get: as known or, of padded ones, as long as they can become."""
    bounds = [max(size.most, 0) for size in group.wanted]
    padded = [at for at, size in enumerate(group.wanted) if size.terms]
    if len(padded) == 1:  # the space that is there, where that is less
        others = math.prod(bound for at, bound in enumerate(bounds) if at != padded[0])
        bounds[padded[0]] = min(bounds[padded[0]], group.length // max(others, 1))
        if group.is_prefix(group.sizes) and group.is_prefix(group.wanted) and others:
            bounds[padded[0]] = group.length // others
    return bounds


def _moved(site: Site, value: ir.Value, axis: int, group: _Group, bounds: Sequence[int]) -> ir.Value:
    """Return `value` with axis `axis`, which holds the flat group, brought to the order of the axes wanted."""
    length = math.prod(bounds)
    if group.is_prefix(group.sizes) and group.is_prefix(group.wanted) and length <= group.length:
        return site.slice(value, axis, 0, length)
    in_place = group.is_prefix(group.wanted)
    place = site.places(length) if in_place else _ravelled(site, group.wanted, bounds)
    if not group.is_prefix(group.sizes):
        place = _source(site, place, group, length)
    limit = site.constant(max(group.length - 1, 0))
    return site.take(value, site.insert("Min", [place, limit], [length], INT64), axis)


def _ravelled(site: Site, sizes: Sequence[Size], bounds: Sequence[int]) -> ir.Value:
    """Return the flat place, by true sizes, of each element of axes of the shape `bounds`: int64 [elements]."""
    length = math.prod(bounds)
    total, stride = None, known(1)
    for axis in reversed(range(len(bounds))):
        index = np.broadcast_to(
            np.arange(bounds[axis]).reshape(-1, *[1] * (len(bounds) - axis - 1)), tuple(bounds)
        ).reshape(-1)
        term = site.constant(index)
        if stride.known != 1:
            term = site.insert("Mul", [term, site.size_value(stride)], [length], INT64)
        total = term if total is None else site.insert("Add", [total, term], [length], INT64)
        stride = site.sizes_math.product(stride, sizes[axis])
    assert total is not None
    return total


def _source(site: Site, place: ir.Value, group: _Group, length: int) -> ir.Value:
    """Return where the element of the flat true place `place` lies in the padded group."""
    total, stride = None, 1
    for axis in reversed(range(len(group.sizes))):
        term = place
        if axis:
            divisor = site.size_value(site.sizes_math.maximum([group.sizes[axis], known(1)]))
            term = site.insert("Mod", [place, divisor], [length], INT64)
            place = site.insert("Div", [place, divisor], [length], INT64)
        if stride != 1:
            term = site.insert("Mul", [term, site.constant(stride)], [length], INT64)
        total = term if total is None else site.insert("Add", [total, term], [length], INT64)
        stride *= group.bounds[axis]
    assert total is not None
    return total


RULES: dict[str, Rule] = {"Flatten": flatten, "Reshape": reshape}
