"""`adaptive-kl`: fraction lengths by a KL divergence that is sensitive to rare large values."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.passes.quantize.calibrators.kl import KullbackLeibler

Array = np.ndarray[Any, Any]

NORMAL_KURTOSIS = 3.0


class AdaptiveKullbackLeibler(KullbackLeibler):
    """Like `kl`, over power-of-two scales, with each bin weighted by y(x) = 1 - exp(-alpha |x| / beta).

    Plain KL considers probability alone and neglects large values that are rare but important. y is near 0 at zero
    and near 1 far away. The published formulas of y and alpha are lost: of y it is known that it is exponential, of
    alpha that it depends on the width and on how peaked the distribution is. What stands here for alpha is
    bits / 8 * log2(1 + k / 3), which grows with both: k is the kurtosis, and alpha is 1 for 8 bits and a normal
    distribution. Values within +-beta have half of the energy; with half of the values, as published, y is 1 nearly
    everywhere for a peaked distribution: that is `adaptive-kl-count`.
    """

    name = "adaptive-kl"
    kind = "power-of-two"

    def weight(self, values: Array, counts: Array) -> Array:
        """Return y at each of `values`."""
        magnitudes = np.abs(values)
        order = np.argsort(magnitudes)
        share = np.cumsum(self.importance(magnitudes[order], counts[order]))
        beta = magnitudes[order][np.searchsorted(share, share[-1] / 2)]
        mean = float((counts * values).sum() / counts.sum())
        second = float((counts * (values - mean) ** 2).sum() / counts.sum())
        fourth = float((counts * (values - mean) ** 4).sum() / counts.sum())
        kurtosis = fourth / second**2 if second > 0 else NORMAL_KURTOSIS
        alpha = self.scheme.bits / 8 * np.log2(1 + kurtosis / NORMAL_KURTOSIS)
        return np.asarray(-np.expm1(-alpha * magnitudes / max(beta, self.histogram.width / 2)))

    def importance(self, magnitudes: Array, counts: Array) -> Array:
        """Return what beta halves the sum of: the energy of each bin."""
        return np.asarray(counts * np.square(magnitudes))


class AdaptiveByCount(AdaptiveKullbackLeibler):
    """As `adaptive-kl` with beta as published: half of the values lie within +-beta."""

    name = "adaptive-kl-count"

    def importance(self, magnitudes: Array, counts: Array) -> Array:
        """Return what beta halves the sum of: the number of values in each bin."""
        return np.asarray(counts)
