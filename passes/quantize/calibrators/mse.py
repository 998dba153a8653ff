"""`mse`: the range with the least mean squared error, from clipping and rounding together."""

from __future__ import annotations

from edgec.passes.quantize.calibrators.base import HistogramCalibrator, quantization_error
from edgec.passes.quantize.calibrators.candidates import clipped, thresholds

ROUNDS = 2
"""Number of rounds in which one bound is searched while the other is fixed."""


class MeanSquaredError(HistogramCalibrator):
    """Search over clipping thresholds; for an asymmetric scheme over both bounds in turn."""

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
    """`fixed-point`: every scale is a power of two, so that requantization is a rounding shift.

    The clipping range is +-2^n and k = bits - 1 - n is the fraction length, x_q = round(x * 2^k); a smaller n means a
    smaller rounding error 0.5 / 2^k and more clipping. The fraction length with the least mean squared error is chosen.
    """

    name = "fixed-point"
    kind = "power-of-two"
