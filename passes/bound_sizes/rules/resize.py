"""Resize to a size that depends on the data: each new element is a sum of old ones, read at computed places."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.passes.bound_sizes.facts import Fact, bounds_of
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.rules.layers import batched
from edgec.passes.bound_sizes.site import BOOL, INT64, Site, Unbounded
from edgec.passes.bound_sizes.size import Size, known

FLOAT = ir.DataType.FLOAT
MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")


def resize(site: Site) -> None:
    """Leave a Resize by known factors; of others resize axis by axis."""
    sizes = site.sizes(0)
    if not site.has(3):
        spatial = [axis for axis in site.padded_axes(0) if axis > 0]
        if not spatial:
            batched(site)
            return
        raise Unbounded("scales an axis whose size depends on the data by a factor")
    for name, allowed in (("mode", MODES), ("coordinate_transformation_mode", COORDINATES)):
        if site.attribute(name, allowed[0]) not in allowed:
            raise Unbounded(f"resizes to a size that depends on the data with {name} {site.attribute(name)}")
    if site.attribute("antialias", 0) or site.attribute("exclude_outside", 0):
        raise Unbounded("resizes to a size that depends on the data with antialias or exclude_outside")
    if site.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unbounded("keeps the aspect ratio of a size that depends on the data")
    axes = site.attribute("axes") or range(len(sizes))
    true, value = list(sizes), site.cast(site.value(0), FLOAT)
    for axis, wanted in zip([axis % len(sizes) for axis in axes], site.numbers_or_sizes(3), strict=True):
        if wanted != sizes[axis]:
            value = _Axis(site, axis, sizes[axis], wanted).resized(value)
            true[axis] = wanted
    site.replace(0, site.cast(value, site.dtype(0)), Fact(tuple(true)))


class _Axis:
    """One axis, of size `old`, on its way to size `new`: the places and weights that its new elements are read with."""

    def __init__(self, site: Site, axis: int, old: Size, new: Size) -> None:
        self.site, self.axis, self.old, self.new = site, axis, old, new
        self.bound = max(new.most, 0)

    def resized(self, x: ir.Value) -> ir.Value:
        """Return `x` with the axis resized."""
        mode = self.site.attribute("mode", "nearest")
        at = self._coordinates()
        if mode == "nearest":
            return self.site.take(x, self._place(self._nearest(at)), self.axis)
        if mode == "linear":
            at = self._clipped(at)
        floor = self._float("Floor", at)
        part = self._float("Sub", at, floor)
        weights = self._linear(part) if mode == "linear" else self._cubic(part)
        total = None
        for offset, weight in weights.items():
            place = self._place(self._float("Add", floor, self._constant(offset)))
            read = self.site.take(x, place, self.axis)
            shape = bounds_of(read)
            term = self.site.insert("Mul", [read, self.site.along(weight, self.axis, len(shape))], shape, FLOAT)
            total = term if total is None else self.site.insert("Add", [total, term], shape, FLOAT)
        assert total is not None
        return total

    def _coordinates(self) -> ir.Value:
        """Return where the new elements lie among the old ones (ONNX operator reference), as ONNX Runtime rounds it."""
        mode = self.site.attribute("coordinate_transformation_mode", "half_pixel")
        new = self.site.constant(np.arange(self.bound), FLOAT)
        old_size, new_size = (self.site.cast(self.site.size_value(each), FLOAT) for each in (self.old, self.new))
        one, half = self._constant(1), self._constant(0.5)
        if mode == "align_corners":
            last = [self._float("Sub", each, one, shape=[1]) for each in (old_size, new_size)]
            divisor = self._float("Max", last[1], one, shape=[1])
            return self._float("Div", self._float("Mul", new, last[0]), divisor)
        scale = self._float("Div", new_size, old_size, shape=[1])
        if mode == "asymmetric":
            return self._float("Div", new, scale)
        at = self._float("Sub", self._float("Div", self._float("Add", new, half), scale), half)
        if mode == "pytorch_half_pixel":
            longer = self.site.insert("Greater", [new_size, one], [1], BOOL)
            return self.site.insert("Where", [longer, at, self._constant(0)], [self.bound], FLOAT)
        return at

    def _nearest(self, at: ir.Value) -> ir.Value:
        mode = self.site.attribute("nearest_mode", "round_prefer_floor")
        if mode in ("floor", "ceil"):
            return self._float("Floor" if mode == "floor" else "Ceil", at)
        half = self._constant(0.5)
        if mode == "round_prefer_floor":
            return self._float("Ceil", self._float("Sub", at, half))
        return self._float("Floor", self._float("Add", at, half))

    def _linear(self, part: ir.Value) -> dict[int, ir.Value]:
        return {0: self._float("Sub", self._constant(1), part), 1: part}

    def _cubic(self, part: ir.Value) -> dict[int, ir.Value]:
        """Return the weights of the elements at -1, 0, 1 and 2 (Keys, 1981)."""
        a = self.site.attribute("cubic_coeff_a", -0.75)
        one, two = self._constant(1), self._constant(2)
        distances = {-1: self._float("Add", part, one), 0: part, 1: self._float("Sub", one, part)}
        distances[2] = self._float("Sub", two, part)
        near, far = (a + 2, -(a + 3), 0, 1), (a, -5 * a, 8 * a, -4 * a)
        return {at: self._polynomial(x, near if at in (0, 1) else far) for at, x in distances.items()}

    def _polynomial(self, x: ir.Value, coefficients: tuple[float, ...]) -> ir.Value:
        total = self._constant(coefficients[0])
        for coefficient in coefficients[1:]:
            total = self._float("Add", self._float("Mul", total, x), self._constant(coefficient))
        return total

    def _clipped(self, at: ir.Value) -> ir.Value:
        last = self.site.size_value(self.old - known(1))
        above = self._float("Max", at, self._constant(0))
        return self._float("Min", above, self.site.cast(last, FLOAT))

    def _place(self, at: ir.Value) -> ir.Value:
        """Return whole numbers as places of the axis; those outside are at its ends."""
        whole = self.site.cast(at, INT64)
        above = self.site.insert("Max", [whole, self.site.constant([0])], [self.bound], INT64)
        last = self.site.sizes_math.maximum([self.old - known(1), known(0)])
        return self.site.insert("Min", [above, self.site.size_value(last)], [self.bound], INT64)

    def _constant(self, number: float) -> ir.Value:
        return self.site.constant([number], FLOAT)

    def _float(self, op_type: str, *operands: ir.Value, shape: list[int] | None = None) -> ir.Value:
        return self.site.insert(op_type, operands, [self.bound] if shape is None else shape, FLOAT)


RULES: dict[str, Rule] = {"Resize": resize}
