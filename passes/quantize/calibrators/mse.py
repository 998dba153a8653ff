"""`mse`: the range with the least mean squared error; what is clipped weighs against what is rounded."""

from __future__ import annotations

from edgec.passes.quantize.calibrators.base import HistogramCalibrator, quantization_error
from edgec.passes.quantize.calibrators.candidates import clipped, thresholds

ROUNDS = 2
"""Of the search for one end while the other is held."""


class MeanSquaredError(HistogramCalibrator):
    """Search over clipping thresholds; for an asymmetric scheme over both ends in turn."""

    name = "mse"

    def choose(self) -> tuple[float, float]:
        """Return the best range found."""
        low, high = self.histogram.low, self.histogram.high
        tries = thresholds(self.scheme, low, high)
        if self.scheme.kind != "asymmetric":
            return min((clipped(low, high, threshold) for threshold in tries), key=self._error)
        best = (low, high)
        for _ in range(ROUNDS):
            if high > 0:
                best = min(((best[0], min(high, threshold)) for threshold in tries), key=self._error)
            if low < 0:
                best = min(((max(low, -threshold), best[1]) for threshold in tries), key=self._error)
        return best

    def _error(self, ends: tuple[float, float]) -> float:
        return quantization_error(self.histogram, self.scheme, *ends)


class FixedPoint(MeanSquaredError):
    """`fixed-point`: every scale a power of two, so that requantization is a rounding shift.

    The clip range is +-2^n and k = bits - 1 - n the fraction length, x_q = round(x * 2^k); the smaller n, the smaller
    the rounding error 0.5 / 2^k, the more is clipped. The fraction length with the least mean squared error is taken.
    """

    name = "fixed-point"
    kind = "power-of-two"
