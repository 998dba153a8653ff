"""Rounds a layer's weights to few bits, so that its outputs, rather than its weights, change least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]

CLIPPING = np.linspace(0.3, 1.0, 36)
"""Fractions of the largest weight of a channel that are tried as the largest representable weight."""
SHIFTS = range(4)
"""The same for power-of-two steps: halvings."""
SWEEPS = 16
ENOUGH = 0.005
"""Fraction of the error that a pass of the coordinate descent must gain for another one to follow."""
SMALLEST_STEP = 2.0**-60
"""Step of a channel whose weights are all zero."""


class Representable(Protocol):
    """Representable weights."""

    @property
    def power_of_two(self) -> bool:
        """Whether steps must be powers of two."""

    @property
    def high(self) -> float:
        """Largest representable weight, in steps."""

    def round(self, weights: Array, steps: Array) -> Array:
        """Return the nearest representable weights."""


@dataclass(frozen=True)
class Grid:
    """The representable integers: symmetric, without the most negative for 8 bits and more, so that -w exists.

    Attributes:
        bits: Width in bits, 2 or more.
        power_of_two: Whether steps must be powers of two.
    """

    bits: int
    power_of_two: bool = False

    @property
    def high(self) -> int:
        """Largest integer."""
        return (1 << (self.bits - 1)) - 1

    @property
    def low(self) -> int:
        """Smallest integer."""
        return -self.high if self.bits >= 8 else -self.high - 1

    def round(self, weights: Array, steps: Array) -> Array:
        """Return the nearest representable weights."""
        return np.asarray(np.clip(np.rint(weights / steps), self.low, self.high) * steps)


def best_steps(weights: Array, importance: Array, grid: Representable) -> Array:
    """Return the step of each row with the least squared error when rounding to the nearest.

    Args:
        weights: float64 [..., rows, columns].
        importance: Weight of each column's error, [..., columns] (for example the mean square of its input).
        grid: The representable weights.

    Returns:
        [..., rows, 1], each > 0.
    """
    largest = np.maximum(np.abs(weights).max(axis=-1, keepdims=True), SMALLEST_STEP * grid.high)
    if grid.power_of_two:
        base = 2.0 ** np.ceil(np.log2(largest / (grid.high + 0.5 if grid.high > 1 else 1.0)))
        tries = [base / 2**shift for shift in SHIFTS]
    else:
        tries = [largest * share / grid.high for share in CLIPPING[::-1]]
    best, least = tries[0], np.full(largest.shape, np.inf)
    for steps in tries:
        error = (np.square(grid.round(weights, steps) - weights) * importance[..., None, :]).sum(-1, keepdims=True)
        best, least = np.where(error < least, steps, best), np.minimum(error, least)
    return np.asarray(best)


def round_compensated(weights: Array, h: Array, grid: Representable) -> tuple[Array, Array]:
    """Round so that E|(W' - W) x|^2 is small, for each group separately; return W' and the steps.

    First column by column, with each error spread over the columns that are not rounded yet (GPTQ, Frantar et al.,
    2022), in the order of descending diag(H); then coordinate descent: each column in turn gets the integer that is
    best given all others, and each row the step that is best given its integers, (w H q) / (q H q), while the error
    falls.

    Args:
        weights: float64 [groups, rows, columns].
        h: Second moments of the inputs, damped so that it is well conditioned, [groups, columns, columns].
        grid: The representable weights.

    Returns:
        W' [groups, rows, columns] and steps [groups, rows, 1].
    """
    steps = best_steps(weights, np.diagonal(h, axis1=1, axis2=2), grid)
    rounded = _spread_errors(weights, h, steps, grid)
    best, best_steps_, least = rounded, steps, _errors(rounded - weights, h)
    for _ in range(SWEEPS):
        rounded = _descend(weights, rounded, h, steps, grid)
        if not grid.power_of_two:
            integers = rounded / steps
            steps = _refit_steps(weights, rounded, h, steps)
            rounded = integers * steps
        error, before = _errors(rounded - weights, h), least.sum()
        better = error < least
        best = np.where(better, rounded, best)
        best_steps_, least = np.where(better, steps, best_steps_), np.minimum(error, least)
        if least.sum() > (1 - ENOUGH) * before:
            break
    return best, best_steps_


def _errors(difference: Array, h: Array) -> Array:
    """Return E|d x|^2 of each row; [groups, rows, 1]."""
    return np.asarray(((difference @ h) * difference).sum(axis=-1, keepdims=True))


def _spread_errors(weights: Array, h: Array, steps: Array, grid: Representable) -> Array:
    order = np.argsort(-np.diagonal(h, axis1=1, axis2=2), axis=1)
    sorted_h = np.take_along_axis(np.take_along_axis(h, order[:, :, None], 1), order[:, None, :], 2)
    upper = np.linalg.cholesky(np.linalg.inv(sorted_h)).transpose(0, 2, 1)
    left = np.take_along_axis(weights, order[:, None, :], 2).transpose(0, 2, 1).copy()  # [groups, columns, rows]
    rounded = np.empty_like(left)
    for column in range(left.shape[1]):
        rounded[:, column] = grid.round(left[:, column], steps[..., 0])
        error = (left[:, column] - rounded[:, column]) / upper[:, column, column, None]
        left[:, column:] -= upper[:, column, column:, None] * error[:, None, :]
    result = np.empty_like(weights)
    np.put_along_axis(result, order[:, None, :], rounded.transpose(0, 2, 1), 2)
    return result


def _descend(weights: Array, rounded: Array, h: Array, steps: Array, grid: Representable) -> Array:
    current = rounded.transpose(0, 2, 1).copy()  # [groups, columns, rows]
    pull = h @ (current - weights.transpose(0, 2, 1))
    for column in range(current.shape[1]):
        wanted = current[:, column] - pull[:, column] / h[:, column, column, None]
        change = grid.round(wanted, steps[..., 0]) - current[:, column]
        if not change.any():
            continue
        current[:, column] += change
        pull += h[:, :, column, None] * change[:, None, :]
    return current.transpose(0, 2, 1)


def _refit_steps(weights: Array, rounded: Array, h: Array, steps: Array) -> Array:
    along = rounded @ h
    energy = (along * rounded).sum(axis=-1, keepdims=True)
    scale = (along * weights).sum(axis=-1, keepdims=True) / np.where(energy > 0, energy, 1.0)
    return np.where((energy > 0) & (scale > 0), steps * scale, steps)
