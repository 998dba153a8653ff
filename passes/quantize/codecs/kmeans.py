"""`kmeans`: a codebook for each layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.passes.quantize.codecs.base import Levels

Array = np.ndarray[Any, Any]

ROUNDS = 30
SAMPLE = 1 << 16
"""Maximum number of weights of a layer from which the codebook is computed."""


def kmeans(weights: Array, bits: int, power_of_two: bool) -> Levels:
    """Return 2^bits centroids of the weights, each of which is divided by the largest of its channel.

    Han et al., "Deep compression", 2016.
    """
    return Levels(_centroids(weights, 2**bits), bits)


def _centroids(weights: Array, count: int) -> Array:
    largest = np.abs(weights).max(axis=-1, keepdims=True)
    relative = np.sort((weights / np.where(largest > 0, largest, 1.0)).ravel())
    values = relative[:: -(-len(relative) // SAMPLE)]
    centroids = np.quantile(values, (np.arange(count) + 0.5) / count)
    # Quantiles alone would leave the rare large weights, which matter most, to the outermost centroids.
    centroids = (centroids + np.linspace(values[0], values[-1], count)) / 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    for _ in range(ROUNDS):
        ends = np.searchsorted(values, (centroids[1:] + centroids[:-1]) / 2)
        bounds = np.concatenate([[0], ends, [len(values)]])
        sizes = np.diff(bounds)
        centroids = np.where(sizes > 0, np.diff(sums[bounds]) / np.maximum(sizes, 1), centroids)
    return np.sort(centroids)
