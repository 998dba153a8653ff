"""What is known of a value beyond its type: the true size of its axes, numbers it holds, the range these lie in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import constant
from edgec.passes.bound_sizes.size import Size, known

Elements = np.ndarray[Any, Any]
"""An array of sizes, in the shape of the tensor that holds them."""

LARGEST_ELEMENTS = 64
"""A shape has a handful of elements; anything larger is data."""


@dataclass(frozen=True)
class Interval:
    """Every element, the padding left out, lies in `least` to `most`; infinite where nothing is known."""

    least: float = -math.inf
    most: float = math.inf


@dataclass(frozen=True)
class Fact:
    """What is known of one value.

    Attributes:
        sizes: The true size of each axis: what lies behind it, up to the size of the axis, is padding.
        elements: The numbers it holds, where they are sizes.
        interval: Where its elements lie.
        clean: Whether the padding holds zeros; else it holds anything, infinities and NaN included.
    """

    sizes: tuple[Size, ...]
    elements: Elements | None = None
    interval: Interval = Interval()
    clean: bool = False


class Facts:
    """The facts of all values met so far; those of constants and of values of static shape are made when asked for."""

    def __init__(self) -> None:
        self._facts: dict[ir.Value, Fact] = {}

    def __setitem__(self, value: ir.Value, fact: Fact) -> None:
        self._facts[value] = fact

    def __getitem__(self, value: ir.Value) -> Fact:
        if value not in self._facts:
            self._facts[value] = _initial(value)
        return self._facts[value]

    def is_padded(self, value: ir.Value | None) -> bool:
        """Return whether the true size of an axis of `value` depends on the data."""
        return value is not None and value in self._facts and any(size.terms for size in self._facts[value].sizes)


def bounds_of(value: ir.Value) -> tuple[int, ...]:
    """Return the shape of `value`, padding included."""
    assert value.shape is not None
    return tuple(int(size) for size in value.shape.numpy())


def sizes_of(numbers: Sequence[int]) -> tuple[Size, ...]:
    """Return `numbers` as sizes."""
    return tuple(known(number) for number in numbers)


def as_elements(array: np.ndarray[Any, Any]) -> Elements:
    """Return an array of integers as one of sizes."""
    made = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        made[index] = known(int(array[index]))
    return made


def _initial(value: ir.Value) -> Fact:
    assert value.shape is not None, value
    sizes = sizes_of(bounds_of(value))
    array = constant(value)
    if array is None or array.dtype.kind not in "biuf":
        return Fact(sizes, clean=True)
    if not array.size:
        return Fact(sizes, as_elements(array), clean=True)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return Fact(sizes, clean=True)
    interval = Interval(float(array.min()), float(array.max()))
    is_small = array.size <= LARGEST_ELEMENTS
    if array.dtype.kind == "f":
        is_small = is_small and bool((array == np.trunc(array)).all()) and max(-interval.least, interval.most) < 2**63
    return Fact(sizes, as_elements(array) if is_small else None, interval, clean=True)
