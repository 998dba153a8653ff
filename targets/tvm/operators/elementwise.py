"""Arithmetic, comparisons, logic and conversions, element by element."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import onnx_ir as ir
from tvm import relax, te, tirx

from edgec.targets.tvm.operators.node import (
    Converter,
    Expr,
    OnnxNode,
    Refused,
    cast,
    dtype_of,
    is_float,
    like,
    shape_of,
    tensor,
)

Unary = Callable[[Expr], Expr]
Binary = Callable[[Expr, Expr], Expr]

UNARY: dict[str, Unary] = {
    "Abs": relax.op.abs,
    "Acos": relax.op.acos,
    "Acosh": relax.op.acosh,
    "Asin": relax.op.asin,
    "Asinh": relax.op.asinh,
    "Atan": relax.op.atan,
    "Atanh": relax.op.atanh,
    "BitwiseNot": relax.op.bitwise_not,
    "Ceil": relax.op.ceil,
    "Cos": relax.op.cos,
    "Cosh": relax.op.cosh,
    "Erf": relax.op.erf,
    "Exp": relax.op.exp,
    "Floor": relax.op.floor,
    "IsNaN": relax.op.isnan,
    "Log": relax.op.log,
    "Neg": relax.op.negative,
    "Not": relax.op.logical_not,
    "Round": relax.op.round,
    "Sign": relax.op.sign,
    "Sin": relax.op.sin,
    "Sinh": relax.op.sinh,
    "Sqrt": relax.op.sqrt,
    "Tan": relax.op.tan,
    "Tanh": relax.op.tanh,
}
BINARY: dict[str, Binary] = {
    "Add": relax.op.add,
    "And": relax.op.logical_and,
    "BitwiseAnd": relax.op.bitwise_and,
    "BitwiseOr": relax.op.bitwise_or,
    "BitwiseXor": relax.op.bitwise_xor,
    "Equal": relax.op.equal,
    "Greater": relax.op.greater,
    "GreaterOrEqual": relax.op.greater_equal,
    "Less": relax.op.less,
    "LessOrEqual": relax.op.less_equal,
    "Mul": relax.op.multiply,
    "Or": relax.op.logical_or,
    "Sub": relax.op.subtract,
    "Xor": relax.op.logical_xor,
}
NARY: dict[str, Binary] = {"Max": relax.op.maximum, "Min": relax.op.minimum, "Sum": relax.op.add}


def _unary(operator: Unary) -> Converter:
    return lambda n: operator(n[0])


def _binary(operator: Binary) -> Converter:
    return lambda n: operator(n[0], n[1])


def _nary(operator: Binary) -> Converter:
    return lambda n: reduce(operator, n.inputs)


def _mean(n: OnnxNode) -> Expr:
    return relax.op.divide(reduce(relax.op.add, n.inputs), like(len(n.inputs), n[0]))


def _divide(n: OnnxNode) -> Expr:
    known = n.known(1)
    if known is None or known.ndim or known != 0:
        return relax.op.divide(n[0], n[1])
    if not is_float(n.dtype(0)):
        raise Refused("by zero")
    # TVM would divide by a scalar constant at compile time.
    return relax.op.reshape(relax.op.divide(n[0], tensor(known.reshape(1))), n.shape(0))


def _reciprocal(n: OnnxNode) -> Expr:
    return relax.op.divide(like(1, n[0]), n[0])


def _is_infinite(n: OnnxNode) -> Expr:
    positive, negative = n.attribute("detect_positive", 1), n.attribute("detect_negative", 1)
    if positive and negative:
        return relax.op.isinf(n[0])
    # Comparisons with NaN are false, so NaN takes neither sign.
    return relax.op.equal(n[0], like(np.inf if positive else -np.inf if negative else np.nan, n[0]))


def _modulo(n: OnnxNode) -> Expr:
    """Mod: the result has the sign of the dividend with `fmod`, else that of the divisor; handles infinities."""
    x, y = n[0], n[1]
    if not is_float(n.dtype(0)):
        return n.compute(_truncated_modulo, x, y) if n.attribute("fmod", 0) else relax.op.floor_mod(x, y)
    remainder = n.emit(relax.op.mod(x, y))
    if n.attribute("fmod", 0):
        return remainder
    zero = like(0, x)
    differ = relax.op.logical_xor(relax.op.less(remainder, zero), relax.op.less(y, zero))
    moved = relax.op.logical_and(differ, relax.op.not_equal(remainder, zero))
    return relax.op.where(moved, relax.op.add(remainder, y), remainder)


def _truncated_modulo(x: te.Tensor, y: te.Tensor) -> te.Tensor:
    from tvm import topi  # noqa: PLC0415

    shape = np.broadcast_shapes(tuple(map(int, x.shape)), tuple(map(int, y.shape)))
    x, y = topi.broadcast_to(x, shape), topi.broadcast_to(y, shape)
    return te.compute(shape, lambda *i: tirx.truncmod(x(*i), y(*i)))


def _power(n: OnnxNode) -> Expr:
    """Pow: the result has the type of the base; powers of integers are exact below 2**53, as doubles are."""
    kind = n.dtype(0)
    if is_float(kind):
        return relax.op.power(n[0], cast(n[1], kind))
    return cast(n.emit(relax.op.power(cast(n[0], "float64"), cast(n[1], "float64"))), kind)


def _shift(n: OnnxNode) -> Expr:
    """BitShift: a shift by the width or more, or by a negative number, gives 0; CPUs differ in that case."""
    x, by, kind = n[0], n[1], np.dtype(n.dtype(0))
    width = kind.itemsize * 8
    left = n.attribute("direction") == "LEFT"
    shift = relax.op.left_shift if left else relax.op.right_shift
    known = n.known(1)
    if known is not None and np.all((known >= 0) & (known < width)):
        return shift(x, by)
    beyond = relax.op.greater_equal(by, like(width, by))
    if kind.kind == "i":
        beyond = relax.op.logical_or(beyond, relax.op.less(by, like(0, by)))
    beyond = n.emit(beyond)
    shifted = shift(x, relax.op.where(beyond, like(width - 1, by), by))
    if kind.kind == "i" and not left:
        return shifted  # by width - 1, which leaves the sign bit
    return relax.op.where(beyond, like(0, x), shifted)


def _clip(n: OnnxNode) -> Expr:
    """Clip: a missing or NaN bound has no effect; if the lower bound exceeds the upper one, the upper one counts."""
    result = n[0]
    for index, operator in ((1, relax.op.maximum), (2, relax.op.minimum)):
        bound = n.known(index)
        if n.has(index) and not (bound is not None and is_float(n.dtype(0)) and np.isnan(bound).any()):
            result = operator(result, n[index])
    return result


def _where(n: OnnxNode) -> Expr:
    return relax.op.where(n[0], n[1], n[2])


def _cast(n: OnnxNode) -> Expr:
    return converted(n, n[0], str(ir.DataType(n.attribute("to")).numpy()))


def _cast_like(n: OnnxNode) -> Expr:
    return converted(n, n[0], n.dtype(1))


def converted(n: OnnxNode, x: Expr, to: str) -> Expr:
    """Return `x` as `to`, as ONNX converts: to bool by comparison with zero."""
    source = dtype_of(x)
    if to == source:
        return x
    if to == "bool":
        return relax.op.not_equal(x, like(0, x))
    if source == "bool" and to != "int32":
        x = n.emit(relax.op.astype(x, "int32"))  # LLVM converts bool itself only to integers
    return relax.op.astype(x, to)


def _bit_cast(n: OnnxNode) -> Expr:
    to = str(ir.DataType(n.attribute("to")).numpy())
    if np.dtype(to).itemsize != np.dtype(n.dtype(0)).itemsize or "bool" in (to, n.dtype(0)):
        raise Refused(f"from {n.dtype(0)} to {to}")
    if to == n.dtype(0):
        return n[0]
    return n.compute(lambda x: te.compute(x.shape, lambda *i: tirx.reinterpret(to, x(*i))), n[0])


def broadcast(n: OnnxNode, *tensors: Expr) -> list[Expr]:
    """Return `tensors` broadcast to their common shape."""
    shape = np.broadcast_shapes(*map(shape_of, tensors))
    return [each if shape_of(each) == shape else n.emit(relax.op.broadcast_to(each, shape)) for each in tensors]


def _constant(n: OnnxNode) -> Expr:
    array = ir.convenience.get_const_tensor(n.node.outputs[0])
    assert array is not None
    return tensor(array.numpy())


CONVERTERS: dict[str, Converter] = {
    **{name: _unary(operator) for name, operator in UNARY.items()},
    **{name: _binary(operator) for name, operator in BINARY.items()},
    **{name: _nary(operator) for name, operator in NARY.items()},
    "BitCast": _bit_cast,
    "BitShift": _shift,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Clip": _clip,
    "Constant": _constant,
    "Div": _divide,
    "IsInf": _is_infinite,
    "Mean": _mean,
    "Mod": _modulo,
    "Pow": _power,
    "Reciprocal": _reciprocal,
    "Where": _where,
}
