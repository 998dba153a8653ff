"""What networks have now and then: other types, control flow with a constant condition, Q/DQ pairs, rarer operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.support.random_graphs.graph import Graph, Unfit, Value, value_info
from tests.support.random_graphs.operators import Step, axis_of, is_float, is_picture

FLOAT, FLOAT16, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64


def other_precision(g: Graph) -> Value:
    """A few operators in half or double precision, between casts."""
    x = g.some(is_float)
    kind, dtype = g.choice([(FLOAT16, "float16"), (DOUBLE, "float64"), (DOUBLE, "float64")])
    y = g.add("Cast", [x], to=kind, keep=False)
    for _ in range(g.pick(1, 2)):
        op = g.choice(["Add", "Mul", "Max", "Sqrt", "Relu", "Neg"])
        if op in ("Add", "Mul", "Max"):
            y = g.add(op, [y, g.weight(dtype=dtype, low=0.25)], keep=False)
        else:
            y = g.add(op, [g.add("Abs", [y], keep=False) if op == "Sqrt" else y], keep=False)
    return g.add("Cast", [y], to=FLOAT)


def small_integers(g: Graph) -> Value:
    """Pixels as bytes, or indices as int32: cast, computed with, cast back."""
    x = g.some(lambda value: is_float(value) and value.exact)
    kind = g.choice([TensorProto.INT32, TensorProto.UINT8, TensorProto.INT8])
    scaled = g.add("Abs", [x], exact=True, keep=False)
    y = g.add("Cast", [scaled], exact=True, keep=False, to=kind)
    if g.pick(0, 1):
        y = g.add("Transpose", [y], exact=True, keep=False)
    return g.add("Cast", [y], exact=True, to=FLOAT)


def branch(g: Graph) -> Value:
    """An If whose condition is constant, or becomes so once shapes are known."""
    x = g.some(is_float)
    if g.pick(0, 1):
        condition: Value | str = g.constant(bool(g.pick(0, 1)))
    else:
        rank = g.add("Size", [g.add("Shape", [x], exact=True, keep=False)], exact=True, keep=False)
        condition = g.add("Equal", [rank, g.constant(g.choice([4, 3]), "int64")], exact=True, keep=False)

    def body(name: str) -> Any:
        out = f"{name}{len(g.nodes)}"
        kind = g.choice(["Relu", "Neg", "Mul", "outer"])
        if kind == "outer":
            nodes = [helper.make_node("Identity", [x.name], [out])] if g.pick(0, 1) else []
            out = out if nodes else x.name
        elif kind == "Mul":
            nodes = [helper.make_node("Mul", [x.name, x.name], [out])]
        else:
            nodes = [helper.make_node(kind, [x.name], [out])]
        info = helper.make_tensor_value_info(out, FLOAT, x.shape if g.pick(0, 1) else None)
        return helper.make_graph(nodes, name, [], [info])

    return g.add("If", [condition], reads=[x], then_branch=body("then"), else_branch=body("else"))


def loop(g: Graph) -> Value:
    """A Loop of a few steps that are known."""
    x = g.some(is_float)
    at, again, seen, kept, next_seen = (f"{name}{len(g.nodes)}" for name in ("i", "c", "s", "k", "n"))
    op = g.choice(["Add", "Mul", "Max"])
    nodes = [helper.make_node("Identity", [again], [kept]), helper.make_node(op, [seen, x.name], [next_seen])]
    inputs = [
        helper.make_tensor_value_info(at, INT64, []),
        helper.make_tensor_value_info(again, TensorProto.BOOL, []),
        helper.make_tensor_value_info(seen, FLOAT, x.shape),
    ]
    outputs = [helper.make_tensor_value_info(kept, TensorProto.BOOL, []), value_info(next_seen, x.sample)]
    body = helper.make_graph(nodes, "steps", inputs, outputs)
    count = g.constant(g.pick(1, 3), "int64")
    return g.add("Loop", [count, g.choice(["", g.constant(True)]), x], reads=[x], body=body)


def quantized_pair(g: Graph) -> Value:
    """A value on integers and back, one scale for all of it or one an index of an axis."""
    x = g.some(lambda value: is_float(value) and value.exact and bool(value.shape))
    dtype = g.choice(["uint8", "int8"])
    if g.opset >= 13 and g.chance(3):
        axis = axis_of(g, x)
        count = x.shape[axis]
        scale, zero = g.weight(count, low=0.01, high=0.05), g.constant(np.zeros(count), dtype)
        attributes: dict[str, Any] = {"axis": axis}
    else:
        scale, zero = g.weight(low=0.01, high=0.05), g.constant(g.pick(0, 100), dtype)
        attributes = {}
    codes = g.add("QuantizeLinear", [x, scale, zero], exact=True, keep=False, **attributes)
    return g.add("DequantizeLinear", [codes, scale, zero], exact=True, **attributes)


def quantized_weights(g: Graph) -> Value:
    """A convolution or product whose weights are stored as int8."""
    if g.pick(0, 1):
        x = g.some(is_picture)
        shape: tuple[int, ...] = (g.pick(1, 6), x.shape[1], 3, 3)
        op, axis, attributes = "Conv", 0, {"pads": [1] * 4}
    else:
        x = g.some(lambda value: is_float(value) and len(value.shape) > 1)
        shape, op, axis, attributes = (x.shape[-1], g.pick(1, 6)), "MatMul", 1, {}
    codes = g.constant(g.rng.integers(-127, 128, shape), "int8")
    scale = 0.01 / max(1.0, float(np.prod(shape)) ** 0.5)
    if g.opset >= 13 and g.pick(0, 1):
        size = shape[axis]
        weights = g.add("DequantizeLinear", [codes, g.weight(size, low=scale, high=2 * scale)], keep=False, axis=axis)
    else:
        weights = g.add("DequantizeLinear", [codes, g.weight(low=scale, high=2 * scale)], keep=False)
    return g.add(op, [x, weights], **attributes)


def one_hot(g: Graph) -> Value:
    """Classes as vectors."""
    x = g.some(lambda value: value.dtype in ("int64", "int32") and len(value.shape) < 3)
    values = g.constant([0.0, 1.0] if g.pick(0, 1) else [-0.5, 2.0], "float32")
    depth = g.constant(g.pick(2, 8), g.choice(["int64", "int32"]))
    attributes = {} if g.pick(0, 1) else {"axis": g.choice([-1, 0])}
    return g.add("OneHot", [x, depth, values], exact=True, **attributes)


def sampled(g: Graph) -> Value:
    """A picture sampled at points between its pixels."""
    x = g.some(is_picture)
    if g.opset < 16:
        raise Unfit
    points = g.weight(x.shape[0], g.pick(1, 4), g.pick(1, 4), 2, low=-1.2, high=1.2)
    modes = ["linear", "nearest", "cubic"] if g.opset >= 20 else ["bilinear", "nearest", "bicubic"]
    attributes: dict[str, Any] = {"mode": g.choice(modes)} if g.pick(0, 1) else {}
    if g.pick(0, 1):
        attributes["padding_mode"] = g.choice(["zeros", "border", "reflection"])
    if g.pick(0, 1):
        attributes["align_corners"] = g.pick(0, 1)
    return g.add("GridSample", [x, points], **attributes)


def regions(g: Graph) -> Value:
    """Regions of a picture, resampled to one size."""
    x = g.some(is_picture)
    count = g.pick(1, 3)
    corners = g.rng.uniform(0, 3, (count, 2))
    boxes = g.constant(np.concatenate([corners, corners + g.rng.uniform(1, 6, (count, 2))], axis=1), "float32")
    which = g.constant(g.rng.integers(0, x.shape[0], count), "int64")
    attributes: dict[str, Any] = {"output_height": g.pick(1, 3), "output_width": g.pick(1, 3)}
    if g.pick(0, 1):
        attributes |= {"sampling_ratio": g.pick(0, 2), "spatial_scale": g.choice([1.0, 0.5, 0.25])}
    if g.opset >= 16 and g.pick(0, 1):
        attributes["coordinate_transformation_mode"] = g.choice(["half_pixel", "output_half_pixel"])
    return g.add("RoiAlign", [x, boxes, which], **attributes)


def _seldom(g: Graph) -> Value:
    return g.some(lambda value: is_float(value) and bool(value.shape))


def hardmax(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and value.exact and bool(value.shape))
    if g.pick(0, 1):
        return g.add("Shrink", [x], lambd=0.1, bias=g.choice([0.0, 0.1]))
    return g.add("Hardmax", [x], exact=True, axis=axis_of(g, x))


def reverse_sequence(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) > 1)
    time, batch = g.choice([(0, 1), (1, 0)])
    lengths = g.constant(g.rng.integers(1, x.shape[time] + 1, x.shape[batch]), "int64")
    return g.add("ReverseSequence", [x, lengths], exact=True, time_axis=time, batch_axis=batch)


def group_norm(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) > 2 and value.shape[1] % 2 == 0)
    if g.opset < 21:
        raise Unfit
    return g.add("GroupNormalization", [x, *(g.weight(x.shape[1]) for _ in range(2))], num_groups=2, epsilon=1e-2)


def compress(g: Graph) -> Value:
    """Elements chosen by a constant."""
    x = _seldom(g)
    axis = axis_of(g, x)
    kept = g.rng.integers(0, 2, x.shape[axis]).astype(bool)
    kept[0] = True
    return g.add("Compress", [x, g.constant(kept)], exact=True, axis=axis)


def seldom(g: Graph) -> Value:
    """Functions of numbers that few exporters write."""
    x = _seldom(g)
    op = g.choice(["IsNaN", "Size", "Tan", "Asinh", "LpNormalization", "IsInf"])
    attributes = {"axis": axis_of(g, x), "p": g.choice([1, 2])} if op == "LpNormalization" else {}
    return g.add(op, [x], exact=op in ("IsNaN", "Size", "IsInf"), **attributes)


RARE: tuple[Step, ...] = (
    other_precision, small_integers, branch, branch, loop, quantized_pair, quantized_weights, one_hot, sampled, regions,
    hardmax, reverse_sequence, group_norm, compress, seldom,
)  # fmt: skip
