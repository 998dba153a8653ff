"""`kl`: the clipping threshold that keeps most of the distribution's information (entropy calibration)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.passes.quantize.calibrators.base import HistogramCalibrator
from edgec.passes.quantize.calibrators.candidates import clipped, thresholds
from edgec.quantization import QuantParams

Array = np.ndarray[Any, Any]

SMOOTHING = 1e-4
"""Share of the probability given to bins that the quantized distribution leaves empty."""


class KullbackLeibler(HistogramCalibrator):
    """The threshold t for which KL(P || Q) is least (Migacz, "8-bit inference with TensorRT", 2017).

    P: the histogram within +-t, what lies outside added to its last bins. Q: the same without what lies outside,
    each quantization step's share spread over those of its bins that hold anything.
    """

    name = "kl"

    def choose(self) -> tuple[float, float]:
        """Return the range within the best threshold."""
        low, high = self.histogram.low, self.histogram.high
        values, counts = self.histogram.occupied()
        counts = counts * self.weight(values, counts)

        def divergence(threshold: float) -> float:
            ends = clipped(low, high, threshold)
            return kl_divergence(values, counts, self.scheme.params(*ends), *ends)

        return clipped(low, high, min(thresholds(self.scheme, low, high), key=divergence))

    def weight(self, values: Array, counts: Array) -> Array:
        """Return the weight of each bin; here all weigh the same."""
        return np.ones(len(values))


def kl_divergence(values: Array, counts: Array, params: QuantParams, low: float, high: float) -> float:
    """Return KL(P || Q) of a histogram against itself, clipped to [low, high] and quantized.

    Args:
        values: Middles of the bins, rising.
        counts: Their (weighted) counts, > 0.
        params: Of the quantization.
        low: Lower end of the range.
        high: Upper end.
    """
    inside = (values >= low) & (values <= high)
    if not inside.any():
        return float("inf")
    kept = np.where(inside, counts, 0.0)[inside]
    reference = kept.copy()
    reference[0] += counts[values < low].sum()
    reference[-1] += counts[values > high].sum()
    steps = params.quantize(values[inside]) - params.low
    total = np.bincount(steps, weights=kept)
    bins = np.bincount(steps)
    spread = (total / np.maximum(bins, 1))[steps]
    p = reference / reference.sum()
    q = (1 - SMOOTHING) * spread / max(spread.sum(), np.finfo(np.float64).tiny) + SMOOTHING / len(spread)
    positive = p > 0
    return float((p[positive] * np.log(p[positive] / q[positive])).sum())
