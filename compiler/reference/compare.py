"""The one numeric comparison of the project: outputs of a compiled network against those of the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CONSTANT_SHARE = 1e-3
"""Outputs whose range is a smaller fraction of their magnitude count as constant: 1e-4 of such a range would be less
than one rounding step of a float32 (2**-23 of the magnitude)."""
NOISE_FACTOR = 4.0
"""Accepted error as a multiple of the reference's noise: one run of the reference does not bound its noise."""


@dataclass(frozen=True)
class Noise:
    """How much rounding alone changes a value of the reference, in the units of `OutputComparison`.

    Attributes:
        largest: Largest error relative to the range; for integers the fraction that differs.
        mean: Root mean square error relative to the standard deviation.
    """

    largest: float = 0.0
    mean: float = 0.0

    def or_more(self, other: Noise) -> Noise:
        """Return the larger value of each field."""
        return Noise(max(self.largest, other.largest), max(self.mean, other.mean))


@dataclass(frozen=True)
class OutputComparison:
    """One output compared with the expected one.

    Attributes:
        name: Name of the output.
        max_abs: Largest absolute error.
        relative: Largest error relative to the expected range; infinite if there is a problem.
        problem: Reason why the output cannot match at all, or how many integers differ.
        mean: Root mean square error relative to the standard deviation of the expected output.
        differing: Fraction of integers or booleans that differ; None for floats.
        noise: Noise of the reference; None if it was not measured.
    """

    name: str
    max_abs: float
    relative: float
    problem: str | None = None
    mean: float = 0.0
    differing: float | None = None
    noise: Noise | None = None

    def within(self, tolerance: float, mean: float | None = None) -> bool:
        """Return whether the errors are at most `tolerance`, or `NOISE_FACTOR` times the reference's own noise.

        `mean` is the tolerance of the mean error if it is another one. Without noise, only the largest error counts.
        Integers and booleans have no tolerance.
        """
        noise = self.noise or Noise()
        if self.differing is not None:
            return self.differing <= NOISE_FACTOR * noise.largest
        if self.problem is not None or self.relative > max(tolerance, NOISE_FACTOR * noise.largest):
            return False
        return self.noise is None or self.mean <= max(tolerance if mean is None else mean, NOISE_FACTOR * noise.mean)

    def is_noise(self, tolerance: float) -> bool:
        """Return whether the error is within the noise of the reference, but not within `tolerance`."""
        return self.within(tolerance) and not replace(self, noise=Noise()).within(tolerance)

    def __str__(self) -> str:
        own = f"; rounding alone changes the reference's by {self.noise.largest:.2e}" if self.noise else ""
        if self.problem is not None:
            return f"{self.name}: {self.problem}{own}"
        return f"{self.name}: max abs error {self.max_abs:.2e}, {self.relative:.2e} of its range{own}"


@dataclass(frozen=True)
class Comparison:
    """All outputs, in the expected order."""

    outputs: tuple[OutputComparison, ...]

    @property
    def worst(self) -> OutputComparison | None:
        """The output with a problem or, if there is none, the largest relative error; None without outputs."""
        return max(self.outputs, key=_badness, default=None)

    @property
    def max_abs(self) -> float:
        """Largest absolute error over all outputs."""
        return max((output.max_abs for output in self.outputs), default=0.0)

    @property
    def relative(self) -> float:
        """Largest error relative to an output's range; infinite if an output has a problem."""
        return max((output.relative for output in self.outputs), default=0.0)

    def within(self, tolerance: float) -> bool:
        """Return whether every output is within `tolerance`, see `OutputComparison.within`."""
        return all(output.within(tolerance) for output in self.outputs)

    def failed(self, tolerance: float) -> OutputComparison | None:
        """Return the worst output that is not `within` the tolerance, or None."""
        return max((each for each in self.outputs if not each.within(tolerance)), key=_badness, default=None)

    def with_noise(self, noise: Mapping[str, Noise]) -> Comparison:
        """Return a copy with the noise of the outputs, given by name."""
        return Comparison(tuple(replace(each, noise=noise.get(each.name)) for each in self.outputs))

    def __str__(self) -> str:
        return "; ".join(map(str, self.outputs)) or "no outputs"


