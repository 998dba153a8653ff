"""Uses of elementwise operators and activation functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.support.uses.use import FLOATS, INTEGERS, Draw, Use, kind_of

DOMAINS = {
    "Abs": (-3, 3), "Acos": (-1, 1), "Acosh": (1, 4), "Asin": (-1, 1), "Asinh": (-3, 3), "Atan": (-3, 3),
    "Atanh": (-0.9, 0.9), "Ceil": (-3, 3), "Cos": (-3, 3), "Cosh": (-3, 3), "Erf": (-3, 3), "Exp": (-9, 5),
    "Floor": (-3, 3), "Log": (0.01, 9), "Mish": (-30, 30), "Neg": (-3, 3), "Reciprocal": (0.2, 3), "Relu": (-3, 3),
    "Round": (-3, 3), "Sigmoid": (-20, 20), "Sign": (-3, 3), "Sin": (-3, 3), "Sinh": (-3, 3), "Softplus": (-40, 40),
    "Softsign": (-9, 9), "Sqrt": (0, 9), "Tan": (-1, 1), "Tanh": (-9, 9), "HardSwish": (-5, 5), "Swish": (-5, 5),
}  # fmt: skip
OF_INTEGERS = ("Abs", "Neg", "Relu", "Sign")


def unary(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        kind = d.one(*FLOATS, *(INTEGERS if op_type in OF_INTEGERS else ()))
        x = d.array(d.shape(), kind, *DOMAINS[op_type])
        if op_type == "Round":
            x = (np.round(x * 2) / 2).astype(kind)
        return d.made(op_type, [x], d.maybe(alpha=d.one(0.5, 1.7)) if op_type == "Swish" else {})

    return draw


ALPHAS = {
    "Celu": {"alpha": (0.5, 2.0)}, "Elu": {"alpha": (0.5, 2.0)}, "LeakyRelu": {"alpha": (0.1, -0.5)},
    "HardSigmoid": {"alpha": (0.3, 0.1), "beta": (0.4, 0.6)}, "Selu": {"alpha": (1.2,), "gamma": (0.9,)},
    "Shrink": {"lambd": (0.3, 1.0), "bias": (0.2, 0.0)}, "ThresholdedRelu": {"alpha": (0.0, 1.5)},
    "Gelu": {"approximate": ("none", "tanh")},
}  # fmt: skip


def parametric(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        attributes = d.maybe(**{name: d.one(*values) for name, values in ALPHAS[op_type].items()})
        return d.made(op_type, [d.array(d.shape(), d.one(*FLOATS), -4, 4)], attributes)

    return draw


def binary(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        compares = op_type in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
        kinds = {"And": ("bool",), "Or": ("bool",), "Xor": ("bool",)}.get(op_type, (*FLOATS, *INTEGERS))
        if op_type.startswith("Bitwise"):
            kinds = INTEGERS
        kind = d.one(*kinds, *(("bool",) if op_type == "Equal" else ()))
        shape = d.shape()
        shapes = [d.broadcast(shape), shape] if d.flag() else [shape, d.broadcast(shape)]
        x, y = (d.array(each, kind, -2 if compares else -3, 2 if compares else 3) for each in shapes)
        if op_type == "Div":
            y = (
                np.where(y == 0, np.array(1, kind), y)
                if kind in INTEGERS
                else np.where(abs(y) < 0.1, 1, y).astype(kind)
            )
            x = (x * 5).astype(kind)
        return d.made(op_type, [x, np.asarray(y, kind)], weights=[d.one(0, 1)])

    return draw


def power(d: Draw) -> Use:
    base, exponent = d.one(*FLOATS, "int32", "int64"), d.one(*FLOATS, "int32", "int64")
    shape = d.shape()
    if base in FLOATS:
        x = d.array(shape, base, 0.1, 3) if exponent in FLOATS else d.array(shape, base, -3, 3)
    else:
        x = d.array(shape, base, 1, 4)
    y = d.array(d.broadcast(shape), exponent, 0, 3)
    if d.flag(0.3):
        y = np.full_like(y, d.one(2, 1, 0, 3) if exponent not in FLOATS else d.one(2, 0.5, -1, -2, 3))
    return d.made("Pow", [x, y], weights=[1])


def modulo(d: Draw) -> Use:
    kind = d.one(*FLOATS, *INTEGERS)
    shape = d.shape()
    x, y = d.array(shape, kind, -9, 9), d.array(d.broadcast(shape), kind, -4, 4)
    y = np.where(abs(y) < 0.5, np.array(2, kind), y).astype(kind)
    return d.made("Mod", [x, y], {"fmod": 1} if kind in FLOATS else d.maybe(fmod=d.one(0, 1)))


def shift(d: Draw) -> Use:
    kind = d.one("uint8", "uint16", "uint32", "uint64")
    shape = d.shape()
    by = d.array(d.broadcast(shape), kind, 0, d.one(3, 7))
    return d.made("BitShift", [d.array(shape, kind, 0, 100), by], {"direction": d.one("LEFT", "RIGHT")}, weights=[1])


def several(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        kind = d.one(*FLOATS, *(INTEGERS if op_type in ("Max", "Min") else ()))
        shape = d.shape()
        inputs = [d.array(d.broadcast(shape), kind) for _ in range(d.integer(1, 4))]
        return d.made(op_type, inputs, weights=[len(inputs) - 1] if len(inputs) > 1 else [])

    return draw


def clip(d: Draw) -> Use:
    kind = d.one(*FLOATS, *INTEGERS) if d.opset >= 12 else d.one(*FLOATS)
    x = d.array(d.shape(), kind, -5, 5)
    low, high = d.array((), kind, -2, 1), d.array((), kind, 0, 3)
    if d.opset < 11:
        return d.made("Clip", [x], d.maybe(min=float(low), max=float(high)))
    inputs = [x, low if d.flag(0.7) else None, high if d.flag(0.7) else None]
    return d.made("Clip", inputs, weights=[1, 2])


def cast(d: Draw) -> Use:
    kinds = (*FLOATS, *INTEGERS, "bool", "bfloat16")
    source, to = d.one(*kinds), d.one(*kinds)
    x = d.array(d.shape(), source, 0 if to.startswith("u") else -9, 9)
    if d.flag(0.3) and "float" in source:
        x = np.where(d.array(x.shape, "bool"), np.zeros_like(x), x)
    if d.opset >= 15 and d.flag(0.3):
        return d.made("CastLike", [x, np.zeros((), to)])
    return d.made("Cast", [x], {"to": kind_of(np.zeros((), to))})


def where(d: Draw) -> Use:
    kind, shape = d.one(*FLOATS, *INTEGERS, "bool"), d.shape()
    shapes = [shape, d.broadcast(shape), d.broadcast(shape)]
    order = d.random.permutation(3).tolist()
    condition, x, y = (shapes[at] for at in order)
    return d.made("Where", [d.array(condition, "bool"), d.array(x, kind), d.array(y, kind)], weights=[d.one(1, 2)])


def tests(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        kind = d.one("float32", "float64", *(("float16",) if op_type == "IsNaN" or d.opset >= 20 else ()))
        x = d.random.choice([0.5, -1.0, np.inf, -np.inf, np.nan], d.shape())
        signs = d.maybe(detect_positive=d.one(0, 1), detect_negative=d.one(0, 1)) if op_type == "IsInf" else {}
        return d.made(op_type, [np.asarray(x, kind)], signs)

    return draw


def logical_not(d: Draw) -> Use:
    return d.made("Not", [d.array(d.shape(), "bool")])


def bitwise_not(d: Draw) -> Use:
    return d.made("BitwiseNot", [d.array(d.shape(), d.one(*INTEGERS))])


def prelu(d: Draw) -> Use:
    kind, shape = d.one(*FLOATS, "int32", "int64"), d.shape(1)
    slope = d.broadcast(shape) if d.flag() else (shape[1], *[1] * (len(shape) - 2)) if len(shape) > 1 else (1,)
    return d.made("PRelu", [d.array(shape, kind), d.array(slope, kind)], weights=[1])


def softmax(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        x = d.array(d.shape(1), d.one(*FLOATS), -5, 5)
        axis = d.axis(x.ndim) if d.opset >= 11 else d.integer(0, x.ndim - 1)
        return d.made(
            op_type, [x], d.maybe(axis=axis) if x.ndim > 1 else {"axis": d.one(0, -1) if d.opset >= 11 else 0}
        )

    return draw


BINARY = (
    "Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "Mul", "Or", "Sub", "Xor",
)  # fmt: skip

GENERATORS: dict[str, Callable[[Draw], Use]] = {
    **{name: unary(name) for name in DOMAINS},
    **{name: parametric(name) for name in ALPHAS},
    **{name: binary(name) for name in BINARY},
    **{name: several(name) for name in ("Max", "Mean", "Min", "Sum")},
    **{name: softmax(name) for name in ("Hardmax", "LogSoftmax", "Softmax")},
    **{name: tests(name) for name in ("IsInf", "IsNaN")},
    "BitShift": shift,
    "BitwiseNot": bitwise_not,
    "Cast": cast,
    "Clip": clip,
    "Mod": modulo,
    "Not": logical_not,
    "PRelu": prelu,
    "Pow": power,
    "Where": where,
}
