"""How tensors become integers: schemes, ranges, parameters, and the calibration table a user can read and edit."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgec.errors import BadOption, first_problem, reason
from edgec.quantizing import Kind
from edgec.registry import suggest
from edgec.whole_file import write_text

Array = np.ndarray[Any, Any]

SMALLEST_SCALE = 2.0**-100
"""Smallest scale: a smaller one would become subnormal when multiplied with a weight's, and no activation needs it."""


class QuantParams(BaseModel):
    """`q = clamp(round(x / scale) + zero_point, low, high)`, `x' = (q - zero_point) * scale`; rounds half to even.

    Attributes:
        bits: Width of q in bits.
        signed: Whether q is two's complement.
        scale: Real value of one step, > 0: one for the tensor, or one per index along `axis`.
        zero_point: The q that stands for 0.
        axis: Axis along which the scales vary (per-channel); None: one scale for the tensor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int = Field(default=8, ge=1, le=16)
    signed: bool
    scale: tuple[float, ...]
    zero_point: int = 0
    axis: int | None = None

    @property
    def low(self) -> int:
        """Smallest q."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest q."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def dtype(self) -> str:
        """Name of the ONNX element type, e.g. `uint8`."""
        return f"{'' if self.signed else 'u'}int{self.bits}"

    def quantize(self, array: Array) -> Array:
        """Return q as int32, of the same shape."""
        steps = np.rint(np.asarray(array, np.float64) / self._scales(array.ndim)) + self.zero_point
        return np.asarray(np.clip(steps, self.low, self.high), np.int32)

    def dequantize(self, integers: Array) -> Array:
        """Return the float32 numbers that q stands for."""
        return np.asarray((integers - self.zero_point) * self._scales(integers.ndim), np.float32)

    def _scales(self, rank: int) -> Array:
        scales = np.asarray(self.scale)
        return scales if self.axis is None else scales.reshape([-1 if axis == self.axis else 1 for axis in range(rank)])


class Scheme(BaseModel):
    """How activations are quantized.

    Attributes:
        kind: asymmetric: unsigned with a zero point; symmetric: signed with zero point 0; power-of-two: zero point 0,
            unsigned if no value is negative, every scale is 2**-f with fraction length f.
        bits: Width in bits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = "asymmetric"
    bits: int = Field(default=8, ge=2, le=16)

    def params(self, low: float, high: float) -> QuantParams:
        """Return the parameters that cover [low, high], which is widened to contain 0 exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        steps = 2**self.bits - 1
        if self.kind == "asymmetric":
            # Each bound is divided first: high - low may exceed the range of a float.
            scale = max(high / steps - low / steps, SMALLEST_SCALE)
            zero_point = min(max(round(-low / scale), 0), steps)
            return QuantParams(bits=self.bits, signed=False, scale=(_narrow(scale),), zero_point=zero_point)
        signed = self.kind == "symmetric" or low < 0
        scale = max(high, -low, SMALLEST_SCALE) / (steps // 2 if signed else steps)
        if self.kind == "power-of-two":
            # The smallest power of two that covers the range up to half a step.
            top = (steps // 2 if signed else steps) + 0.5
            scale = 2.0 ** math.ceil(math.log2(max(high, -low, SMALLEST_SCALE) / top))
        return QuantParams(bits=self.bits, signed=signed, scale=(_narrow(scale),))


class TensorRange(BaseModel):
    """Range of a tensor that quantization represents, and how it was found.

    Attributes:
        low, high: Bounds of the range; values outside are clipped.
        method: Name of the calibrator, or `manual`.
        error: Mean squared quantization error relative to the tensor's mean square; None if it was not measured.
        scale, zero_point: They follow from low, high and the table's scheme, and are written for the reader.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    method: str = "manual"
    error: float | None = None
    scale: float | None = None
    zero_point: int | None = None

    @model_validator(mode="after")
    def _ordered(self) -> TensorRange:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"low {self.low} and high {self.high} are not a range")
        return self


class CalibrationTable(BaseModel):
    """Tensor -> range, as `edgec calibrate` finds it; users may read it, edit low and high, and quantize with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["edgec-calibration-1"] = "edgec-calibration-1"
    scheme: Scheme = Scheme()
    calibrator: str = "manual"
    samples: int = 0
    notes: tuple[str, ...] = ()
    equalized: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="Tensor -> divisors of its channels; the ranges are those after the division."
    )
    tensors: dict[str, TensorRange] = Field(default_factory=dict)

    def params(self, tensor: str) -> QuantParams:
        """Return the parameters of `tensor`.

        Raises:
            BadOption: The table has no such tensor.
        """
        if tensor not in self.tensors:
            raise BadOption(f"the calibration table has no tensor {tensor!r}", remedy=suggest(tensor, self.tensors))
        return self.scheme.params(self.tensors[tensor].low, self.tensors[tensor].high)

    def filled(self) -> CalibrationTable:
        """Return the table with each scale and zero point computed from its range."""
        tensors = {}
        for name, each in self.tensors.items():
            params = self.params(name)
            tensors[name] = each.model_copy(update={"scale": params.scale[0], "zero_point": params.zero_point})
        return self.model_copy(update={"tensors": tensors})

    def with_ranges(self, ranges: dict[str, TensorRange]) -> CalibrationTable:
        """Return the table with the given ranges replaced."""
        return self.model_copy(update={"tensors": self.tensors | ranges})

    def __repr__(self) -> str:
        found = f"{len(self.tensors)} tensors by {self.calibrator}, {self.scheme.kind}"
        return f"<CalibrationTable: {found}, {self.samples} samples>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the `filled` table as JSON; raises BadOption if it cannot be written."""
        write_text(path, self.filled().model_dump_json(indent=1, exclude_none=True) + "\n")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> CalibrationTable:
        """Read a file that `save` wrote and that may have been edited.

        Raises:
            BadOption: It is not such a file, or a scale was edited and no longer follows from its range.
        """
        try:
            table = cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadOption(f"calibration table {path}: {reason(error)}") from error
        except ValidationError as error:
            raise BadOption(f"calibration table {path}: {first_problem(error)}") from error
        for name, each in table.tensors.items():
            params = table.params(name)
            if each.scale is not None and not math.isclose(each.scale, params.scale[0], rel_tol=1e-6):
                span = f"{each.low}..{each.high}"
                problem = f"calibration table {path}: {name}: scale {each.scale} does not follow from {span}"
                remedy = "Edit low and high only, and remove scale and zero_point, which are computed from them."
                raise BadOption(problem, remedy=remedy)
        return table


def _narrow(scale: float) -> float:
    """Return `scale` rounded to float32, as a model file stores it."""
    return float(np.float32(scale))
