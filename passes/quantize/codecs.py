"""Codecs: sets of levels for weights that are stored in few bits and decoded when the network is loaded.

Each row of weights (an output channel) is a step times one of the levels. `linear` is the usual integers; the others
trade evenly spaced levels for ones that fit the distribution of weights better, or cost less.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edgec.errors import BadOption
from edgec.registry import suggest

Array = np.ndarray[Any, Any]

CODECS = ("linear", "kmeans", "log2", "binary")
KMEANS_ROUNDS = 30
KMEANS_SAMPLE = 1 << 16
"""Weights of a layer that the codebook is made from."""


@dataclass(frozen=True, eq=False)
class Levels:
    """What a weight may be, in steps of its channel; has the interface of `rounding.Grid`.

    Attributes:
        levels: float64 [2 ** bits or fewer], rising.
        bits: Width of an index.
        power_of_two: Whether steps have to be powers of two.
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
        """Return the index of the nearest level; intp, of the shape of `weights`."""
        return np.asarray(np.searchsorted(self._borders, weights / steps))

    def round(self, weights: Array, steps: Array) -> Array:
        """Return the nearest representable weights."""
        return np.asarray(self.levels[self.codes(weights, steps)] * steps)


def make_levels(codec: str, bits: int, weights: Array) -> Levels:
    """Return the levels of a codec for a layer.

    Args:
        codec: kmeans: a codebook of 2^bits centroids of the layer's weights, each divided by the largest of its
            channel (Han et al., "Deep compression", 2016); log2: 0 and +-2^-k, so that a product is a shift; binary:
            +-1 (Rastegari et al., "XNOR-Net", 2016).
        bits: Width of an index; 1 for binary.
        weights: float64 [groups, rows, columns].

    Raises:
        BadOption: There is no such codec, or it has no such width.
    """
    if codec == "binary":
        return Levels(np.array([-1.0, 1.0]), 1)
    if codec == "log2":
        if bits < 2:
            raise BadOption(f"codec log2 needs 2 bits or more, not {bits}")
        powers = 2.0 ** -np.arange(2 ** (bits - 1) - 1)
        return Levels(np.sort(np.concatenate([-powers, [0.0], powers])), bits, power_of_two=True)
    if codec == "kmeans":
        return Levels(_centroids(weights, 2**bits), bits)
    raise BadOption(f"unknown codec {codec!r}", remedy=suggest(codec, CODECS))


def _centroids(weights: Array, count: int) -> Array:
    largest = np.abs(weights).max(axis=-1, keepdims=True)
    relative = np.sort((weights / np.where(largest > 0, largest, 1.0)).ravel())
    values = relative[:: -(-len(relative) // KMEANS_SAMPLE)]
    centroids = np.quantile(values, (np.arange(count) + 0.5) / count)
    # Quantiles alone leave the rare large weights, which matter most, to the outermost centroids.
    centroids = (centroids + np.linspace(values[0], values[-1], count)) / 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    for _ in range(KMEANS_ROUNDS):
        ends = np.searchsorted(values, (centroids[1:] + centroids[:-1]) / 2)
        bounds = np.concatenate([[0], ends, [len(values)]])
        sizes = np.diff(bounds)
        centroids = np.where(sizes > 0, np.diff(sums[bounds]) / np.maximum(sizes, 1), centroids)
    return np.sort(centroids)
