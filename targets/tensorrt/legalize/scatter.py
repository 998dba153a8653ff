"""Rewrites scatters that combine new with old values, because TensorRT ignores `reduction`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder
from edgec.model.graph import Array, attribute, constant, dtype_of, shape_of
from edgec.targets.tensorrt.limits import Limits

COMBINE = {"add": "Add", "mul": "Mul", "max": "Max", "min": "Min"}
REDUCE = {"add": "ReduceSum", "mul": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}
MOST_COMPARISONS = 1 << 24
"""Maximum size of the table of which update goes where; a larger one takes more time and memory than it is worth."""


def scatter_elements(node: ir.Node, limits: Limits) -> str | None:
    """Distinct indices: gather, combine, write; repeated or computed ones: compare each index with each position."""
    reduction, axis = attribute(node, "reduction", "none"), attribute(node, "axis", 0)
    data, indices, updates = node.inputs
    shape, places, dtype = shape_of(data), shape_of(indices), dtype_of(data)
    if reduction == "none" or shape is None or places is None or dtype is None:
        return None
    axis %= len(shape)
    make, size = Builder(node), shape[axis]
    known = constant(indices)
    if known is not None and _differ(np.moveaxis(known % size, axis, -1).reshape(-1, places[axis])):
        there = make.op("GatherElements", [data, indices], {"axis": axis})
        combined = make.op(COMBINE[reduction], [there, updates])
        make.finish(make.op("ScatterElements", [data, indices, combined], {"axis": axis}))
        return f"ScatterElements with {reduction} written with GatherElements"
    if math.prod(places) * size > MOST_COMPARISONS:
        return None
    at = _wrapped(make, indices, np.array(size))
    ladder = np.arange(size).reshape([-1] + [1] * (len(shape) - axis))
    column = (*places[:axis], 1, *places[axis:])
    hit = make.op("Equal", [_reshaped(make, at, column), make.constant(ladder, np.int64)])
    none = make.constant(_neutral(reduction, dtype), dtype)
    chosen = make.op("Where", [hit, _reshaped(make, updates, column), none])
    written = (*places[:axis], size, *places[axis + 1 :])
    found = _reshaped(make, make.reduce(REDUCE[reduction], chosen, [axis + 1]), written)
    if written != shape:
        pads = np.array([0] * len(shape) + [whole - part for whole, part in zip(shape, written, strict=True)])
        found = make.op("Pad", [found, make.constant(pads, np.int64), none])
    make.finish(make.op(COMBINE[reduction], [data, found]))
    return f"ScatterElements with {reduction} written with Equal and {REDUCE[reduction]}"


def scatter_nd(node: ir.Node, limits: Limits) -> str | None:
    """Like `scatter_elements`, for whole slices of the data."""
    reduction = attribute(node, "reduction", "none")
    data, indices, updates = node.inputs
    shape, places, dtype = shape_of(data), shape_of(indices), dtype_of(data)
    if reduction == "none" or shape is None or places is None or dtype is None:
        return None
    depth, make = places[-1], Builder(node)
    sizes, count = np.array(shape[:depth]), math.prod(places[:-1])
    rows, width = math.prod(shape[:depth]), math.prod(shape[depth:])
    steps = np.array([math.prod(shape[axis + 1 : depth]) for axis in range(depth)])
    known = constant(indices)
    if known is not None and _differ(((known % sizes) * steps).sum(axis=-1).reshape(1, -1)):
        there = make.op("GatherND", [data, indices])
        combined = make.op(COMBINE[reduction], [there, updates])
        make.finish(make.op("ScatterND", [data, indices, combined]))
        return f"ScatterND with {reduction} written with GatherND"
    product = reduction == "add" and dtype in (np.float32, np.float16)
    if rows * count * (1 if product else width) > MOST_COMPARISONS:
        return None
    at = _reshaped(make, _wrapped(make, indices, sizes), (count, depth))
    flat = make.op("Mul", [at, make.constant(steps, np.int64)])
    parts = [make.op("Gather", [flat, make.constant(axis, np.int64)], {"axis": 1}) for axis in range(depth)]
    line = parts[0]
    for part in parts[1:]:
        line = make.op("Add", [line, part])
    hit = make.op("Equal", [_reshaped(make, line, (1, count)), make.constant(np.arange(rows)[:, None], np.int64)])
    if product:
        table = make.op("Cast", [hit], {"to": int(ir.DataType.from_numpy(dtype))})
        found = make.op("MatMul", [table, _reshaped(make, updates, (count, width))])
    else:
        table = _reshaped(make, hit, (rows, count, 1))
        none = make.constant(_neutral(reduction, dtype), dtype)
        chosen = make.op("Where", [table, _reshaped(make, updates, (1, count, width)), none])
        found = make.reduce(REDUCE[reduction], chosen, [1])
    make.finish(make.op(COMBINE[reduction], [data, _reshaped(make, found, shape)]))
    return f"ScatterND with {reduction} written with Equal and {'MatMul' if product else REDUCE[reduction]}"


def _differ(lines: Array) -> bool:
    """Whether no line contains a number twice."""
    return all(len(np.unique(line)) == len(line) for line in lines)


def _wrapped(make: Builder, indices: ir.Value | None, sizes: Array) -> ir.Value:
    """Return `indices` as int64, with negative ones replaced by their equals from 0 on, for axes of `sizes`."""
    known = constant(indices)
    if known is not None:
        return make.constant(known % sizes, np.int64)
    if dtype_of(indices) != np.int64:
        indices = make.op("Cast", [indices], {"to": int(ir.DataType.INT64)})
    below = make.op("Less", [indices, make.constant(0, np.int64)])
    return make.op("Where", [below, make.op("Add", [indices, make.constant(sizes, np.int64)]), indices])


def _reshaped(make: Builder, value: ir.Value | None, shape: tuple[int, ...]) -> ir.Value:
    return make.op("Reshape", [value, make.constant(shape, np.int64)])


def _neutral(reduction: str, dtype: np.dtype[Any]) -> Any:
    """Return the neutral element of the reduction."""
    if reduction in ("add", "mul"):
        return 0 if reduction == "add" else 1
    if dtype.kind == "f":
        return -np.inf if reduction == "max" else np.inf
    limits = np.iinfo(np.int32)  # the type in which TensorRT computes
    return limits.min if reduction == "max" else limits.max
