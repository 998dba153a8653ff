"""`log2`: powers of two, so that a product is a shift."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.errors import BadOption
from edgec.passes.quantize.codecs.base import Levels

Array = np.ndarray[Any, Any]


def log2(weights: Array, bits: int, power_of_two: bool) -> Levels:
    """Return 0 and +-2^-k; steps are powers of two too."""
    if bits < 2:
        raise BadOption(f"codec log2 needs 2 bits or more, not {bits}")
    powers = 2.0 ** -np.arange(2 ** (bits - 1) - 1)
    return Levels(np.sort(np.concatenate([-powers, [0.0], powers])), bits, power_of_two=True)
