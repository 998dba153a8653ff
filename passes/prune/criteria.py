"""Pruning criteria from filters alone: filters [channels, k] -> scores [channels]; the lowest are removed first."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def l0(filters: Array) -> Array:
    """Return the number of weights of each filter that are not zero."""
    scores: Array = np.count_nonzero(filters, axis=1).astype(np.float64)
    return scores


def l1(filters: Array) -> Array:
    """Return the sum of absolute weights of each filter."""
    scores: Array = np.abs(filters).sum(axis=1, dtype=np.float64)
    return scores


def l2(filters: Array) -> Array:
    """Return the Euclidean norm of each filter."""
    scores: Array = np.sqrt(np.square(filters, dtype=np.float64).sum(axis=1))
    return scores


def fpgm(filters: Array) -> Array:
    """Return the sum of Euclidean distances of each filter to all others of the layer.

    He et al., "Filter Pruning via Geometric Median", CVPR 2019: filters close to the geometric median of all filters
    can be replaced by the others.
    """
    wide = filters.astype(np.float64)
    squares = np.square(wide).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * wide @ wide.T
    np.fill_diagonal(distances, 0)  # rounding leaves about 1e-16 there
    scores: Array = np.sqrt(distances.clip(0)).sum(axis=1)
    return scores
