"""`Calibrator`: receives the values of one tensor, sample by sample, then chooses its range."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from edgec.passes.quantize.histogram import Histogram
from edgec.quantization import Scheme, TensorRange
from edgec.quantizing import Kind

Array = np.ndarray[Any, Any]


class Calibrator(Protocol):
    """Calibrator of one tensor. A plugin registers such a class in the entry point group edgec.calibrators.

    It is constructed as `Class(scheme)`, with the scheme in which the range will be used.
    """

    def update(self, array: Array) -> None:
        """Process the tensor's values for one sample: float, finite; the array must not be kept or modified."""

    def result(self) -> TensorRange:
        """Return the range for all samples so far; there was at least one."""


class HistogramCalibrator(ABC):
    """A calibrator based on a histogram alone: its memory is constant, and a calibration can be resumed.

    Attributes:
        name: Registered name.
        kind: The only kind of scheme that it supports; None: any.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind | None] = None

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme
        self.histogram = Histogram()

    @abstractmethod
    def choose(self) -> tuple[float, float]:
        """Return low and high; the histogram contains at least one value that is not zero."""

    def update(self, array: Array) -> None:
        """Process the values of one sample."""
        self.histogram.update(array)

    def result(self) -> TensorRange:
        """Return the chosen range and its error; a tensor that is always zero has the range 0..0."""
        if self.histogram.width == 0:
            return TensorRange(low=0.0, high=0.0, method=self.name, error=0.0)
        low, high = self.choose()
        error = quantization_error(self.histogram, self.scheme, low, high)
        return TensorRange(low=float(low), high=float(high), method=self.name, error=error)

    def state(self) -> dict[str, Array]:
        """Return the collected data as arrays."""
        return self.histogram.state()

    def restore(self, state: Mapping[str, Array]) -> None:
        """Continue from the result of `state`."""
        self.histogram.restore(state)


def quantization_error(histogram: Histogram, scheme: Scheme, low: float, high: float) -> float:
    """Return E[(x' - x)^2] / E[x^2] of the histogram's values, quantized for [low, high]."""
    values, counts = histogram.occupied()
    params = scheme.params(low, high)
    difference = params.dequantize(params.quantize(values)) - values
    energy = float((counts * np.square(values)).sum())
    return float((counts * np.square(difference)).sum()) / energy if energy else 0.0
