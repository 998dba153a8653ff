"""`Surgeon`: what it costs a layer to lose input channels when its other weights make up for them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DAMPING = 1e-4
"""Share of the mean of H's diagonal that is added to it."""


class Surgeon:
    """Optimal brain surgeon on blocks of columns of one layer y = W x.

    Removing the columns B and refitting the others costs tr(W_B inv_BB^-1 W_B^T) of E|y|^2, inv being H^-1. Then
    W -= W_B inv_BB^-1 inv_B: and inv -= inv_:B inv_BB^-1 inv_B: (Hassibi and Stork, 1993; for all outputs at once).

    Args:
        weights: W, float64 [outputs, width].
        h: E[x x^T], float64 [width, width].
        columns: Columns of each unit, int64 [units, block]; units the layer does not read have -1.
        compensate: Whether the others make up for it; else the cost is that of leaving them out alone.
    """

    def __init__(self, weights: Array, h: Array, columns: Array, *, compensate: bool = True) -> None:
        width = len(h)
        damped = h + DAMPING * np.trace(h) / width * np.eye(width)
        self._read = columns[:, 0] >= 0
        self._columns = columns
        self._weights = weights.copy()
        self._compensate = compensate
        self._inverse = np.linalg.inv(damped)
        self._plain = None if compensate else h
        # The last input is 1 where there is a bias: what the mean contributes is not information.
        centred = h - np.outer(h[-1], h[-1]) if h[-1, -1] == 1 else h
        self._energy = max(float(np.einsum("ok,kl,ol->", weights, centred, weights)), np.finfo(np.float64).tiny)

    def costs(self) -> Array:
        """Return the cost of removing each unit now, as a share of the variance of the output; float64 [units].

        Units removed before, and those that the layer does not read, cost nothing.
        """
        result = np.zeros(len(self._columns))
        blocks = self._columns[self._read]
        weights = self._weights[:, blocks].transpose(1, 2, 0)  # [units, block, outputs]
        held = self._inverse if self._plain is None else self._plain
        inner = held[blocks[:, :, None], blocks[:, None, :]]
        if self._plain is not None:
            cost = np.einsum("ubo,ubc,uco->u", weights, inner, weights)
        elif blocks.shape[1] == 1:
            cost = np.square(weights[:, 0]).sum(axis=1) / np.maximum(inner[:, 0, 0], np.finfo(np.float64).tiny)
        else:
            gone = inner[:, 0, 0] <= 0
            inner[gone] = np.eye(blocks.shape[1])
            cost = (weights * np.linalg.solve(inner, weights)).sum(axis=(1, 2))
        result[self._read] = cost
        return result / self._energy

    def remove(self, unit: int) -> None:
        """Remove a unit; the other weights change to make up for it."""
        if not self._read[unit]:
            return
        block = self._columns[unit]
        if self._plain is None:
            rows = np.linalg.solve(self._inverse[np.ix_(block, block)], self._inverse[block])
            self._weights -= self._weights[:, block] @ rows
            self._inverse -= self._inverse[:, block] @ rows
        self._weights[:, block] = 0
        self._inverse[block] = 0
        self._inverse[:, block] = 0
