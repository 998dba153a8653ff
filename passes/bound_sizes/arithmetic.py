"""Arithmetic on sizes: a size that is not a sum of counts is computed once by the graph, as a count of its own."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Hashable, Iterator, Sequence

import onnx_ir as ir

from edgec.passes.bound_sizes.builder import Builder
from edgec.passes.bound_sizes.size import Count, Size, known

INT64 = ir.DataType.INT64
BOOL = ir.DataType.BOOL


class Arithmetic:
    """Computes sizes at run time, by nodes that `builder` inserts; equal expressions are computed once."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._values: dict[Size, ir.Value] = {}
        self._counts: dict[Hashable, Size] = {}
        self._made = 0

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Forget, at the end of the block, all that was computed in it."""
        values, counts = dict(self._values), dict(self._counts)
        yield
        self._values, self._counts = values, counts

    @property
    def made(self) -> int:
        """Number of counts: `Count.order` of the last one."""
        return self._made

    def count(self, value: ir.Value, least: int, most: int) -> Size:
        """Return the size that `value` (int64 [1]) holds at run time, from `least` to `most`."""
        if least == most:
            return known(least)
        self._made += 1
        return Size.of(Count(value, least, most, self._made))

    def value(self, size: Size) -> ir.Value:
        """Return a value (int64 [1]) that holds `size`."""
        if size.known is not None:
            return self._builder.constant([size.known])
        if size not in self._values:
            self._values[size] = self._sum(size)
        return self._values[size]

    def minimum(self, sizes: Sequence[Size]) -> Size:
        """Return the smallest of `sizes`."""
        return self._extremum("Min", sizes)

    def maximum(self, sizes: Sequence[Size]) -> Size:
        """Return the largest of `sizes`."""
        return self._extremum("Max", sizes)

    def product(self, a: Size, b: Size) -> Size:
        """Return the product."""
        if a.known is not None:
            return b.times(a.known)
        if b.known is not None:
            return a.times(b.known)
        corners = [x * y for x in (a.least, a.most) for y in (b.least, b.most)]
        key = ("Mul", frozenset((a, b)))
        return self._computed(key, "Mul", [a, b], min(corners), max(corners))

    def floor_divide(self, size: Size, divisor: int) -> Size:
        """Return the quotient by a positive number, rounded down."""
        whole = Size(
            size.constant // divisor * divisor, tuple((count, k) for count, k in size.terms if k % divisor == 0)
        )
        rest = size - whole
        quotient = whole.divided(divisor)
        assert quotient is not None
        if rest.known is not None:
            return quotient + known(rest.known // divisor)
        # Division of integers rounds towards zero: shifted by a multiple of the divisor, the dividend is not negative.
        shift = max(0, math.ceil(-rest.least / divisor))
        dividend = rest + known(shift * divisor)
        low, high = dividend.least // divisor, dividend.most // divisor
        divided = self._computed(("Div", dividend, divisor), "Div", [dividend, known(divisor)], low, high)
        return quotient + divided - known(shift)

    def divide(self, size: Size, divisor: Size) -> Size:
        """Return the quotient of a size that is not negative by one that is positive, rounded down."""
        if divisor.known is not None:
            return self.floor_divide(size, divisor.known)
        low, high = size.least // divisor.most, size.most // divisor.least
        return self._computed(("Div", size, divisor), "Div", [size, divisor], low, high)

    def ceil_divide(self, size: Size, divisor: int) -> Size:
        """Return the quotient by a positive number, rounded up."""
        return self.floor_divide(size + known(divisor - 1), divisor)

    def choose(self, condition: ir.Value, a: Size, b: Size) -> Size:
        """Return `a` if `condition` (bool, one element) holds at run time, else `b`."""
        if a == b:
            return a
        low, high = min(a.least, b.least), max(a.most, b.most)
        key = ("Where", condition, a, b)
        if key not in self._counts:
            chosen = self._builder.node("Where", [condition, self.value(a), self.value(b)], [1], INT64)
            self._counts[key] = self.count(chosen, low, high)
        return self._counts[key]

    def compare(self, op_type: str, a: Size, b: Size) -> ir.Value:
        """Return a value (bool [1]) that tells at run time whether the comparison `op_type` holds."""
        return self._builder.node(op_type, [self.value(a), self.value(b)], [1], BOOL)

    def _extremum(self, op_type: str, sizes: Sequence[Size]) -> Size:
        sign = 1 if op_type == "Max" else -1
        left: list[Size] = []
        for size in sizes:
            if not any(_never_below(other, size, sign) for other in left):
                left = [other for other in left if not _never_below(size, other, sign)] + [size]
        if len(left) == 1:
            return left[0]
        pick = max if sign > 0 else min
        low, high = pick(size.least for size in left), pick(size.most for size in left)
        return self._computed((op_type, frozenset(left)), op_type, left, low, high)

    def _computed(self, key: Hashable, op_type: str, operands: Sequence[Size], low: int, high: int) -> Size:
        if key not in self._counts:
            value = self._builder.node(op_type, [self.value(size) for size in operands], [1], INT64)
            self._counts[key] = self.count(value, low, high)
        return self._counts[key]

    def _sum(self, size: Size) -> ir.Value:
        summands = []
        for count, factor in size.terms:
            value = count.value
            if factor != 1:
                value = self._builder.node("Mul", [value, self._builder.constant([factor])], [1], INT64)
            summands.append(value)
        if size.constant:
            summands.append(self._builder.constant([size.constant]))
        total = summands[0]
        for summand in summands[1:]:
            total = self._builder.node("Add", [total, summand], [1], INT64)
        return total


def _never_below(a: Size, b: Size, sign: int) -> bool:
    """Return whether `a` is never smaller than `b` or, with `sign` -1, never larger."""
    difference = (a - b).times(sign)
    return difference.least >= 0
