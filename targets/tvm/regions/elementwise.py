"""Elementwise operators as TE expressions; exp is a polynomial because TVM's would call libm element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import te, tirx

EXP_MAX, EXP_MIN = 88.0, -87.0
LOG2_E = 1.44269504088896341
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
EXP_POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
EXP2_MAX = 126.0
EXP2_POLYNOMIAL = (9.582853621e-03, 5.590643335e-02, 2.402409865e-01, 6.931241924e-01)
"""2**r for |r| <= 1/2 within 3e-6 of its value; least largest error, by Remez' exchange."""
ERF_SCALE = 0.3275911
ERF_POLYNOMIAL = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
SQRT_HALF = 0.7071067811865476


def _c(value: float) -> Any:
    return tirx.const(float(value), "float32")


def fast_exp(x: Any) -> Any:
    """Return e**x within 2 ulp for -87 < x < 88, clamped outside, NaN for NaN (Cephes `expf`: Cody-Waite, degree 6)."""
    # Comparisons that a NaN fails leave it in place: masked attention looks for the NaN of rows that are masked whole.
    x = tirx.Select(x > _c(EXP_MAX), _c(EXP_MAX), x)
    x = tirx.Select(x < _c(EXP_MIN), _c(EXP_MIN), x)
    n = tirx.floor(x * _c(LOG2_E) + _c(0.5))
    r = x - n * _c(LN2_HIGH) - n * _c(LN2_LOW)
    p = _c(EXP_POLYNOMIAL[0])
    for coefficient in EXP_POLYNOMIAL[1:]:
        p = p * r + _c(coefficient)
    p = p * r * r + r + _c(1.0)
    bits = (n.astype("int32") + tirx.const(127, "int32")) << tirx.const(23, "int32")
    return p * tirx.reinterpret("float32", bits)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e**-x)."""
    return _c(1.0) / (_c(1.0) + fast_exp(_c(0.0) - x))


def coarse_sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e**-x) within 7e-6 of its value, in half the instructions: for what becomes a byte next."""
    t = te.max(te.min(x * _c(-LOG2_E), _c(EXP2_MAX)), _c(-EXP2_MAX))
    n = tirx.floor(t + _c(0.5))
    r = t - n
    c4, c3, c2, c1 = (_c(coefficient) for coefficient in EXP2_POLYNOMIAL)
    square = r * r
    p = (c2 + c3 * r + c4 * square) * square + (_c(1.0) + c1 * r)
    shift = n.astype("int32") << tirx.const(23, "int32")
    return _c(1.0) / (_c(1.0) + tirx.reinterpret("float32", tirx.reinterpret("int32", p) + shift))


def tanh(x: Any) -> Any:
    """Return tanh x; the odd series near zero, where the difference of sigmoids would cancel."""
    small = x * (_c(1.0) + x * x * (_c(-1.0 / 3.0) + x * x * (_c(2.0 / 15.0) - x * x * _c(17.0 / 315.0))))
    wide = _c(2.0) * sigmoid(_c(2.0) * x) - _c(1.0)
    return tirx.Select(tirx.all(x < _c(0.15), x > _c(-0.15)), small, wide)


def erf(x: Any) -> Any:
    """Return the error function within 2e-7 (Abramowitz and Stegun 7.1.26)."""
    size = te.max(x, _c(0.0) - x)
    t = _c(1.0) / (_c(1.0) + _c(ERF_SCALE) * size)
    p = _c(ERF_POLYNOMIAL[0])
    for coefficient in ERF_POLYNOMIAL[1:]:
        p = p * t + _c(coefficient)
    value = _c(1.0) - p * t * fast_exp(_c(0.0) - size * size)
    return tirx.Select(x < _c(0.0), _c(0.0) - value, value)


PARAMETRIC = frozenset({"relax.clip", "relax.nn.leakyrelu"})
"""Operators of one tensor and of constants."""
UNARY: dict[str, Callable[[Any], Any]] = {
    "relax.nn.relu": lambda x: te.max(x, _c(0.0)),
    "relax.sigmoid": sigmoid,
    "relax.tanh": tanh,
    "relax.exp": fast_exp,
    "relax.nn.silu": lambda x: x * sigmoid(x),
    "relax.erf": erf,
    "relax.nn.gelu": lambda x: x * _c(0.5) * (_c(1.0) + erf(x * _c(SQRT_HALF))),
    "relax.sqrt": tirx.sqrt,
    "relax.rsqrt": lambda x: _c(1.0) / tirx.sqrt(x),
    "relax.negative": lambda x: _c(0.0) - x,
    "relax.abs": lambda x: te.max(x, _c(0.0) - x),
    "relax.square": lambda x: x * x,
}

COARSE: dict[str, Callable[[Any], Any]] = {
    "relax.sigmoid": coarse_sigmoid,
    "relax.nn.silu": lambda x: x * coarse_sigmoid(x),
}
"""Operators that need not be exact to the last bit where a quantization follows."""

COSTLY = frozenset(f"relax.{name}" for name in ("sigmoid", "tanh", "exp", "nn.silu", "erf", "nn.gelu"))
"""Operators whose own implementation in TVM is a library call an element."""

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "relax.add": lambda a, b: a + b,
    "relax.subtract": lambda a, b: a - b,
    "relax.multiply": lambda a, b: a * b,
    "relax.divide": lambda a, b: a / b,
    "relax.maximum": te.max,
    "relax.minimum": te.min,
}


def leaky_relu(x: Any, slope: float) -> Any:
    """Return x where positive, `slope` times x elsewhere."""
    return tirx.Select(x > _c(0.0), x, x * _c(slope))


def clip(x: Any, low: float, high: float) -> Any:
    """Return x limited to [low, high]."""
    return te.max(te.min(x, _c(high)), _c(low))
