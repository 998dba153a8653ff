"""Uses of reductions, normalizations, quantization and of what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.uses.use import Draw, Use

REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
)  # fmt: skip
SINCE_AXES = {"ReduceSum": 13}
"""Operator set from which the axes are an input; 18 for the others."""


def reduction(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        kinds = ("float32", "float32", "float64", "int32", "int64")
        if op_type in ("ReduceMax", "ReduceMin"):
            kinds = (*kinds, *(("uint8", "int8") if d.opset >= 12 else ()), *(("bool",) if d.opset >= 20 else ()))
        kind = d.one(*kinds)
        low, high = (0.1, 3) if op_type == "ReduceLogSum" else (-3, 3)
        x = d.array(d.shape(0, 4), kind, 1 if op_type == "ReduceLogSum" and "int" in kind else low, high)
        axes = None if d.flag(0.25) or not x.ndim else d.axes(x.ndim)
        if axes is not None and d.opset < 11:
            axes = [axis % x.ndim for axis in axes]
        attributes = d.maybe(keepdims=d.one(0, 1))
        if d.opset < SINCE_AXES.get(op_type, 18):
            return d.made(op_type, [x], {**attributes, "axes": axes})
        if d.flag(0.2):
            attributes["noop_with_empty_axes"] = d.one(0, 1)
        inputs = [x] if axes is None else [x, np.array(axes, np.int64)]
        return d.made(op_type, inputs, attributes, constants=[1])

    return draw


def place(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        kind = d.one("float32", "float32", "float64", "int32", *(("uint8", "int8") if d.opset >= 13 else ()))
        x = d.array(d.shape(1, 4), kind, -3, 3)
        if d.flag():
            x = np.round(x).astype(kind)  # equal elements: the first, or the last, counts
        attributes = d.maybe(axis=d.axis(x.ndim) if d.opset >= 11 else d.integer(0, x.ndim - 1), keepdims=d.one(0, 1))
        if d.opset >= 12:
            attributes |= d.maybe(select_last_index=d.one(0, 1))
        return d.made(op_type, [x], attributes)

    return draw


def running(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        x = d.array(d.shape(1, 4), d.one("float32", "float32", "float64", "int32", "int64"), 0, 3)
        axis = np.array(d.axis(x.ndim), d.one("int64", "int32"))
        return d.made(op_type, [x, axis], d.maybe(exclusive=d.one(0, 1), reverse=d.one(0, 1)), constants=[1])

    return draw


def batch_normalization(d: Draw) -> Use:
    kind = d.one("float32", "float32", "float64")
    x = d.array(d.shape(2, 5), kind)
    parameters = [d.array((x.shape[1],), kind, *limits) for limits in ((0.5, 2), (-1, 1), (-1, 1), (0.2, 2))]
    attributes, outputs = d.maybe(epsilon=d.one(1e-3, 1e-5)), 1
    if d.opset >= 15 and d.flag(0.2):
        attributes |= {"training_mode": 1, **d.maybe(momentum=0.7)}
        outputs = 3
    return d.made("BatchNormalization", [x, *parameters], attributes, weights=[1, 2, 3, 4], outputs=outputs)


def layer_normalization(d: Draw) -> Use:
    kind = d.one("float32", "float32", "float16", "float64")
    x = d.array(d.shape(1, 4), kind)
    axis = d.axis(x.ndim) if d.flag() else -1
    shape = x.shape[axis:]
    inputs = [x, d.array(shape, kind), d.array(shape, kind) if d.flag(0.7) else None]
    attributes = {"axis": axis, **d.maybe(epsilon=d.one(1e-3, 1e-5))}
    return d.made("LayerNormalization", inputs, attributes, weights=[1, 2], outputs=d.one(1, 1, 3), tolerance=3)


def rms_normalization(d: Draw) -> Use:
    kind = d.one("float32", "float32", "float16", "float64")
    x = d.array(d.shape(1, 4), kind)
    axis = d.axis(x.ndim)
    inputs = [x, d.array(x.shape[axis:], kind)]
    return d.made("RMSNormalization", inputs, {"axis": axis, **d.maybe(epsilon=1e-3)}, weights=[1], tolerance=3)


def group_normalization(d: Draw) -> Use:
    groups, each = d.integer(1, 3), d.integer(1, 3)
    kind = d.one("float32", "float32", "float16")
    x = d.array((d.integer(1, 2), groups * each, *d.shape(1, 3)), kind)
    size = groups * each if d.opset >= 21 else groups
    inputs = [x, d.array((size,), kind), d.array((size,), kind)]
    attributes = {"num_groups": groups, **d.maybe(epsilon=1e-3)}
    return d.made("GroupNormalization", inputs, attributes, weights=[1, 2], tolerance=5)


def instance_normalization(d: Draw) -> Use:
    kind = d.one("float32", "float32", "float64")
    x = d.array((d.integer(1, 2), d.integer(1, 4), *d.shape(1, 3)), kind)
    inputs = [x, d.array((x.shape[1],), kind), d.array((x.shape[1],), kind)]
    return d.made("InstanceNormalization", inputs, d.maybe(epsilon=1e-3), weights=[1, 2], tolerance=5)


def lrn(d: Draw) -> Use:
    x = d.array((d.integer(1, 2), d.integer(1, 8), *d.shape(2, 2)))
    attributes = {"size": d.one(1, 3, 5), **d.maybe(alpha=0.1, beta=0.6, bias=2.0)}
    return d.made("LRN", [x], attributes)


def mvn(d: Draw) -> Use:
    x = d.array(tuple(d.integer(2, 5) for _ in range(4)))
    return d.made("MeanVarianceNormalization", [x], d.maybe(axes=d.axes(4)), tolerance=5)


def lp_normalization(d: Draw) -> Use:
    x = d.array(d.shape(1, 4), d.one("float32", "float64"))
    return d.made("LpNormalization", [x], d.maybe(axis=d.axis(x.ndim), p=d.one(1, 2)))


def _parameters(d: Draw, shape: tuple[int, ...]) -> tuple[dict[str, Any], list[int]]:
    """Return attributes and the shape of scales: one a tensor, one a channel, or one a block."""
    if not shape or d.opset < 13 or d.flag(0.4):
        return {}, []
    axis = d.axis(len(shape))
    if d.opset >= 21 and d.flag(0.3):
        block = d.integer(1, 3)
        scales = [-(-size // block) if at == axis % len(shape) else size for at, size in enumerate(shape)]
        return {"axis": axis, "block_size": block}, scales
    return {"axis": axis}, [shape[axis]]


def quantize(d: Draw) -> Use:
    kinds = ("float32", "float32", "int32", *(("float16",) if d.opset >= 19 else ()))
    kind, shape = d.one(*kinds), d.shape(0, 4)
    to = d.one("uint8", "int8", *(("uint16", "int16") if d.opset >= 21 else ()))
    attributes, scales = _parameters(d, shape)
    x = d.array(shape, kind, -9, 9)
    scale = d.array(scales, "float32" if kind == "int32" else kind, 0.05, 0.2)
    zero = d.array(scales, to, -5, 5) if d.flag(0.8) or to != "uint8" else None
    return d.made("QuantizeLinear", [x, scale, zero], attributes, weights=[1, 2], tolerance=1)


def dequantize(d: Draw) -> Use:
    shape = d.shape(0, 4)
    kind = d.one("uint8", "int8", "int32", *(("uint16", "int16") if d.opset >= 21 else ()))
    attributes, scales = _parameters(d, shape)
    scale = d.array(scales, d.one("float32", *(("float16",) if d.opset >= 19 else ())), 0.01, 0.2)
    zero = d.array(scales, kind, -5, 5) if d.flag(0.7) and kind != "int32" else None
    return d.made("DequantizeLinear", [d.array(shape, kind, -100, 100), scale, zero], attributes, weights=[1, 2])


def dynamic_quantize(d: Draw) -> Use:
    low, high = d.one((-3, 3), (0.5, 3), (-3, -1))
    return d.made("DynamicQuantizeLinear", [d.array(d.shape(1, 3), "float32", low, high)], outputs=3)


def qlinear_matmul(d: Draw) -> Use:
    m, n, k = (d.integer(1, 8) for _ in range(3))
    kinds = d.one("uint8", "int8"), "int8", None
    by_column = d.flag(0.3)
    scale = d.array((n,) if by_column else (), "float32", 0.005, 0.02)
    points = [d.array((), kinds[0], 0, 9), d.array(scale.shape, kinds[1], 0, 0), d.array((), kinds[0], 0, 9)]
    a, b = d.array((m, k), kinds[0], -100, 100), d.array((k, n), kinds[1], -100, 100)
    inputs = [a, np.float32(0.02), points[0], b, scale, points[1], np.float32(0.1), points[2]]
    return d.made("QLinearMatMul", [np.asarray(each) for each in inputs], constants=[1, 2, 3, 4, 5, 6, 7])


def qlinear_conv(d: Draw) -> Use:
    kind, filters = d.one("uint8", "int8"), d.integer(1, 5)
    rows, columns = d.integer(1, 3), d.integer(1, 3)
    scale = d.array((filters,) if d.flag() else (), "float32", 0.002, 0.01)
    inputs: list[Any] = [
        d.array((1, 3, 7, 8), kind, -100, 100), np.float32(0.02), d.array((), kind, 0, 9),
        d.array((filters, 3, rows, columns), "int8", -100, 100), scale, np.zeros(scale.shape, "int8"),
        np.float32(0.05), d.array((), kind, 0, 9),
    ]  # fmt: skip
    if d.flag():
        inputs.append(d.array((filters,), "int32", -500, 500))
    attributes = {"kernel_shape": [rows, columns], **d.maybe(strides=[d.integer(1, 2)] * 2, pads=[d.integer(0, 1)] * 4)}
    return d.made("QLinearConv", [np.asarray(each) for each in inputs], attributes, constants=range(1, 9))


GENERATORS: dict[str, Callable[[Draw], Use]] = {
    **{name: reduction(name) for name in REDUCTIONS},
    **{name: place(name) for name in ("ArgMax", "ArgMin")},
    **{name: running(name) for name in ("CumSum",)},
    "BatchNormalization": batch_normalization,
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": dynamic_quantize,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": lrn,
    "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mvn,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "QuantizeLinear": quantize,
    "RMSNormalization": rms_normalization,
}
