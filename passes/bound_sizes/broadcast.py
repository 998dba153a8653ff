"""Operands of one operator brought to axes of the same length, as ONNX broadcasts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgec.passes.bound_sizes.facts import bounds_of
from edgec.passes.bound_sizes.site import Site
from edgec.passes.bound_sizes.size import Size, known


@dataclass(frozen=True)
class Aligned:
    """The operands, axis by axis of one length or 1, and the shape and sizes of what they broadcast to."""

    values: tuple[ir.Value, ...]
    bounds: tuple[int, ...]
    sizes: tuple[Size, ...]


def broadcast(site: Site, values: Sequence[ir.Value], *, trailing: int = 0) -> Aligned:
    """Bring `values` to axes that broadcast, also where padding makes them differ; the last `trailing` are left alone.

    Sizes that nothing proves to be equal are compared at run time: where one of them is 1, its row is repeated.
    """
    operands = list(values)
    rank = max(len(bounds_of(value)) for value in operands) - trailing
    bounds, sizes = [], []
    for axis in range(-rank - trailing, -trailing):
        present = [index for index, value in enumerate(operands) if len(bounds_of(value)) >= -axis]
        of = {index: site.facts[operands[index]].sizes[axis] for index in present}
        longer = [index for index in present if of[index].known != 1]
        if not longer:
            bounds.append(1)
            sizes.append(known(1))
            continue
        size = of[longer[0]]
        if all(of[index] == size for index in longer):
            bound = min(bounds_of(operands[index])[axis] for index in longer)
            for index in longer:
                operands[index] = site.cut(operands[index], axis, bound)
        else:
            size = _joint(site, [of[index] for index in longer])
            bound = size.most
            for index in longer:
                operands[index] = _spread(site, operands[index], axis, of[index], bound)
        bounds.append(bound)
        sizes.append(size)
    return Aligned(tuple(operands), tuple(bounds), tuple(sizes))


def equal_axes(site: Site, values: Sequence[ir.Value], axes: Sequence[int]) -> tuple[ir.Value, ...]:
    """Cut `values`, whose true sizes along `axes` are equal, to a common length there."""
    cut = list(values)
    for axis in axes if cut else ():
        bound = min(bounds_of(value)[axis] for value in cut)
        cut = [site.cut(value, axis, bound) for value in cut]
    return tuple(cut)


def _joint(site: Site, sizes: Sequence[Size]) -> Size:
    """Return the size that `sizes`, of which some may be 1 at run time, broadcast to."""
    fixed = [size for size in sizes if size.known is not None]
    if fixed:
        return fixed[0]  # not 1: the others are 1 or the same
    joint, math = sizes[0], site.sizes_math
    for size in sizes[1:]:
        if size != joint:
            joint = math.choose(math.compare("Equal", joint, known(1)), size, joint)
    return joint


def _spread(site: Site, value: ir.Value, axis: int, size: Size, bound: int) -> ir.Value:
    """Return `value` with `bound` places along `axis`: its own or, where its size is 1, the only one repeated."""
    axis %= len(bounds_of(value))
    if size.known == bound == bounds_of(value)[axis]:
        return value
    spread = site.take(value, site.first_or_only(size, bound), axis)
    fact = site.facts[value]
    sizes = list(fact.sizes)
    sizes[axis] = known(bound)
    site.facts[spread] = type(fact)(tuple(sizes), interval=fact.interval)
    return spread
