"""Elementwise operators as TE expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import te, tirx

from edgec.targets.tvm import intrinsics


def _c(value: float) -> Any:
    return tirx.const(float(value), "float32")


PARAMETRIC = frozenset({"relax.clip", "relax.nn.leakyrelu"})
"""Operators with one tensor operand; the others are constants."""
UNARY: dict[str, Callable[[Any], Any]] = {
    "relax.nn.relu": lambda x: te.max(x, _c(0.0)),
    "relax.sigmoid": intrinsics.sigmoid,
    "relax.tanh": intrinsics.tanh,
    "relax.exp": intrinsics.exp,
    "relax.nn.silu": intrinsics.silu,
    "relax.erf": intrinsics.erf,
    "relax.nn.gelu": intrinsics.gelu,
    "relax.log": intrinsics.log,
    "relax.sqrt": tirx.sqrt,
    "relax.rsqrt": lambda x: _c(1.0) / tirx.sqrt(x),
    "relax.negative": lambda x: _c(0.0) - x,
    "relax.abs": lambda x: te.max(x, _c(0.0) - x),
    "relax.square": lambda x: x * x,
}

COARSE: dict[str, Callable[[Any], Any]] = {
    "relax.sigmoid": intrinsics.coarse_sigmoid,
    "relax.nn.silu": intrinsics.coarse_silu,
}
"""Operators for which a coarser form is used if a quantization follows."""

COSTLY = frozenset(f"relax.{name}" for name in ("sigmoid", "tanh", "exp", "log", "nn.silu", "erf", "nn.gelu"))
"""Operators that TVM itself implements by a library call per element."""

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "relax.add": lambda a, b: a + b,
    "relax.subtract": lambda a, b: a - b,
    "relax.multiply": lambda a, b: a * b,
    "relax.divide": lambda a, b: a / b,
    "relax.maximum": te.max,
    "relax.minimum": te.min,
}


def leaky_relu(x: Any, slope: float) -> Any:
    """Return x where it is positive, elsewhere `slope` times x."""
    return tirx.Select(x > _c(0.0), x, x * _c(slope))


def clip(x: Any, low: float, high: float) -> Any:
    """Return x clipped to [low, high]."""
    return te.max(te.min(x, _c(high)), _c(low))
