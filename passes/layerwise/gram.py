"""`Gram`: second moments of a linear layer's inputs, and cross moments with the wanted outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

MOMENT_SAMPLES = 128
"""Number of samples for moments: with more they hardly change."""


class Gram:
    """Streamed float64 sums over rows: H = E[x x^T], and G = E[y x^T] if outputs are given too.

    A layer with several groups (a depthwise convolution has one per channel) has one matrix per group.

    Args:
        groups: Number of groups.
        width: Number of elements of x per group, including a constant one if the layer has a bias.
    """

    def __init__(self, groups: int, width: int) -> None:
        self.width = width
        self.rows = 0
        self._squares = 0.0
        self._sums: Array = np.zeros(1)
        self._inner: Array = np.zeros((groups, width, width))
        self._outer: Array | None = None

    def add(self, x: Array, y: Array | None = None) -> None:
        """Add rows x [groups, n, width] and, either always or never, y [groups, n, outputs]."""
        wide = x.astype(np.float64)
        turned = wide.transpose(0, 2, 1)
        self.rows += x.shape[1]
        self._inner += turned @ wide
        if y is not None:
            target = y.astype(np.float64)
            self._squares += float(np.square(target).sum())
            self._sums = self._sums + target.sum(axis=1)
            cross = target.transpose(0, 2, 1) @ wide
            self._outer = cross if self._outer is None else self._outer + cross

    @property
    def h(self) -> Array:
        """E[x x^T], float64 [groups, width, width]."""
        return self._inner / max(self.rows, 1)

    @property
    def g(self) -> Array:
        """E[y x^T], float64 [groups, outputs, width].

        Raises:
            ValueError: No outputs were given.
        """
        if self._outer is None:
            raise ValueError("cross moments need outputs, but none were given")
        return self._outer / max(self.rows, 1)

    def unexplained(self, weights: Array) -> float:
        """Return E|W x - y|^2 as a fraction of the variance of y, for weights [groups, outputs, width]."""
        rows = max(self.rows, 1)
        mean, energy = self._sums / rows, self._squares / rows
        fitted = ((weights @ self.h) * weights).sum()
        left = float(fitted - 2 * (weights * self.g).sum()) + energy
        return max(left, 0.0) / max(energy - float(np.square(mean).sum()), np.finfo(np.float64).tiny)


def refit(h: Array, g: Array, old: Array, damping: float) -> Array:
    """Return the weights W that minimize E|W x - y|^2 + lam |W - old|^2, float64 [groups, outputs, width].

    W = (G + lam old) (H + lam I)^-1 with lam = damping * mean(diag H): in directions in which x never varies on the
    samples, the old weights stay.

    Args:
        h: E[x x^T], [groups, width, width].
        g: E[y x^T], [groups, outputs, width].
        old: Weights to stay close to, [groups, outputs, width].
        damping: Damping as a fraction of the mean of H's diagonal.
    """
    width = h.shape[-1]
    lam = damping * np.trace(h, axis1=1, axis2=2)[:, None, None] / width + np.finfo(np.float64).tiny
    left = h + lam * np.eye(width)
    return np.linalg.solve(left, (g + lam * old).transpose(0, 2, 1)).transpose(0, 2, 1)
