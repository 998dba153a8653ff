"""`kl`: the clipping threshold that keeps the most information of the distribution (entropy calibration)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.passes.quantize.calibrators.base import HistogramCalibrator
from edgec.passes.quantize.calibrators.candidates import clipped, thresholds
from edgec.quantization import QuantParams

Array = np.ndarray[Any, Any]

FULL = 64
LEAST = 512
MOST_CLIPPED = 0.01
"""Maximum fraction of clipped values: the divergence does not depend on how far outside they lie."""
SMOOTHING = 1e-4
"""Fraction of the probability for bins that the quantized distribution leaves empty."""


class KullbackLeibler(HistogramCalibrator):
    """The threshold t with the least KL(P || Q) (Migacz, "8-bit inference with TensorRT", 2017).

    P: the histogram within +-t, with the values outside added to its last bins. Q: the same without these values,
    where the probability of each quantization step is spread over its bins that are not empty.
    """

    name = "kl"

    def choose(self) -> tuple[float, float]:
        """Return the range within the best threshold."""
        low, high = self.histogram.low, self.histogram.high
        values, counts = coarse(*self.histogram.occupied(), self.histogram.width)
        weighted = counts * self.weight(values, counts)

        def divergence(threshold: float) -> float:
            ends = clipped(low, high, threshold)
            outside = counts[(values < ends[0]) | (values > ends[1])].sum()
            if outside > MOST_CLIPPED * counts.sum():
                return float("inf")
            return kl_divergence(values, weighted, self.scheme.params(*ends), *ends)

        return clipped(low, high, min(thresholds(self.scheme, low, high), key=divergence))

    def weight(self, values: Array, counts: Array) -> Array:
        """Return the weight of each bin; here all have the same weight."""
        return np.ones(len(values))


def coarse(values: Array, counts: Array, width: float) -> tuple[Array, Array]:
    """Merge neighbouring bins until they contain `FULL` values on average, or `LEAST` of them are left.

    If bins contain few values, their counts are mostly noise, which the divergence would measure: the more bins a
    step covers, the more noise, so that too narrow a range would win.

    Args:
        values: Centres of the bins that are not empty, ascending.
        counts: Their counts.
        width: Width of a bin.
    """
    span = max(1.0, float(values[-1] - values[0]) / width)
    merged = int(max(1.0, min(span / LEAST, FULL * span / counts.sum())))
    if merged == 1:
        return values, counts
    index = np.floor((values - values[0]) / (width * merged)).astype(np.intp)
    sums = np.bincount(index, weights=counts)
    means = np.bincount(index, weights=counts * values) / np.maximum(sums, np.finfo(np.float64).tiny)
    return means[sums > 0], sums[sums > 0]


def kl_divergence(values: Array, counts: Array, params: QuantParams, low: float, high: float) -> float:
    """Return KL(P || Q) of a histogram against itself, clipped to [low, high] and quantized.

    Args:
        values: Centres of the bins, ascending.
        counts: Their (weighted) counts, > 0.
        params: Parameters of the quantization.
        low: Lower bound of the range.
        high: Upper bound of the range.
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
