"""A histogram whose range grows with the data: no range has to be known before, and each sample is seen once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

HALF = 4096
"""Number of bins on each side of zero."""
MOST = 1 << 17
"""Maximum number of values counted per array; of a larger one every n-th value is counted."""


class NotFinite(ValueError):
    """There is a NaN or an infinity among the values."""


def check_extremes(low: float, high: float) -> None:
    """Check an array by its minimum and maximum, which show a NaN or an infinity.

    Raises:
        NotFinite: There is one.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise NotFinite(f"{low}..{high}")


class Histogram:
    """Counts of values in bins of one width, a power of two, with an edge at zero; extremes are exact.

    A value outside the range doubles the width until it fits, merging bins in pairs, which loses no count. So between
    2048 and 4096 bins cover the larger side, in whatever order the values come.

    Attributes:
        low, high: Extremes of all values.
        seen: Number of values that the extremes cover.
        counts: float64 [2 * HALF], of the values that were counted.
    """

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self.seen = 0
        self.counts = np.zeros(2 * HALF)
        self._width = 0.0

    @property
    def width(self) -> float:
        """Width of a bin; 0 as long as all values were zero."""
        return self._width

    def update(self, array: Array) -> None:
        """Count the values of `array`.

        Raises:
            NotFinite: A value is NaN or infinite; then none is counted.
        """
        if array.size == 0:
            return
        low, high = float(array.min()), float(array.max())
        check_extremes(low, high)
        self.low, self.high = min(self.low, low), max(self.high, high)
        flat = array.reshape(-1)
        # An odd step visits all columns of a picture in turn, and the start moves on with every array.
        step = -(-flat.size // MOST) | 1
        flat = flat[self.seen % step :: step]
        self.seen += array.size
        self._grow(max(high, -low))
        if self._width == 0:
            self.counts[HALF] += flat.size
            return
        bins = np.floor(flat * np.float64(1 / self._width)).astype(np.intp)
        np.clip(bins, -HALF, HALF - 1, out=bins)
        self.counts += np.bincount(bins + HALF, minlength=2 * HALF)

    def centers(self) -> Array:
        """Return the centre of each bin; float64 [2 * HALF]."""
        return np.asarray((np.arange(-HALF, HALF) + 0.5) * self._width)

    def occupied(self) -> tuple[Array, Array]:
        """Return the centres and the counts of the bins that are not empty.

        The first and the last centre are moved to the extremes, so that a tensor of a few distinct values near its ends
        (a clipped activation, for example) is represented correctly.
        """
        at = np.flatnonzero(self.counts)
        middles = self.centers()[at]
        if len(at):
            middles = np.clip(middles, self.low, self.high)
        return middles, self.counts[at]

    def quantile(self, share: float) -> float:
        """Return the value that a fraction `share` of the counted values do not exceed, to the width of a bin."""
        cumulative = np.cumsum(self.counts)
        at = int(np.searchsorted(cumulative, share * cumulative[-1]))
        return float(np.clip((at + 1 - HALF) * self._width, self.low, self.high))

    def state(self) -> dict[str, Array]:
        """Return the whole state as arrays."""
        return {"counts": self.counts, "numbers": np.array([self.low, self.high, self._width, self.seen], np.float64)}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Continue from the result of `state`."""
        self.counts = np.array(state["counts"], np.float64)
        self.low, self.high, self._width = (float(number) for number in state["numbers"][:3])
        self.seen = int(state["numbers"][3])

    def _grow(self, extreme: float) -> None:
        if extreme == 0 or extreme <= self._width * HALF:
            return
        wanted = 2.0 ** math.ceil(math.log2(extreme / HALF))
        if self._width == 0:
            self._width = wanted
            return
        while self._width < wanted:
            merged = np.zeros_like(self.counts)
            merged[HALF // 2 : HALF // 2 + HALF] = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = merged
            self._width *= 2
