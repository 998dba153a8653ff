"""Rewrites integer and mask operators that TensorRT 8.2 lacks: Mod, OneHot, Trilu, CastLike, Xor, IsInf."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder
from edgec.model.graph import attribute, constant, dtype_of, shape_of
from edgec.targets.tensorrt.limits import Limits


def mod(node: ir.Node, limits: Limits) -> str | None:
    """For integers: r = a - (a / b) * b, plus b if `fmod` is 0 and r is neither 0 nor of b's sign.

    Floats are not rewritten: a - trunc(a / b) * b is off by a whole b if a / b rounds up to an integer.
    """
    dtype = dtype_of(node.inputs[0])
    if limits.takes("Mod") or dtype not in (np.int32, np.int64):
        return None
    make = Builder(node)
    a, b = node.inputs
    rest = make.op("Sub", [a, make.op("Mul", [make.op("Div", [a, b]), b])])
    if attribute(node, "fmod", 0) == 0:
        zero = make.constant(0, dtype)
        # rest * b < 0 could overflow, so the signs are compared; rest == 0 has none.
        below = make.op("And", [make.op("Less", [rest, zero]), make.op("Greater", [b, zero])])
        above = make.op("And", [make.op("Greater", [rest, zero]), make.op("Less", [b, zero])])
        rest = make.op("Where", [make.op("Or", [below, above]), make.op("Add", [rest, b]), rest])
    make.finish(rest)
    return "Mod written as a - a / b * b"


def one_hot(node: ir.Node, limits: Limits) -> str | None:
    """Where(indices == 0 .. depth-1 along `axis`, on, off), negative indices counted from the end."""
    indices, depth, values = node.inputs
    shape, count, dtype = shape_of(indices), constant(depth), dtype_of(values)
    if limits.takes("OneHot") or shape is None or count is None or dtype is None or dtype == np.bool_:
        return None
    make, classes = Builder(node), int(count.reshape(()))
    axis = attribute(node, "axis", -1) % (len(shape) + 1)
    if dtype_of(indices) != np.int64:
        indices = make.op("Cast", [indices], {"to": int(ir.DataType.INT64)})
    wrapped = make.op("Add", [indices, make.constant(classes, np.int64)])
    indices = make.op("Where", [make.op("Less", [indices, make.constant(0, np.int64)]), wrapped, indices])
    column = make.constant((*shape[:axis], 1, *shape[axis:]), np.int64)
    ladder = np.arange(classes).reshape([-1] + [1] * (len(shape) - axis))
    hit = make.op("Equal", [make.op("Reshape", [indices, column]), make.constant(ladder, np.int64)])
    off, on = (make.op("Gather", [values, make.constant(index, np.int64)], {"axis": 0}) for index in (0, 1))
    make.finish(make.op("Where", [hit, on, off]))
    return "OneHot written with Equal and Where"


def trilu(node: ir.Node, limits: Limits) -> str | None:
    """Where(mask, x, 0) with the mask of the upper or lower triangle as a constant."""
    x, shape, dtype = node.inputs[0], shape_of(node.inputs[0]), dtype_of(node.inputs[0])
    k = constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else np.zeros((), np.int64)
    if limits.takes("Trilu") or shape is None or dtype is None or k is None:
        return None
    make, offset = Builder(node), int(k.reshape(()))
    ones = np.ones(shape[-2:], np.bool_)
    mask = make.constant(np.triu(ones, offset) if attribute(node, "upper", 1) else np.tril(ones, offset))
    if dtype == np.bool_:
        make.finish(make.op("And", [x, mask]))
    else:
        make.finish(make.op("Where", [mask, x, make.constant(0, dtype)]))
    return "Trilu written with a constant mask"


def cast_like(node: ir.Node, limits: Limits) -> str | None:
    """Cast to the type of the other input."""
    like = node.inputs[1]
    if limits.takes("CastLike") or like is None or like.dtype is None:
        return None
    make = Builder(node)
    make.finish(make.op("Cast", [node.inputs[0]], {"to": int(like.dtype)}))
    return "CastLike written as Cast"


def xor(node: ir.Node, limits: Limits) -> str | None:
    """Write (a or b) and not (a and b)."""
    if limits.takes("Xor"):
        return None
    make, (a, b) = Builder(node), node.inputs
    both = make.op("Not", [make.op("And", [a, b])])
    make.finish(make.op("And", [make.op("Or", [a, b]), both]))
    return "Xor written with And, Or, Not"


def is_inf(node: ir.Node, limits: Limits) -> str | None:
    """Write x == inf, x == -inf, or |x| == inf."""
    dtype = dtype_of(node.inputs[0])
    up, down = attribute(node, "detect_positive", 1), attribute(node, "detect_negative", 1)
    if limits.takes("IsInf") or dtype is None or not (up or down):
        return None
    make, x = Builder(node), node.inputs[0]
    subject = make.op("Abs", [x]) if up and down else x
    make.finish(make.op("Equal", [subject, make.constant(np.inf if up else -np.inf, dtype)]))
    return "IsInf written with Equal"


def shape_slice(node: ir.Node, limits: Limits) -> str | None:
    """Write a part of the shape as a constant: before opset 15 Shape has no `start` and `end`."""
    shape = shape_of(node.inputs[0])
    if shape is None or limits.max_opset >= 15 or not {"start", "end"} & set(node.attributes):
        return None
    make = Builder(node)
    sizes = shape[attribute(node, "start", 0) : attribute(node, "end")]
    # An Identity, not the initializer itself: the shape may be a graph output.
    make.finish(make.op("Identity", [make.constant(sizes, np.int64)]))
    return "Shape written as a constant"