def compare(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> Comparison:
    """Compare outputs by name.

    The error of a float output is relative to max - min of the expected one; to its largest magnitude if it is
    (nearly) constant, see `CONSTANT_SHARE`; to 1 if it is all zero. NaN equals NaN and an infinity equals itself.

    Args:
        expected: Output name -> array, from the reference.
        actual: Arrays with the same names, shapes and dtypes; any difference in these is reported as a problem.
    """
    results = [
        _compare_one(name, array, actual[name]) if name in actual else _problem(name, "is missing")
        for name, array in expected.items()
    ]
    results.extend(_problem(name, "is not expected") for name in actual if name not in expected)
    return Comparison(tuple(results))


def worst_of(comparisons: Iterable[Comparison]) -> Comparison:
    """Return each output's worst error in comparisons of several inferences with the same outputs."""
    by_name: dict[str, list[OutputComparison]] = {}
    for comparison in comparisons:
        for output in comparison.outputs:
            by_name.setdefault(output.name, []).append(output)
    merged = []
    for outputs in by_name.values():
        worst, shares = max(outputs, key=_badness), [each.differing for each in outputs if each.differing is not None]
        mean, differing = max(each.mean for each in outputs), max(shares) if shares else None
        merged.append(replace(worst, mean=mean, differing=differing))
    return Comparison(tuple(merged))


def noise_of(comparison: Comparison) -> dict[str, Noise]:
    """Return the errors of `comparison`, of two runs of the reference, as noise per output, except infinite ones."""
    found = {}
    for each in comparison.outputs:
        largest = each.relative if each.differing is None else each.differing
        found[each.name] = Noise(largest, each.mean) if np.isfinite(largest) else Noise()
    return found


def _badness(output: OutputComparison) -> tuple[bool, float]:
    return output.problem is not None, output.relative


def _compare_one(name: str, expected: Array, actual: Array) -> OutputComparison:
    if expected.shape != actual.shape:
        return _problem(name, f"shape {list(actual.shape)}, expected {list(expected.shape)}")
    if expected.dtype != actual.dtype:
        return _problem(name, f"dtype {actual.dtype.name}, expected {expected.dtype.name}")
    if expected.dtype.kind in "biu":
        return _compare_integers(name, expected, actual)
    wide, result = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(wide)
    # The same NaN or infinity on both sides is not an error; any other one is.
    odd = np.where(finite, ~np.isfinite(result), ~((wide == result) | (np.isnan(wide) & np.isnan(result))))
    if odd.any():
        at = tuple(int(index) for index in np.argwhere(odd)[0])
        return _problem(name, f"{np.count_nonzero(odd)} elements, first {result[at]} at {at}, expected {wide[at]}")
    if not finite.any():
        return OutputComparison(name, 0.0, 0.0)
    wide, result = wide[finite], result[finite]
    errors = np.abs(wide - result)
    range_, deviation = _scales(wide)
    max_abs, mean = float(np.max(errors)), float(np.sqrt(np.mean(np.square(errors))))
    return OutputComparison(name, max_abs, max_abs / range_, mean=mean / deviation)


def _compare_integers(name: str, expected: Array, actual: Array) -> OutputComparison:
    differing = int(np.count_nonzero(expected != actual))
    if not differing:
        return OutputComparison(name, 0.0, 0.0, differing=0.0)
    problem = _problem(name, f"{differing} of {expected.size} elements differ")
    return replace(problem, differing=differing / expected.size)


def _scales(expected: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Return what errors are relative to, range and standard deviation; for constant outputs the magnitude."""
    spread, magnitude = float(np.ptp(expected)), float(np.max(np.abs(expected)))
    if spread < CONSTANT_SHARE * magnitude or spread == 0:
        return magnitude or 1.0, magnitude or 1.0
    return spread, float(np.std(expected))


def _problem(name: str, text: str) -> OutputComparison:
    return OutputComparison(name, float("inf"), float("inf"), text)
