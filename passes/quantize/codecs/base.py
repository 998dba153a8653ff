"""`Codec`: chooses the representable values of a layer's weights; `Levels` is the general form of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edgec import registry
from edgec.passes.quantize.rounding import Grid

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Levels:
    """Representable weights, in steps of their channel; has the interface of `rounding.Grid`.

    Attributes:
        levels: float64 [2 ** bits or fewer], ascending.
        bits: Width of an index in bits.
        power_of_two: Whether steps must be powers of two.
    """

    levels: Array
    bits: int
    power_of_two: bool = False

    @property
    def high(self) -> float:
        """Largest magnitude of a level."""
        return float(np.abs(self.levels).max()) or 1.0

    @cached_property
    def _borders(self) -> Array:
        return np.asarray((self.levels[1:] + self.levels[:-1]) / 2)

    def codes(self, weights: Array, steps: Array) -> Array:
        """Return the index of the nearest level, of two the upper one, so that the sign of 0 is +1.

        intp, of the shape of `weights`.
        """
        return np.asarray(np.searchsorted(self._borders, weights / steps, side="right"))

    def round(self, weights: Array, steps: Array) -> Array:
        """Return the nearest representable weights."""
        return np.asarray(self.levels[self.codes(weights, steps)] * steps)


Codec = Callable[[Array, int, bool], "Grid | Levels"]
"""Weights of a layer, float64 [groups, rows, columns], width of a weight in bits, and whether steps must be powers
of two -> the representable weights, in steps of each row. A plugin registers one in the entry point group
edgec.codecs.

A `Grid` is the usual integers. `Levels` replace evenly spaced levels by others that fit the distribution of weights
better, or cost less; such weights are stored as indices and decoded when the network is loaded.

Raises:
    BadOption: The codec does not support this width.
"""


def load_codec(name: str) -> Codec:
    """Return the codec registered as `name`, or given as `module:function`.

    Raises:
        BadOption: There is no such codec.
    """
    codec: Codec = registry.load("codecs", name)
    return codec
