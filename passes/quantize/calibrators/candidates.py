"""Thresholds that are tried in a search over clipping ranges."""

from __future__ import annotations

import math

import numpy as np

from edgec.quantization import Scheme

SMALLEST_SHARE = 1 / 64
"""Smallest threshold as a fraction of a tensor's extreme: clipping more never pays."""
COUNT = 49
"""Factor between two thresholds, in steps of 9 %."""


def thresholds(scheme: Scheme, low: float, high: float) -> list[float]:
    """Return descending magnitudes at which a tensor of that range may be clipped.

    Power-of-two schemes have few useful ones: the largest number of each fraction length.
    """
    extreme = max(high, -low)
    if scheme.kind != "power-of-two":
        return [float(extreme * share) for share in np.geomspace(1, SMALLEST_SHARE, COUNT)]
    params = scheme.params(low, high)
    count = 1 + math.floor(-math.log2(SMALLEST_SHARE))
    return [params.high * params.scale[0] / 2**shift for shift in range(min(count, scheme.bits))]


def clipped(low: float, high: float, threshold: float) -> tuple[float, float]:
    """Return [low, high] clipped to +-threshold."""
    return max(low, -threshold), min(high, threshold)
