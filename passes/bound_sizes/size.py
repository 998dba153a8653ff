"""`Size`: a number of rows that the data decides, as a sum of counts times whole numbers, and the range it lies in."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True, eq=False)
class Count:
    """A whole number that is computed at run time: `value` (int64 [1]) holds it; it lies in `least` to `most`.

    `order` is that of creation, by which the terms of a size are sorted.
    """

    value: ir.Value
    least: int
    most: int
    order: int


@dataclass(frozen=True)
class Size:
    """`constant` plus the sum of `terms`, each a count times a whole number that is not 0."""

    constant: int
    terms: tuple[tuple[Count, int], ...] = ()

    @classmethod
    def of(cls, count: Count) -> Size:
        """Return `count` as a size."""
        return cls(0, ((count, 1),))

    @property
    def known(self) -> int | None:
        """The number itself where it does not depend on the data, else None."""
        return None if self.terms else self.constant

    @property
    def least(self) -> int:
        """Smallest number it can be."""
        return self.constant + sum(k * (count.least if k > 0 else count.most) for count, k in self.terms)

    @property
    def most(self) -> int:
        """Largest number it can be."""
        return self.constant + sum(k * (count.most if k > 0 else count.least) for count, k in self.terms)

    def __add__(self, other: Size) -> Size:
        factors = dict(self.terms)
        for count, k in other.terms:
            factors[count] = factors.get(count, 0) + k
        terms = sorted(((count, k) for count, k in factors.items() if k), key=lambda term: term[0].order)
        return Size(self.constant + other.constant, tuple(terms))

    def times(self, factor: int) -> Size:
        """Return the product with a known number."""
        return Size(self.constant * factor, tuple((count, k * factor) for count, k in self.terms) if factor else ())

    def __sub__(self, other: Size) -> Size:
        return self + other.times(-1)

    def divided(self, divisor: int) -> Size | None:
        """Return the quotient by a known number if it is whole whatever the counts are, else None."""
        if divisor == 0 or self.constant % divisor or any(k % divisor for _, k in self.terms):
            return None
        return Size(self.constant // divisor, tuple((count, k // divisor) for count, k in self.terms))

    def __str__(self) -> str:
        return str(self.constant) if not self.terms else f"{self.least} to {self.most}"


def known(number: int) -> Size:
    """Return a size that does not depend on the data."""
    return Size(int(number))
