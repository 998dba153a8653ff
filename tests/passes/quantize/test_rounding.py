"""Rounding of weights: grids, steps, and what compensation gains."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgec.passes.quantize.rounding import Grid, best_steps, round_compensated


def layer(seed: int = 0, groups: int = 2, rows: int = 6, columns: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Weights [groups, rows, columns] and moments of strongly correlated inputs."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(groups, columns, columns)) @ (
        rng.normal(size=(groups, columns, 4)) @ np.ones((1, 4, columns))
    )
    x = (mix + 3 * rng.normal(size=mix.shape)) @ rng.normal(size=(groups, columns, 4000)) / columns
    return rng.normal(size=(groups, rows, columns)), x @ x.transpose(0, 2, 1) / 4000


def error(weights: np.ndarray, h: np.ndarray) -> float:
    return float(((weights @ h) * weights).sum())


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_compensation_beats_the_nearest(bits: int) -> None:
    weights, h = layer()
    grid = Grid(bits)
    rounded, steps = round_compensated(weights, h, grid)
    nearest = grid.round(weights, best_steps(weights, np.ones(h.shape[:2]), grid))
    assert error(rounded - weights, h) < 0.5 * error(nearest - weights, h)
    integers = rounded / steps
    np.testing.assert_allclose(integers, np.rint(integers), atol=1e-6)
    assert grid.low - 1e-6 <= integers.min()
    assert integers.max() <= grid.high + 1e-6


def test_no_better_integers_nearby() -> None:
    """Descent ends where no single weight can move to an integer that makes the error less."""
    weights, h = layer(groups=1, rows=2, columns=5)
    grid = Grid(4)
    rounded, steps = round_compensated(weights, h, grid)
    least = error(rounded[:, :1] - weights[:, :1], h)
    for column, change in itertools.product(range(5), (-1, 1)):
        moved = rounded[:, :1].copy()
        moved[0, 0, column] += change * steps[0, 0, 0]
        if grid.low <= round(moved[0, 0, column] / steps[0, 0, 0]) <= grid.high:
            assert error(moved - weights[:, :1], h) >= least - 1e-12


def test_uncorrelated_inputs_leave_nothing_to_compensate() -> None:
    weights, _ = layer()
    h = np.stack([np.eye(weights.shape[2])] * 2)
    rounded, _ = round_compensated(weights, h, Grid(8))
    nearest = Grid(8).round(weights, best_steps(weights, np.ones(h.shape[:2]), Grid(8)))
    assert error(rounded - weights, h) <= error(nearest - weights, h)


@pytest.mark.parametrize("bits", [8, 4])
def test_power_of_two_steps(bits: int) -> None:
    weights, h = layer()
    _, steps = round_compensated(weights, h, Grid(bits, power_of_two=True))
    np.testing.assert_array_equal(np.log2(steps), np.rint(np.log2(steps)))


def test_eight_bits_have_no_minus_128() -> None:
    assert (Grid(8).low, Grid(8).high) == (-127, 127)
    assert (Grid(4).low, Grid(4).high) == (-8, 7)


def test_a_row_of_zeros_stays_zero() -> None:
    weights, h = layer()
    weights[0, 2] = 0
    rounded, steps = round_compensated(weights, h, Grid(4))
    assert not rounded[0, 2].any()
    assert (steps > 0).all()
