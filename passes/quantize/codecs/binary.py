"""`binary`: the sign of a weight, multiplied by a step per channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.passes.quantize.codecs.base import Levels

Array = np.ndarray[Any, Any]


def binary(weights: Array, bits: int, power_of_two: bool) -> Levels:
    """Return +-1, one bit whatever `bits` is (Rastegari et al., "XNOR-Net", 2016)."""
    return Levels(np.array([-1.0, 1.0]), 1)
