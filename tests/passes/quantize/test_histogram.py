"""Histograms grow with their data and lose no count."""

from __future__ import annotations

import numpy as np
import pytest

from edgec.passes.quantize.histogram import Histogram


def gathered(*arrays: np.ndarray) -> Histogram:
    histogram = Histogram()
    for array in arrays:
        histogram.update(array)
    return histogram


def test_the_order_of_samples_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    small, large = rng.normal(0, 1, 1000), rng.normal(0, 37, 1000)
    one, other = gathered(small, large), gathered(large, small)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert one.width == other.width
    assert one.counts.sum() == 2000


def test_counts_agree_with_numpy() -> None:
    values = np.random.default_rng(1).normal(0.5, 2, 5000)
    histogram = gathered(values)
    edges = (np.arange(len(histogram.counts) + 1) - len(histogram.counts) // 2) * histogram.width
    np.testing.assert_array_equal(histogram.counts, np.histogram(values, edges)[0])


def test_extremes_are_exact_and_quantiles_are_within_a_bin() -> None:
    values = np.random.default_rng(2).exponential(3, 20000).astype(np.float32)
    histogram = gathered(values[:7000], values[7000:])
    assert (histogram.low, histogram.high) == (values.min(), values.max())
    assert histogram.quantile(0.9) == pytest.approx(np.quantile(values, 0.9), abs=1.01 * histogram.width)


def test_zeros_alone_have_no_width() -> None:
    histogram = gathered(np.zeros(10, np.float32))
    assert histogram.width == 0
    histogram.update(np.array([2.0, 0.0], np.float32))
    assert histogram.counts.sum() == 12


def test_of_a_large_array_every_nth_value_is_counted() -> None:
    values = np.linspace(0, 1, 1 << 20, dtype=np.float32)
    histogram = gathered(values)
    assert histogram.high == 1
    assert 1 << 16 < histogram.counts.sum() <= 1 << 17
    assert histogram.quantile(0.5) == pytest.approx(0.5, abs=1e-3)


def test_state_goes_on_where_it_was() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=500), rng.normal(size=500) * 9
    resumed = Histogram()
    resumed.restore(gathered(first).state())
    resumed.update(second)
    np.testing.assert_array_equal(resumed.counts, gathered(first, second).counts)
