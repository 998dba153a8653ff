"""`percentile`: clips a fixed fraction of the values on each side."""

from __future__ import annotations

from edgec.passes.quantize.calibrators.base import HistogramCalibrator

CLIPPED = 1e-4
"""Fraction of the values that is clipped on each side: the 99.99th percentile."""


class Percentile(HistogramCalibrator):
    """The range between the 0.01st and the 99.99th percentile."""

    name = "percentile"

    def choose(self) -> tuple[float, float]:
        """Return the two percentiles; a side without that many values keeps its extreme."""
        return self.histogram.quantile(CLIPPED), self.histogram.quantile(1 - CLIPPED)
