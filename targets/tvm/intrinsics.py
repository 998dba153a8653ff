"""Functions of one float as operators of TIR: exp, log, erf, tanh and functions composed of them.

TVM's own functions call a library for each element. As TIR expressions, shared parts would be repeated in all of TVM's
passes, ten times for one exp. So they are calls, which TVM vectorizes, of functions in LLVM's language, which LLVM
inlines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import tvm
import tvm_ffi
from tvm import ir, tirx
from tvm.ir import _ffi_api as ir_functions  # Python has no other way to create an operator

from edgec.targets.tvm.llvm_source import Body, Value, with_source

PREFIX = "edgec."
PURE = 1
"""`CallEffectKind` of a call that reads and writes nothing."""
LEVEL = 11
"""Priority of operator attributes: above the default, so that a second import of this module may set them again."""
EXP_MAX, EXP_MIN = 88.0, -87.0
LOG2_E = 1.44269504088896341
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
EXP_POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
EXP2_MAX = 126.0
EXP2_POLYNOMIAL = (9.582853621e-03, 5.590643335e-02, 2.402409865e-01, 6.931241924e-01)
"""2**r for |r| <= 1/2 with a relative error below 3e-6; minimax by Remez' exchange."""
LOG_POLYNOMIAL = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
SQRT_HALF = 0.7071067811865476
SMALLEST_NORMAL = 2.0**-126
ERF_MAX = 3.84
"""From here on the error function is 1 as a float."""
ERF_NUMERATOR = (
    *(2.08419217e-08, -1.98976223e-06, 1.38735138e-04, 3.49608588e-03, 4.98814831e-02, 1.94593282e-01, 1.12837904),
)
ERF_DENOMINATOR = (9.12163101e-04, 1.39149998e-02, 1.12810439e-01, 5.05785158e-01, 1.0)
"""Of x**2, for |x| <= 3.84: minimax by least squares with weights that follow the error."""
GELU_MAX = 12.0
"""From here on the function is x or 0 as a float."""
GELU_POLYNOMIAL = (
    *(8.16898052e-07, -2.07358414e-06, 7.47864566e-05, -5.15021333e-06, 3.31330225e-03, 2.11275148e-02, 4.98690968e-02),
    1.0,
)
"""erfc(x / sqrt(2))**(-1/16), of which the 16th power is easily taken, for 0 <= x: minimax for the error of GELU."""
TANH_POLYNOMIAL = (-17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0, 1.0)
TANH_SMALL = 0.15


def _exp(x: Value, do: Body) -> Value:
    # A comparison with NaN is false, so NaN is kept: masked attention looks for the NaN of completely masked rows.
    x = do.select(x > EXP_MAX, EXP_MAX, x)
    x = do.select(x < EXP_MIN, EXP_MIN, x)
    n = do.floor(x * LOG2_E + 0.5)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = do.polynomial(r, EXP_POLYNOMIAL) * r * r + r + 1.0
    power = do.convert("bitcast", (do.convert("fptosi", n, "i32") + 127) << 23, "float")
    return p * power


def _sigmoid(x: Value, do: Body) -> Value:
    return 1.0 / (_exp(0.0 - x, do) + 1.0)


def _coarse_sigmoid(x: Value, do: Body) -> Value:
    t = x * -LOG2_E
    t = do.select(t < EXP2_MAX, t, EXP2_MAX)
    t = do.select(t > -EXP2_MAX, t, -EXP2_MAX)
    n = do.floor(t + 0.5)
    r = t - n
    c4, c3, c2, c1 = EXP2_POLYNOMIAL
    square = r * r
    p = (r * c3 + c2 + square * c4) * square + (r * c1 + 1.0)
    bits = do.convert("bitcast", p, "i32") + (do.convert("fptosi", n, "i32") << 23)
    return 1.0 / (do.convert("bitcast", bits, "float") + 1.0)


def _tanh(x: Value, do: Body) -> Value:
    # The odd series near zero, where the difference of sigmoids would cancel.
    square = x * x
    wide = _sigmoid(x * 2.0, do) * 2.0 - 1.0
    return do.select(square < TANH_SMALL**2, x * do.polynomial(square, TANH_POLYNOMIAL), wide)


def _erf(x: Value, do: Body) -> Value:
    x = do.select(x > ERF_MAX, ERF_MAX, x)
    x = do.select(x < -ERF_MAX, -ERF_MAX, x)
    square = x * x
    value = x * do.polynomial(square, ERF_NUMERATOR) / do.polynomial(square, ERF_DENOMINATOR)
    value = do.select(value > 1.0, 1.0, value)
    return do.select(value < -1.0, -1.0, value)


def _gelu(x: Value, do: Body) -> Value:
    # x * (1 + erf) / 2 cancels where x is negative; max(x, 0) - |x| * erfc / 2 does not.
    size = do.select(x < 0.0, 0.0 - x, x)
    size = do.select(size > GELU_MAX, GELU_MAX, size)
    root = do.polynomial(size, GELU_POLYNOMIAL)
    for _ in range(4):
        root = root * root
    return do.select(x > 0.0, x, 0.0) - size * 0.5 / root


