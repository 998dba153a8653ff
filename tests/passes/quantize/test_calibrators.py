"""Calibrators: which range each keeps of known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgec import registry
from edgec.passes.quantize.calibrators.base import HistogramCalibrator
from edgec.quantization import Scheme, TensorRange

ASYMMETRIC, SYMMETRIC, POWER = (Scheme(kind=kind) for kind in ("asymmetric", "symmetric", "power-of-two"))
ALL = ["minmax", "moving-average", "percentile", "mse", "kl", "adaptive-kl", "adaptive-kl-count", "fixed-point"]
POWERS = ("adaptive-kl", "adaptive-kl-count", "fixed-point")


def made(name: str, scheme: Scheme) -> HistogramCalibrator:
    calibrator: HistogramCalibrator = registry.load("calibrators", name)(scheme)
    return calibrator


def result(name: str, *arrays: np.ndarray, scheme: Scheme = ASYMMETRIC) -> TensorRange:
    calibrator = made(name, scheme)
    for array in arrays:
        calibrator.update(array.astype(np.float32))
    return calibrator.result()


def normal_with_outliers(seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 1, 100_000)
    values[:3] = 80.0
    return values


def true_error(values: np.ndarray, found: TensorRange, scheme: Scheme) -> float:
    params = scheme.params(found.low, found.high)
    return float(np.square(params.dequantize(params.quantize(values)) - values).sum() / np.square(values).sum())


def test_all_are_registered() -> None:
    assert set(ALL) <= set(registry.names("calibrators"))


def test_minmax_keeps_everything() -> None:
    found = result("minmax", np.array([-1.5, 0.25]), np.array([3.0, 1.0]))
    assert (found.low, found.high) == (-1.5, 3.0)


def test_moving_average_is_not_set_by_one_odd_sample() -> None:
    samples = [np.array([0.0, 1.0])] * 20 + [np.array([0.0, 11.0])]
    assert result("moving-average", *samples).high == pytest.approx(2.0)


def test_percentile_clips_a_ten_thousandth() -> None:
    found = result("percentile", np.linspace(0, 1, 100_001))
    assert found.high == pytest.approx(0.9999, abs=3e-4)


@pytest.mark.parametrize("name", ["percentile", "kl"])
def test_rare_outliers_are_clipped(name: str) -> None:
    found = result(name, normal_with_outliers())
    assert 3 < found.high < 40


def test_mse_is_better_than_any_other_range() -> None:
    values = np.random.default_rng(5).laplace(0.3, 1, 50_000)
    best = result("mse", values)
    for low in np.linspace(values.min(), -0.5, 12):
        for high in np.linspace(0.5, values.max(), 12):
            other = TensorRange(low=float(low), high=float(high))
            assert true_error(values, best, ASYMMETRIC) < 1.03 * true_error(values, other, ASYMMETRIC)


@pytest.mark.parametrize("name", ALL)
def test_the_error_reported_is_the_true_one(name: str) -> None:
    values = np.random.default_rng(6).normal(0.2, 3, 60_000)
    scheme = made(name, POWER if name in POWERS else SYMMETRIC).scheme
    found = result(name, values, scheme=scheme)
    assert found.error == pytest.approx(true_error(values, found, scheme), rel=0.02)


@pytest.mark.parametrize("name", [*POWERS, "kl", "mse"])
def test_scales_of_power_of_two_schemes_are_powers_of_two(name: str) -> None:
    found = result(name, normal_with_outliers(), scheme=POWER)
    exponent = math.log2(POWER.params(found.low, found.high).scale[0])
    assert exponent == int(exponent)


def test_fixed_point_takes_the_fraction_length_of_least_error() -> None:
    values = np.random.default_rng(7).normal(0, 1, 100_000)
    found = result("fixed-point", values, scheme=POWER)
    errors = {k: true_error(values, TensorRange(low=-127 / 2**k, high=127 / 2**k), POWER) for k in range(8)}
    assert POWER.params(found.low, found.high).scale[0] == 2.0 ** -min(errors, key=errors.__getitem__)


def test_adaptive_kl_minds_rare_large_values_more_than_kl() -> None:
    rng = np.random.default_rng(8)
    values = np.concatenate([rng.laplace(0, 0.05, 99_000), rng.normal(0, 2.5, 1_000)])
    assert result("adaptive-kl", values, scheme=POWER).high >= result("kl", values, scheme=POWER).high


@pytest.mark.parametrize("name", ALL)
def test_a_tensor_that_is_always_zero_has_no_range(name: str) -> None:
    found = result(name, np.zeros(100), scheme=POWER)
    assert (found.low, found.high, found.error) == (0, 0, 0)
    assert POWER.params(found.low, found.high).scale[0] > 0


@pytest.mark.parametrize("name", ALL)
def test_a_constant_tensor_is_kept_to_half_a_step(name: str) -> None:
    found = result(name, np.full(1000, 3.7), scheme=made(name, ASYMMETRIC).scheme)
    params = Scheme(kind="power-of-two" if name in POWERS else "asymmetric").params(found.low, found.high)
    value = params.dequantize(params.quantize(np.array([3.7])))
    assert value[0] == pytest.approx(3.7, abs=params.scale[0] / 2 * 1.001)


@pytest.mark.parametrize("name", ALL)
def test_state_goes_on_where_it_was(name: str) -> None:
    rng = np.random.default_rng(9)
    samples = [rng.normal(0, 1 + k, 300).astype(np.float32) for k in range(6)]
    whole, first, second = made(name, SYMMETRIC), made(name, SYMMETRIC), made(name, SYMMETRIC)
    for sample in samples:
        whole.update(sample)
    for sample in samples[:3]:
        first.update(sample)
    second.restore(first.state())
    for sample in samples[3:]:
        second.update(sample)
    assert second.result() == whole.result()


@pytest.mark.parametrize("name", ["adaptive-kl", "adaptive-kl-count"])
@pytest.mark.parametrize(
    ("values", "fraction"),
    [
        (np.random.default_rng(0).uniform(-0.99, 0.99, 100_000), 7),  # all between two powers of two
        (np.random.default_rng(0).uniform(-3.9, 3.9, 100_000), 5),
        (np.random.default_rng(0).normal(0, 1, 100_000).clip(-3.9, 3.9), 5),  # +-4 holds nearly all
        # A hundredth is ten times as large, and counts.
        (np.concatenate([np.random.default_rng(0).normal(0, 0.1, 99_000), np.full(1_000, 1.9)]), 6),
    ],
)
def test_the_binary_point_of_known_distributions(name: str, values: np.ndarray, fraction: int) -> None:
    found = result(name, values, scheme=POWER)
    assert -math.log2(POWER.params(found.low, found.high).scale[0]) == fraction
