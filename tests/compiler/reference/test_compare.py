"""The numeric comparison: what counts as error, and what can never pass."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from edgec.artefact.verification import Verification
from edgec.errors import VerificationFailed
from edgec.reference.compare import Array, OutputComparison, compare

NAN, INF = float("nan"), float("inf")


def f32(*values: float) -> Array:
    return np.array(values, np.float32)


def one(expected: Array, actual: Array) -> OutputComparison:
    return compare({"y": expected}, {"y": actual}).outputs[0]


def test_error_is_relative_to_the_range() -> None:
    result = one(f32(-1, 0, 3), f32(-1, 0.5, 3))
    assert (result.max_abs, result.relative, result.problem) == (0.5, 0.125, None)
    assert result.within(0.125)
    assert not result.within(0.124)


def test_error_of_a_constant_output_is_relative_to_its_magnitude() -> None:
    assert one(f32(4, 4), f32(4, 5)).relative == 0.25
    assert one(f32(0.001, 0.001 + 1e-9), f32(0.001, 0.001)).relative < 1e-6


def test_error_of_an_all_zero_output_is_absolute() -> None:
    assert one(f32(0, 0), f32(0, 0.5)).relative == 0.5


def test_a_small_range_far_from_zero_is_still_a_range() -> None:
    assert one(f32(100, 101), f32(100, 100.5)).relative == 0.5


def test_the_same_nan_and_infinity_are_no_error() -> None:
    assert one(f32(NAN, INF, -INF, 0, 1), f32(NAN, INF, -INF, 0, 1)).within(0)
    assert one(f32(NAN, NAN), f32(NAN, NAN)).within(0)


@pytest.mark.parametrize(
    ("expected", "actual", "message"),
    [
        (f32(1, 2), f32(1, NAN), r"1 elements, first nan at \(1,\), expected 2.0"),
        (f32(NAN, 2), f32(1, 2), "first 1.0 at"),
        (f32(INF, 2), f32(-INF, 2), "first -inf at"),
        (f32(1, 2), f32(INF, INF), "2 elements, first inf"),
        (f32(1, 2), f32(1), r"shape \[1\], expected \[2\]"),
        (f32(1, 2), np.array([1.0, 2.0]), "dtype float64, expected float32"),
        (np.array([1, 2, 3]), np.array([1, 3, 4]), "2 of 3 elements differ"),
        (np.array([True]), np.array([False]), "1 of 1 elements differ"),
    ],
)
def test_what_never_matches(expected: Array, actual: Array, message: str) -> None:
    result = one(expected, actual)
    assert result.problem is not None
    assert re.search(message, result.problem)
    assert re.search(message, str(result))
    assert not result.within(INF)


def test_missing_and_unexpected_outputs() -> None:
    result = compare({"a": f32(1), "b": f32(1)}, {"a": f32(1), "c": f32(1)})
    assert str(result) == "a: max abs error 0.00e+00, 0.00e+00 of its range; b: is missing; c: is not expected"
    assert not result.within(1)


def test_the_worst_output_is_named() -> None:
    result = compare({"a": f32(0, 1), "b": f32(0, 10)}, {"a": f32(0, 1.5), "b": f32(0, 11)})
    assert result.worst is not None
    assert (result.worst.name, result.max_abs, result.relative) == ("a", 1.0, 0.5)
    result = compare({"a": f32(0, 1), "n": np.array([1])}, {"a": f32(0, 9), "n": np.array([2])})
    assert result.worst is not None
    assert result.worst.name == "n"
    assert math.isinf(result.relative)


def test_nothing_to_compare() -> None:
    result = compare({}, {})
    assert (result.worst, result.max_abs, result.relative, str(result)) == (None, 0.0, 0.0, "no outputs")
    assert one(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)).within(0)


def test_half_precision_is_compared_in_double() -> None:
    assert one(np.array([0, 60000], np.float16), np.array([-60000, 60000], np.float16)).max_abs == 60000


def test_integers_that_make_much_of_a_rounding_are_no_bug() -> None:
    wrong = compare({"y": f32(0, 1)}, {"y": f32(0, 0.5)})
    for precision, remedy in (("fp32", "a bug of edgec"), ("int8", "`edgec eval` measures")):
        with pytest.raises(VerificationFailed) as caught:
            Verification("here", 0.1, wrong, precision).check()
        assert remedy in (caught.value.remedy or "")
