"""Rewrites reductions of integers, which TensorRT supports only for floats before version 10, with exact results."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder
from edgec.model.graph import attribute, constant, dtype_of, shape_of
from edgec.targets.tensorrt.limits import Limits

MANTISSA_BITS = 24
"""Integers up to 2**24 are exact in FP32."""
BITS = 31
"""Number of bits of an INT32's magnitude; INT64 is read as INT32 by the versions that need this."""
MOST_ELEMENTS = 1 << 20
"""Maximum number of summands: with more, so many parts are needed that it does not pay."""


def integer_reduction(node: ir.Node, limits: Limits) -> str | None:
    """Rewrite reductions of INT32: sums and extrema by parts with few digits, exact in FP32; products by Mul."""
    dtype, shape = dtype_of(node.inputs[0]), shape_of(node.inputs[0])
    if dtype not in (np.int32, np.int64) or "INT32" in limits.operators.get(node.op_type, ()) or shape is None:
        return None
    axes = _axes(node, len(shape))
    if not axes or not 0 < math.prod(shape[axis] for axis in axes) <= MOST_ELEMENTS:
        return None
    make = Builder(node)
    if node.op_type == "ReduceProd":
        value = _product(make, axes, shape)
    else:
        value = _sum(make, axes, shape, dtype) if node.op_type == "ReduceSum" else _extremum(make, axes, dtype)
    if not attribute(node, "keepdims", 1):
        kept = [size for axis, size in enumerate(shape) if axis not in axes]
        value = make.op("Reshape", [value, make.constant(np.array(kept), np.int64)])
    make.finish(value)
    how = "Mul" if node.op_type == "ReduceProd" else "parts that FP32 holds exactly"
    return f"{node.op_type} of integers written with {how}"


def _axes(node: ir.Node, rank: int) -> list[int]:
    given = constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if len(node.inputs) > 1 and node.inputs[1] is not None and given is None:
        return []
    listed = attribute(node, "axes", ()) if given is None else given.reshape(-1).tolist()
    if not listed and not attribute(node, "noop_with_empty_axes", 0):
        listed = range(rank)
    return sorted({int(axis) % rank for axis in listed})


def _sum(make: Builder, axes: list[int], shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> ir.Value:
    """Return the sum, from digits in a base such that sums of all summands stay below 2**24."""
    count = math.prod(shape[axis] for axis in axes)
    width = MANTISSA_BITS - math.ceil(math.log2(max(count, 2)))
    base, rest, total = make.constant(1 << width, dtype), make.node.inputs[0], None
    assert rest is not None
    for place in range(math.ceil(BITS / width)):
        higher = make.op("Div", [rest, base])
        digit = make.op("Sub", [rest, make.op("Mul", [higher, base])])
        digits = _in_floats(make, "ReduceSum", digit, axes, dtype)
        if place:
            digits = make.op("Mul", [digits, make.constant(1 << (width * place), dtype)])
        total = digits if total is None else make.op("Add", [total, digits])
        rest = higher
    assert total is not None
    return total


def _product(make: Builder, axes: list[int], shape: tuple[int, ...]) -> ir.Value:
    """Return the product: along each axis one half is multiplied with the other, until one element is left."""
    value = make.node.inputs[0]
    assert value is not None
    for axis in axes:
        size = shape[axis]
        while size > 1:
            half = size // 2
            first, second = (_slice(make, value, axis, start, start + half) for start in (0, half))
            product = make.op("Mul", [first, second])
            if size % 2:
                product = make.op("Concat", [product, _slice(make, value, axis, size - 1, size)], {"axis": axis})
            value, size = product, half + size % 2
    return value


def _slice(make: Builder, value: ir.Value, axis: int, start: int, end: int) -> ir.Value:
    ends = (make.constant([place], np.int64) for place in (start, end, axis))
    return make.op("Slice", [value, *ends])


def _extremum(make: Builder, axes: list[int], dtype: np.dtype[np.generic]) -> ir.Value:
    """Return the extremum: first of the upper halves, then of the lower halves of the elements that have it."""
    x, op_type = make.node.inputs[0], make.node.op_type
    base, zero = make.constant(1 << 16, dtype), make.constant(0, dtype)
    quotient = make.op("Div", [x, base])
    rest = make.op("Sub", [x, make.op("Mul", [quotient, base])])
    below = make.op("Less", [rest, zero])  # Div rounds towards zero, but halves are of numbers rounded down
    low = make.op("Where", [below, make.op("Add", [rest, base]), rest])
    high = make.op("Where", [below, make.op("Sub", [quotient, make.constant(1, dtype)]), quotient])
    top = _in_floats(make, op_type, high, axes, dtype)
    beyond = make.constant(-1 if op_type == "ReduceMax" else 1 << 16, dtype)
    bottom = _in_floats(make, op_type, make.op("Where", [make.op("Equal", [high, top]), low, beyond]), axes, dtype)
    return make.op("Add", [make.op("Mul", [top, base]), bottom])


def _in_floats(make: Builder, op_type: str, value: ir.Value, axes: list[int], dtype: np.dtype[np.generic]) -> ir.Value:
    reduced = make.reduce(op_type, make.op("Cast", [value], {"to": int(ir.DataType.FLOAT)}), axes)
    return make.op("Cast", [reduced], {"to": int(ir.DataType.from_numpy(dtype))})
