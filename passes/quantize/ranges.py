"""`Ranges`: minimum and maximum, of the whole tensor or of each channel."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Ranges:
    """Observer of minimum and maximum.

    Args:
        axis: Keep them for each index along this axis; None: for the tensor as a whole.

    Attributes:
        low: float64 [] or [channels]; +inf before the first sample.
        high: Likewise; -inf before the first sample.
    """

    def __init__(self, axis: int | None = None) -> None:
        self._axis = axis
        self.low: Array = np.array(np.inf)
        self.high: Array = np.array(-np.inf)

    def update(self, array: Array) -> None:
        """Process one sample."""
        if self._axis is None:
            low, high = array.min(), array.max()
        else:
            others = tuple(axis for axis in range(array.ndim) if axis != self._axis % array.ndim)
            low, high = array.min(axis=others), array.max(axis=others)
        self.low = np.minimum(self.low, np.asarray(low, np.float64))
        self.high = np.maximum(self.high, np.asarray(high, np.float64))
