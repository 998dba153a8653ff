"""The one numeric comparison of the project: outputs of something compiled against those of the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CONSTANT_SHARE = 1e-3
"""Outputs whose range is a smaller share of their magnitude count as constant: 1e-4 of such a range would be less than
one rounding step of a float32 (2**-23 of the magnitude)."""


@dataclass(frozen=True)
class OutputComparison:
    """One output: `max_abs` error, the same `relative` to the expected range, and why it cannot match at all."""

    name: str
    max_abs: float
    relative: float
    problem: str | None = None

    def within(self, tolerance: float) -> bool:
        """Return whether there is no problem and the relative error is at most `tolerance`."""
        return self.problem is None and self.relative <= tolerance

    def __str__(self) -> str:
        if self.problem is not None:
            return f"{self.name}: {self.problem}"
        return f"{self.name}: max abs error {self.max_abs:.2e}, {self.relative:.2e} of its range"


@dataclass(frozen=True)
class Comparison:
    """All outputs, in the order expected."""

    outputs: tuple[OutputComparison, ...]

    @property
    def worst(self) -> OutputComparison | None:
        """The output with a problem or, if none has, the largest relative error; None if there are no outputs."""
        return max(self.outputs, key=lambda output: (output.problem is not None, output.relative), default=None)

    @property
    def max_abs(self) -> float:
        """Largest absolute error over all outputs."""
        return max((output.max_abs for output in self.outputs), default=0.0)

    @property
    def relative(self) -> float:
        """Largest error relative to an output's range; infinite if an output has a problem."""
        return max((output.relative for output in self.outputs), default=0.0)

    def within(self, tolerance: float) -> bool:
        """Return whether every output is; integers and booleans have to be equal whatever the tolerance."""
        return all(output.within(tolerance) for output in self.outputs)

    def __str__(self) -> str:
        return "; ".join(map(str, self.outputs)) or "no outputs"


def compare(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> Comparison:
    """Compare outputs by name.

    The error of a float output is relative to max - min of what is expected; to its largest magnitude if it is
    (nearly) constant, see `CONSTANT_SHARE`; to 1 if it is all zero. NaN equals NaN and an infinity equals itself.

    Args:
        expected: Output name -> array, from the reference.
        actual: The same names, shapes and dtypes, or that is reported as a problem.
    """
    results = [
        _compare_one(name, array, actual[name]) if name in actual else _problem(name, "is missing")
        for name, array in expected.items()
    ]
    results.extend(_problem(name, "is not expected") for name in actual if name not in expected)
    return Comparison(tuple(results))


def _compare_one(name: str, expected: Array, actual: Array) -> OutputComparison:
    if expected.shape != actual.shape:
        return _problem(name, f"shape {list(actual.shape)}, expected {list(expected.shape)}")
    if expected.dtype != actual.dtype:
        return _problem(name, f"dtype {actual.dtype.name}, expected {expected.dtype.name}")
    if expected.dtype.kind in "biu":
        differing = int(np.count_nonzero(expected != actual))
        return _problem(name, f"{differing} of {expected.size} elements differ") if differing else _equal(name)
    wide, result = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(wide)
    # The same NaN or infinity on both sides is no error; anything else there is.
    odd = np.where(finite, ~np.isfinite(result), ~((wide == result) | (np.isnan(wide) & np.isnan(result))))
    if odd.any():
        at = tuple(int(index) for index in np.argwhere(odd)[0])
        return _problem(name, f"{np.count_nonzero(odd)} elements, first {result[at]} at {at}, expected {wide[at]}")
    if not finite.any():
        return _equal(name)
    wide, result = wide[finite], result[finite]
    max_abs = float(np.max(np.abs(wide - result)))
    return OutputComparison(name, max_abs, max_abs / _scale(wide))


def _scale(expected: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    spread, magnitude = float(np.ptp(expected)), float(np.max(np.abs(expected)))
    return (magnitude if spread < CONSTANT_SHARE * magnitude else spread) or 1.0


def _equal(name: str) -> OutputComparison:
    return OutputComparison(name, 0.0, 0.0)


def _problem(name: str, text: str) -> OutputComparison:
    return OutputComparison(name, float("inf"), float("inf"), text)
