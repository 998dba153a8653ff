"""Quantization operators: conversion between floats and integers by scales and zero points."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, cast, like, shape_of, tensor


def _axis(n: OnnxNode) -> int:
    """Return the axis of scales; with a single scale any axis is legal, and is limited to the rank."""
    axis, rank = n.attribute("axis", 1), n.rank(0)
    return int(axis) % rank if -rank <= axis < rank else 0


def _as_relax(n: OnnxNode) -> bool:
    """Return whether Relax's own operators, which the integer kernels read, suffice: one scale per tensor or axis."""
    blocked = n.attribute("block_size", 0)
    return not blocked and n.rank(1) <= 1 and n.dtype(1) == "float32"


def _quantize(n: OnnxNode) -> Expr:
    to = n.output_dtype
    scale, zero = _parameters(n, to)
    if _as_relax(n) and n.dtype(0) == "float32" and to in ("int8", "uint8"):
        return relax.op.quantize(n[0], scale, zero, axis=_axis(n), out_dtype=to)
    work = "float64" if n.dtype(0) in ("int32", "float64") else "float32"
    x = cast(n[0], work)
    scale, zero = (n.emit(cast(_spread(n, each), work)) for each in (scale, zero))
    steps = relax.op.add(relax.op.round(relax.op.divide(x, scale)), zero)
    limits = np.iinfo(to)
    low, high = (like(float(limit), scale) for limit in (limits.min, limits.max))
    return relax.op.astype(relax.op.minimum(relax.op.maximum(steps, low), high), to)


def _dequantize(n: OnnxNode) -> Expr:
    to, source = n.output_dtype, n.dtype(0)
    scale, zero = _parameters(n, source)
    if _as_relax(n) and to == "float32" and source in ("int8", "uint8"):
        return relax.op.dequantize(n[0], scale, zero, axis=_axis(n), out_dtype=to)
    work = "float64" if to == "float64" else "float32"
    scale, zero = (n.emit(_spread(n, each)) for each in (scale, zero))
    if source in ("int8", "uint8", "int16", "uint16"):
        steps = cast(n.emit(relax.op.subtract(cast(n[0], "int32"), cast(zero, "int32"))), work)
    else:
        steps = relax.op.subtract(cast(n[0], work), cast(zero, work))
    return cast(n.emit(relax.op.multiply(steps, cast(scale, work))), to)


def _parameters(n: OnnxNode, integers: str) -> tuple[Expr, Expr]:
    """Return scale and zero point; a missing zero point is 0."""
    known = n.known(1)
    # TVM would divide by a scalar constant at compile time.
    scale = tensor(known.reshape(1)) if known is not None and known.shape == () and known == 0 else n[1]
    return scale, n[2] if n.has(2) else tensor(np.zeros(n.shape(1)), integers)


def _spread(n: OnnxNode, parameter: Expr) -> Expr:
    """Return scales or zero points, per tensor, axis or block, in a shape that broadcasts to the first input."""
    shape, axis, block = n.shape(0), _axis(n), n.attribute("block_size", 0)
    extents = shape_of(parameter)
    if int(np.prod(extents)) == 1:
        return relax.op.reshape(parameter, ())
    if not block:
        return relax.op.reshape(parameter, [-1 if each == axis else 1 for each in range(len(shape))])
    repeated = n.emit(relax.op.repeat(parameter, block, axis))
    return relax.op.strided_slice(repeated, [axis], [0], [shape[axis]])


def _dynamic_quantize(n: OnnxNode) -> list[Expr]:
    """DynamicQuantizeLinear: scale and zero point from minimum and maximum, extended to include zero."""
    x, zero = n[0], like(0, n[0])
    axes = list(range(n.rank(0)))
    largest, least = (
        limit(zero, extreme(x, axes) if axes else x)
        for limit, extreme in ((relax.op.maximum, relax.op.max), (relax.op.minimum, relax.op.min))
    )
    least = n.emit(least)
    span = n.emit(relax.op.subtract(largest, least))
    scale = relax.op.divide(relax.op.where(relax.op.equal(span, zero), like(255, x), span), like(255, x))
    scale = n.emit(scale)
    point = n.emit(_byte(relax.op.divide(relax.op.negative(least), scale), zero))
    shifted = relax.op.add(relax.op.round(relax.op.divide(x, scale)), point)
    y = relax.op.minimum(relax.op.maximum(shifted, zero), like(255, x))
    return [n.emit(relax.op.astype(y, "uint8")), scale, n.emit(relax.op.astype(point, "uint8"))]


def _byte(x: Expr, zero: Any) -> Expr:
    """Return `x` rounded and saturated to a byte's range, still as float."""
    return relax.op.minimum(relax.op.maximum(relax.op.round(x), zero), tensor(255, "float32"))


CONVERTERS: dict[str, Converter] = {
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "QuantizeLinear": _quantize,
}