def _log(x: Value, do: Body) -> Value:
    # x = 2**n * m with 1/2 <= m < 1, or twice that; numbers below the normal ones borrow 24 bits of exponent.
    tiny = x < SMALLEST_NORMAL
    bits = do.convert("bitcast", do.select(tiny, x * 2.0**24, x), "i32")
    n = do.convert("sitofp", (bits >> 23) - 126, "float")
    n = do.select(tiny, n - 24.0, n)
    m = do.convert("bitcast", (bits & 0x007FFFFF) | 0x3F000000, "float")
    low = m < SQRT_HALF
    r = do.select(low, m + m, m) - 1.0
    n = do.select(low, n - 1.0, n)
    square = r * r
    p = do.polynomial(r, LOG_POLYNOMIAL) * r * square + n * LN2_LOW - square * 0.5
    value = do.select(x < math.inf, r + p + n * LN2_HIGH, x)
    value = do.select(x > 0.0, value, -math.inf)
    return do.select(x >= 0.0, value, math.nan)


FUNCTIONS: dict[str, Callable[[Value, Body], Value]] = {
    "exp": _exp,
    "sigmoid": _sigmoid,
    "coarse_sigmoid": _coarse_sigmoid,
    "tanh": _tanh,
    "erf": _erf,
    "log": _log,
    "silu": lambda x, do: x * _sigmoid(x, do),
    "coarse_silu": lambda x, do: x * _coarse_sigmoid(x, do),
    "gelu": _gelu,
}


@cache
def _source(name: str, lanes: int) -> str:
    """Return the function `name` of `lanes` floats in LLVM's language."""
    body = Body(lanes)
    result = FUNCTIONS[name](Value(body, "%x", "float"), body)
    floats = body.type_of("float")
    header = f"define {floats} @{_symbol(name, lanes)}({floats} %x) {{"
    return "\n".join((header, *body.lines, f"  ret {floats} {result.name}", "}"))


def _symbol(name: str, lanes: int) -> str:
    return f"edgec_{name}_{lanes}"


def with_functions(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Return the scheduled `function` with the source of those functions above that it calls."""
    names: dict[str, None] = {}
    widths = {1}

    def call(each: ir.Call) -> None:
        if isinstance(each.op, ir.Op) and each.op.name.startswith(PREFIX):
            names[each.op.name.removeprefix(PREFIX)] = None

    def loop(each: tirx.For) -> None:
        if int(each.kind) == tirx.ForKind.VECTORIZED:
            widths.add(int(each.extent))

    tvm_ffi.structural_walk(function.body, ((ir.Call, call), (tirx.For, loop)))
    if not names:
        return function
    declared = [
        f"declare {b.type_of('float')} @{b.floor_name}({b.type_of('float')})" for b in map(Body, sorted(widths))
    ]
    text = "\n".join([*declared, *(_source(name, lanes) for name in names for lanes in sorted(widths))])
    return with_source(function, text)


def _operator(name: str) -> Callable[[Any], Any]:
    """Register the TIR operator of the function `name`; return a function that calls it."""
    operator = PREFIX + name

    def lower(call: ir.Call) -> Any:
        symbol = _symbol(name, tvm.DataType(str(call.ty)).lanes)
        return tirx.call_pure_extern(str(call.ty), symbol, call.args[0])

    if operator not in ir.Op.list_op_names():
        ir_functions.RegisterOp(operator, f"{name} of a float")
    attributes = {
        "TCallEffectKind": PURE,
        "TVectorizable": True,
        "TScriptPrinterName": operator,
        "llvm.FLowerIntrinsic": lower,
    }
    for attribute, value in attributes.items():
        ir.register_op_attr(operator, attribute, value, level=LEVEL)
    return lambda x: tirx.call_intrin("float32", operator, x)


exp = _operator("exp")
"""e**x within 2 ulp for -87 < x < 88, clamped outside, NaN for NaN (Cephes `expf`: Cody-Waite, degree 6)."""
sigmoid = _operator("sigmoid")
"""1 / (1 + e**-x)."""
coarse_sigmoid = _operator("coarse_sigmoid")
"""1 / (1 + e**-x) within 7e-6 of its value, in half the instructions, for results that are quantized to a byte next."""
tanh = _operator("tanh")
erf = _operator("erf")
"""The error function within 3e-7: an odd rational function."""
log = _operator("log")
"""The natural logarithm within 2 ulp (Cephes `logf`); -infinity for 0, NaN for negative numbers."""
silu = _operator("silu")
coarse_silu = _operator("coarse_silu")
gelu = _operator("gelu")
"""x * (1 + erf(x / sqrt(2))) / 2 within 2e-7, or 1e-6 of its value."""
