"""`minmax`: the whole range that was seen; nothing is clipped."""

from __future__ import annotations

from edgec.passes.quantize.calibrators.base import HistogramCalibrator


class MinMax(HistogramCalibrator):
    """Minimum and maximum over all samples, exactly."""

    name = "minmax"

    def choose(self) -> tuple[float, float]:
        """Return the extremes."""
        return self.histogram.low, self.histogram.high
