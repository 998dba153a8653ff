"""Conversion of integers and reals inside kernels, as in ONNX: rounding to nearest, halves to even, then saturation.

A float x with |x| < 2**22 is rounded by adding 1.5 * 2**23: the sum's last bit is worth one, so the adder itself rounds
half to even, and the low byte of the sum is the integer in two's complement. The clamp comes first, so x is that small.
"""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from edgec.targets.tvm.schedules.common.kernel import f32

ROUNDER = 12582912.0
RANGE = {"uint8": (0, 255), "int8": (-128, 127)}


def quantize(value: Any, scale: float, zero_point: int, dtype: str) -> Any:
    """Return saturate(round(value / scale) + zero_point) as `dtype`; one multiplication by 1 / scale, none if it is 1.

    ONNX divides by the scale instead: a value within one float rounding of a half may differ by one step.
    """
    low, high = RANGE[dtype]
    steps = value if scale == 1.0 else value * f32(1.0 / scale)
    steps = te.max(te.min(steps, f32(high - zero_point)), f32(low - zero_point))
    integers = tirx.reinterpret("int32", steps + f32(ROUNDER)).astype(dtype)
    # The zero point is added after the rounding, so that it moves no tie, and to bytes, where wrapping around is right.
    return integers if zero_point == 0 else integers + tirx.const(zero_point, dtype)


def dequantize(integers: Any, scale: float, zero_point: int) -> Any:
    """Return (integers - zero_point) * scale as float32."""
    steps = integers.astype("float32")
    return (steps if zero_point == 0 else steps - f32(zero_point)) * f32(scale)
