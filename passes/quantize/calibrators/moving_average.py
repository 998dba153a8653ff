"""`moving-average`: average of the extremes of all samples, so that one unusual sample does not set the range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgec.passes.quantize.calibrators.base import HistogramCalibrator
from edgec.quantization import Scheme

Array = np.ndarray[Any, Any]

MOMENTUM = 0.9
"""Weight of earlier samples, once there are ten; until then all samples have the same weight."""


class MovingAverage(HistogramCalibrator):
    """Exponential moving average of each sample's minimum and maximum (Jacob et al., 2018, section 3.1)."""

    name = "moving-average"

    def __init__(self, scheme: Scheme) -> None:
        super().__init__(scheme)
        self._low = self._high = 0.0
        self._samples = 0

    def update(self, array: Array) -> None:
        """Process the values of one sample."""
        super().update(array)
        self._samples += 1
        share = max(1 / self._samples, 1 - MOMENTUM)
        self._low += share * (float(array.min()) - self._low)
        self._high += share * (float(array.max()) - self._high)

    def choose(self) -> tuple[float, float]:
        """Return the averages."""
        return self._low, self._high

    def state(self) -> dict[str, Array]:
        """Return the collected data as arrays."""
        return super().state() | {"averages": np.array([self._low, self._high, self._samples], np.float64)}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Continue from the result of `state`."""
        super().restore(state)
        self._low, self._high = (float(number) for number in state["averages"][:2])
        self._samples = int(state["averages"][2])
