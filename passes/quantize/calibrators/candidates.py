"""Thresholds that a search over clipping ranges tries."""

from __future__ import annotations

import math

import numpy as np

from edgec.quantization import Scheme

SMALLEST_SHARE = 1 / 64
"""Of a tensor's extreme; nobody clips more."""
COUNT = 49
"""Steps of 9 %."""


def thresholds(scheme: Scheme, low: float, high: float) -> list[float]:
    """Return magnitudes at which to clip, falling, for a tensor of that range.

    Power-of-two schemes have few useful ones, the largest number that each fraction length holds.
    """
    extreme = max(high, -low)
    if scheme.kind != "power-of-two":
        return [float(extreme * share) for share in np.geomspace(1, SMALLEST_SHARE, COUNT)]
    params = scheme.params(low, high)
    count = 1 + math.floor(-math.log2(SMALLEST_SHARE))
    return [params.high * params.scale[0] / 2**shift for shift in range(min(count, scheme.bits))]


def clipped(low: float, high: float, threshold: float) -> tuple[float, float]:
    """Return [low, high] without what lies beyond +-threshold."""
    return max(low, -threshold), min(high, threshold)
