"""`linear`: evenly spaced integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.errors import BadOption
from edgec.passes.quantize.rounding import Grid

Array = np.ndarray[Any, Any]


def linear(weights: Array, bits: int, power_of_two: bool) -> Grid:
    """Return the integers of that width, whatever the weights are."""
    if bits < 2:
        raise BadOption("the codec linear cannot store weights of 1 bit", remedy="Give --codec binary.")
    return Grid(bits, power_of_two)
