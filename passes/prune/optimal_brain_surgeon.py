"""`OptimalBrainSurgeon`: cost for a layer of losing input channels when its other weights compensate for them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DAMPING = 1e-4
"""Fraction of the mean of H's diagonal that is added to it."""


class OptimalBrainSurgeon:
    """Optimal brain surgeon on blocks of columns of one layer y = W x.

    Removing the columns B and refitting the others costs tr(W_B inv_BB^-1 W_B^T) of E|y|^2, where inv is H^-1. Then
    W -= W_B inv_BB^-1 inv_B: and inv -= inv_:B inv_BB^-1 inv_B: (Hassibi and Stork, 1993; for all outputs at once).

    Args:
        weights: W, float64 [outputs, width].
        h: E[x x^T], float64 [width, width].
        columns: Columns of each unit, int64 [units, largest block]; smaller blocks, and those of units that the layer
            does not read, are filled up with -1 at the end.
        compensate: Whether the other weights compensate; otherwise the cost is that of removing the columns alone.
    """

    def __init__(self, weights: Array, h: Array, columns: Array, *, compensate: bool = True) -> None:
        width = len(h)
        self._columns = columns.copy()
        self._sizes = (columns >= 0).sum(axis=1)
        self._read = self._sizes > 0
        # Inputs that are always 0 cost nothing, but damping would make them cost something.
        weights = np.where(np.diag(h) > 0, weights, 0)
        self._squares = weights.T @ weights  # costs need nothing else of W, whatever the number of outputs
        self._plain = None if compensate else h
        self._inverse = np.linalg.inv(h + DAMPING * np.trace(h) / width * np.eye(width))
        # The last input is 1 if there is a bias: the contribution of the mean is not information.
        centred = h - np.outer(h[-1], h[-1]) if h[-1, -1] == 1 else h
        self._energy = max(float((self._squares * centred).sum()), np.finfo(np.float64).tiny)

    def costs(self) -> Array:
        """Return the cost of removing each unit now, as a fraction of the variance of the output; float64 [units].

        Units that were removed, or that the layer does not read, cost nothing.
        """
        result = np.zeros(len(self._columns))
        for size in np.unique(self._sizes[self._read]):
            alike = self._read & (self._sizes == size)
            result[alike] = self._costs_of(self._columns[alike, :size])
        return result / self._energy

    def _costs_of(self, blocks: Array) -> Array:
        """Return the cost of each of `blocks`, int64 [blocks, size], in the units of the output; float64 [blocks]."""
        across, down = blocks[:, :, None], blocks[:, None, :]
        squares = self._squares[across, down]
        if self._plain is not None:
            cost = (self._plain[across, down] * squares).sum(axis=(1, 2))
        elif blocks.shape[1] == 1:
            cost = squares[:, 0, 0] / self._inverse[across, down][:, 0, 0]
        else:
            cost = np.trace(np.linalg.solve(self._inverse[across, down], squares), axis1=1, axis2=2)
        return np.asarray(cost)

    def remove(self, unit: int) -> None:
        """Remove a unit; the other weights change to compensate for it."""
        if not self._read[unit]:
            return
        self._read[unit] = False
        if self._plain is not None:
            return
        block = self._columns[unit, : self._sizes[unit]]
        rows = np.linalg.solve(self._inverse[np.ix_(block, block)], self._inverse[block])
        self._inverse -= self._inverse[:, block] @ rows
        half = self._squares[block] - 0.5 * self._squares[np.ix_(block, block)] @ rows
        change = rows.T @ half
        self._squares -= change
        self._squares -= change.T
        self._shrink()

    def _shrink(self) -> None:
        """Drop the columns of removed units once they are half of all: a step costs the square of their number."""
        kept = np.setdiff1d(np.arange(len(self._inverse)), self._gone())
        if 2 * len(kept) > len(self._inverse) or not self._read.any():
            return
        places = np.full(len(self._inverse), -1, np.int64)
        places[kept] = np.arange(len(kept))
        self._columns = np.where(self._read[:, None] & (self._columns >= 0), places[self._columns], -1)
        self._inverse = self._inverse[np.ix_(kept, kept)]
        self._squares = self._squares[np.ix_(kept, kept)]

    def _gone(self) -> Array:
        gone: Array = self._columns[~self._read]
        return gone[gone >= 0]
