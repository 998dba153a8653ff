"""Single operators on random values: each function appends one node, with attributes of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.random_graphs.graph import BOOL, DOUBLE, FLOAT, INT64, Graph, Unfit, Value

Step = Callable[[Graph], Value]


def is_float(value: Value) -> bool:
    return value.dtype == "float32"


def is_picture(value: Value) -> bool:
    return is_float(value) and len(value.shape) == 4


def _picture_like(g: Graph) -> Value:
    """Return a float value of [N, C, ...] with one to three axes behind them, two most often."""
    if g.chance(6):
        return g.some(lambda value: is_float(value) and len(value.shape) in (3, 5))
    return g.some(is_picture)


def axis_of(g: Graph, value: Value) -> int:
    """Return an axis, counted from either end."""
    if not value.shape:
        raise Unfit
    axis = g.pick(0, len(value.shape) - 1)
    return axis - len(value.shape) if g.chance(3) else axis


def _axes(g: Graph, value: Value) -> list[int]:
    rank = len(value.shape)
    if not rank:
        raise Unfit
    chosen = [axis for axis in range(rank) if g.pick(0, 1)] or [g.pick(0, rank - 1)]
    return [axis - rank for axis in chosen] if g.chance(4) else chosen


def _broadcast(g: Graph, value: Value, *, low: float = -1.0, high: float = 1.0) -> str:
    """Return a constant that broadcasts to `value`: a scalar, a vector, one number a channel, or the whole shape."""
    shape = value.shape
    forms: list[tuple[int, ...]] = [(), (1,), shape]
    if shape:
        forms += [(shape[-1],), tuple(size if axis == 0 else 1 for axis, size in enumerate(shape))]
    if len(shape) > 1:
        forms += [(shape[1], *[1] * (len(shape) - 2)), (1, shape[1], *[1] * (len(shape) - 2))]
        forms += [(1, *shape), (2, *[1] * len(shape))] if len(shape) < 4 else []
    return g.weight(*g.choice(forms), low=low, high=high)


def unary(g: Graph) -> Value:
    x = g.some(is_float)
    op, since = g.choice([
        ("Relu", 6), ("Sigmoid", 6), ("Tanh", 6), ("LeakyRelu", 6), ("Elu", 6), ("Selu", 6), ("Celu", 12),
        ("Softplus", 1), ("Softsign", 1), ("HardSigmoid", 6), ("HardSwish", 14), ("Mish", 18), ("Gelu", 20),
        ("ThresholdedRelu", 10), ("Exp", 6), ("Erf", 9), ("Abs", 6), ("Neg", 6), ("Sin", 7), ("Cos", 7), ("Atan", 7),
        ("Identity", 1), ("Sinh", 9),
    ])  # fmt: skip
    if g.opset < since:
        raise Unfit
    attributes: dict[str, Any] = {}
    if g.pick(0, 1):
        given = {
            "LeakyRelu": "alpha",
            "Elu": "alpha",
            "Celu": "alpha",
            "HardSigmoid": "alpha",
            "ThresholdedRelu": "alpha",
        }
        if op in given:
            attributes[given[op]] = g.choice([0.1, 0.2, 0.5, 1.0, 1 / 6])
        if op == "Gelu":
            attributes["approximate"] = g.choice(["none", "tanh"])
    if op == "ThresholdedRelu" and not x.exact:
        raise Unfit
    return g.add(op, [x], exact=op in ("Relu", "Abs", "Neg", "Identity", "ThresholdedRelu"), **attributes)


def positive(g: Graph) -> Value:
    """Functions of positive numbers."""
    x = g.some(is_float)
    inside = g.add("Add", [g.add("Abs", [x], exact=True, keep=False), g.constant(0.5, "float32")], keep=False)
    op = g.choice(["Log", "Sqrt", "Reciprocal", "Pow"])
    if op == "Pow":
        exponent = g.choice([0.5, 2.0, 3.0, -1.0, 1.0, 0.0])
        return g.add("Pow", [inside, g.constant(exponent, g.choice(["float32", "float32", "int64"]))])
    return g.add(op, [inside])


def rounding(g: Graph) -> Value:
    """Functions with steps: of values that are the same bits everywhere."""
    x = g.some(lambda value: is_float(value) and value.exact)
    op = g.choice(["Floor", "Ceil", "Sign", "Round"])
    if op == "Round" and g.opset < 11:
        raise Unfit
    return g.add(op, [x], exact=True)


def clip(g: Graph) -> Value:
    x = g.some(is_float)
    low, high = g.choice([(0.0, 6.0), (0.0, 1.0), (-1.0, 1.0), (0.0, None), (None, 0.5), (-0.25, 0.25), (None, None)])
    bounds = ["" if bound is None else g.constant(bound, "float32") for bound in (low, high)]
    while bounds and not bounds[-1] and g.pick(0, 1):
        bounds.pop()
    return g.add("Clip", [x, *bounds], exact=True)


def arithmetic(g: Graph) -> Value:
    x = g.some(is_float)
    op = g.choice(["Add", "Sub", "Mul", "Div", "Add", "Mul", "Max", "Min"])
    other: Value | str
    if g.pick(0, 2):
        other = _broadcast(g, x, low=0.25, high=1.5)
        if op in ("Add", "Sub") and g.chance(4):
            other = g.weight(low=0, high=0)
    else:
        other = g.choice(g.like(x))
        if op == "Div":
            raise Unfit
    if g.chance(3) and op != "Div":
        return g.add(op, [other, x], exact=op in ("Max", "Min"))
    if op == "Div" and g.chance(3):
        return g.add("Div", [other, g.add("Exp", [x], keep=False)])
    return g.add(op, [x, other], exact=op in ("Max", "Min"))


def broadcast_pair(g: Graph) -> Value:
    """Two values of differing shapes."""
    x, y = g.some(is_float), g.some(is_float)
    op = g.choice(["Add", "Mul", "Sub", "Max", "Min"])
    return g.add(op, [x, y], exact=op in ("Max", "Min"))


def variadic(g: Graph) -> Value:
    x = g.some(is_float)
    op = g.choice(["Sum", "Mean", "Max", "Min"])
    others = [g.choice(g.like(x)) if g.pick(0, 2) else _broadcast(g, x) for _ in range(g.pick(0, 2))]
    return g.add(op, [x, *others], exact=op in ("Max", "Min"))


def prelu(g: Graph) -> Value:
    x = g.some(is_float)
    shape = x.shape
    forms: list[tuple[int, ...]] = [(), (1,)]
    if len(shape) > 1:
        forms += [(shape[1], *[1] * (len(shape) - 2)), (shape[-1],)]
    return g.add("PRelu", [x, g.weight(*g.choice(forms))])


def comparison(g: Graph) -> Value:
    x = g.some(lambda value: value.exact and value.dtype in ("float32", "int64"))
    op = g.choice(["Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual"])
    if op.endswith("OrEqual") and g.opset < 12:
        raise Unfit
    other = g.constant(g.choice([0.5, 0.25, 0.0]) if is_float(x) else 3, x.dtype)
    return g.add(op, [x, g.choice([other, g.choice(g.like(x))])], exact=True)


def logic(g: Graph) -> Value:
    x = g.some(lambda value: value.dtype == "bool")
    op = g.choice(["Not", "And", "Or", "Xor"])
    return g.add(op, [x] if op == "Not" else [x, g.choice(g.like(x))], exact=True)


def where(g: Graph) -> Value:
    condition = g.some(lambda value: value.dtype == "bool")
    fit = [value for value in g.values if is_float(value) and value.shape == condition.shape]
    x: Value | str = g.choice(fit) if fit else _broadcast(g, condition)
    return g.add("Where", [condition, x, _broadcast(g, condition)], exact=True)


def cast(g: Graph) -> Value:
    x = g.some(lambda value: value.exact)
    kind = g.choice([FLOAT, FLOAT, INT64, BOOL, DOUBLE])
    made = g.add("Cast", [x], exact=True, to=kind)
    return made if kind != DOUBLE else g.add("Cast", [made], exact=True, to=FLOAT)


def integers(g: Graph) -> Value:
    x = g.some(lambda value: value.dtype == "int64")
    op = g.choice(["Add", "Mul", "Sub", "Div", "Mod", "Max", "Min"])
    constant = g.constant(g.choice([1, 2, 3]), "int64")
    if op in ("Div", "Mod"):
        x = g.add("Abs", [x], exact=True, keep=False)
    return g.add(op, [x, constant], exact=True)


def conv(g: Graph) -> Value:
    x = _picture_like(g)
    channels, *sides = x.shape[1:]
    group = g.choice([1, 1, 1, channels, 2 if channels % 2 == 0 else 1])
    filters = group * g.choice([1, 1, 2]) if group > 1 else g.pick(1, 8)
    kernel = [g.pick(1, min(3, side + 2)) for side in sides] if g.chance(3) else [g.choice([1, 3])] * len(sides)
    inputs: list[Value | str] = [x, g.filters(filters, channels // group, *kernel)]
    inputs += [g.weight(filters)] if g.pick(0, 1) else []
    attributes = _windows(g, kernel, sides)
    if g.chance(4):
        attributes["dilations"] = [g.pick(1, 3) for _ in sides]
    if group > 1 or g.pick(0, 1):
        attributes["group"] = group
    return g.add("Conv", inputs, **attributes)


def _windows(g: Graph, kernel: list[int], sides: list[int]) -> dict[str, Any]:
    """Return strides and padding, written in one of the ways there are."""
    attributes: dict[str, Any] = {}
    if g.pick(0, 1):
        attributes["kernel_shape"] = kernel
    if g.chance(3):
        attributes["strides"] = [g.pick(1, 2) for _ in sides] if g.chance(3) else [2] * len(sides)
    kind = g.pick(0, 4)
    if kind == 0:
        attributes["auto_pad"] = g.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif kind == 1:
        attributes["pads"] = [g.pick(0, max(0, size - 1)) for size in kernel + kernel]
    elif kind < 4:
        attributes["pads"] = [size // 2 for size in kernel] * 2
    return attributes


def conv_transpose(g: Graph) -> Value:
    x = _picture_like(g)
    channels, *sides = x.shape[1:]
    group = g.choice([1, 1, channels])
    kernel = [g.pick(1, 3) for _ in sides]
    inputs: list[Value | str] = [x, g.weight(channels, g.pick(1, 3), *kernel, low=-0.4, high=0.4)]
    attributes: dict[str, Any] = {"group": group, "strides": [g.pick(1, 3) for _ in sides]}
    if g.chance(3):
        attributes["pads"] = [g.pick(0, size // 2) for size in kernel] * 2
    if g.chance(3):
        attributes["output_padding"] = [g.pick(0, stride - 1) for stride in attributes["strides"]]
    if g.chance(5):
        attributes["dilations"] = [g.pick(1, 2) for _ in sides]
    if g.chance(6):
        attributes["auto_pad"] = g.choice(["SAME_UPPER", "SAME_LOWER"])
        attributes.pop("pads", None)
    return g.add("ConvTranspose", inputs, **attributes)


def pool(g: Graph) -> Value:
    x = _picture_like(g)
    sides = list(x.shape[2:])
    op = g.choice(["MaxPool", "MaxPool", "AveragePool", "AveragePool", "LpPool"])
    kernel = [g.pick(1, min(3, side)) for side in sides] if g.chance(3) else [g.choice([2, 3])] * len(sides)
    attributes = {**_windows(g, kernel, sides), "kernel_shape": kernel}
    if g.chance(4) and (op != "LpPool" or g.opset >= 18):
        attributes["ceil_mode"] = 1
    if op == "AveragePool" and g.pick(0, 1):
        attributes["count_include_pad"] = g.pick(0, 1)
    if op == "MaxPool" and g.chance(5):
        attributes["dilations"] = [g.pick(1, 2) for _ in sides]
    return g.add(op, [x], exact=op == "MaxPool", **attributes)


def global_pool(g: Graph) -> Value:
    op = g.choice(["GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
    return g.add(op, [_picture_like(g)], exact=op == "GlobalMaxPool")


def normalization(g: Graph) -> Value:
    x = _picture_like(g)
    channels = x.shape[1]
    scale, bias = g.weight(channels, low=0.5, high=1.5), g.weight(channels)
    kind = g.pick(0, 4)
    if kind < 3:
        statistics = [g.weight(channels, low=-0.5, high=0.5), g.weight(channels, low=0.5, high=2.0)]
        return g.add("BatchNormalization", [x, scale, bias, *statistics], epsilon=g.choice([1e-5, 1e-3]))
    if kind == 3:
        return g.add("InstanceNormalization", [x, scale, bias], epsilon=1e-2)
    return g.add("LRN", [x], size=g.choice([1, 3]), alpha=0.1)


def layer_norm(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) > 1 and value.shape[-1] > 1)
    if g.opset < 17:
        raise Unfit
    axis = g.choice([-1, -1, len(x.shape) - 1, max(1, len(x.shape) - 2)])
    shape = x.shape[axis:]
    inputs: list[Value | str] = [x, g.weight(*shape, low=0.5, high=1.5)]
    inputs += [g.weight(*shape)] if g.pick(0, 1) else []
    return g.add("LayerNormalization", inputs, axis=axis, epsilon=1e-2)


def gemm(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) == 2)
    flip = g.chance(5)
    rows, depth = x.shape[::-1] if flip else x.shape
    columns, turned = g.pick(1, 6), g.pick(0, 1)
    inputs: list[Value | str] = [x, g.filters(*((columns, depth) if turned else (depth, columns)))]
    if g.pick(0, 2):
        inputs.append(g.weight(*g.choice([(columns,), (1, columns), (), (rows, 1), (rows, columns)])))
    attributes: dict[str, Any] = {"transB": turned}
    if flip:
        attributes["transA"] = 1
    if g.chance(4):
        attributes |= {"alpha": 0.5, "beta": 2.0}
    return g.add("Gemm", inputs, **attributes)


def matmul(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) >= 1)
    depth = x.shape[-1]
    kind = g.pick(0, 3)
    if kind == 0:
        fit = [other for other in g.values if is_float(other) and len(other.shape) > 1 and other.shape[-2] == depth]
        if fit:
            return g.add("MatMul", [x, g.choice(fit)])
    if kind == 1 and len(x.shape) > 1:
        return g.add("MatMul", [g.filters(g.pick(1, 5), x.shape[-2]), x])
    shape = g.choice([(depth, g.pick(1, 6)), (depth, g.pick(1, 6)), (depth,)])
    if len(x.shape) > 2 and g.chance(4):
        shape = (*x.shape[:-2], *shape[-2:]) if len(shape) == 2 else shape
    return g.add("MatMul", [x, g.weight(*shape, low=-0.6, high=0.6)])


def softmax(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and bool(value.shape))
    attributes = {} if g.chance(3) else {"axis": axis_of(g, x)}
    return g.add(g.choice(["Softmax", "Softmax", "LogSoftmax"]), [x], **attributes)


def reduction(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and bool(value.shape))
    op = g.choice([
        "ReduceMean", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare",
        "ReduceLogSumExp", "ReduceProd",
    ])  # fmt: skip
    attributes: dict[str, Any] = {}
    if g.pick(0, 1):
        attributes["keepdims"] = g.pick(0, 1)
    inputs: list[Value | str] = [x]
    by_input = g.opset >= (13 if op == "ReduceSum" else 18)
    if not g.chance(5):
        axes = _axes(g, x)
        if by_input:
            inputs.append(g.ints(*axes))
        else:
            attributes["axes"] = axes
    elif by_input and g.chance(3):
        attributes["noop_with_empty_axes"] = g.pick(0, 1)
    return g.add(op, inputs, exact=op in ("ReduceMax", "ReduceMin"), **attributes)


def arg(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and value.exact and bool(value.shape))
    attributes: dict[str, Any] = {"axis": axis_of(g, x), "keepdims": g.pick(0, 1)}
    if g.opset >= 12 and g.chance(3):
        attributes["select_last_index"] = 1
    return g.add(g.choice(["ArgMax", "ArgMin"]), [x], exact=True, **attributes)


def top_k(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and value.exact and bool(value.shape))
    axis = axis_of(g, x)
    attributes: dict[str, Any] = {"axis": axis}
    if g.pick(0, 1):
        attributes |= {"largest": g.pick(0, 1), "sorted": 1}
    return g.add("TopK", [x, g.ints(g.pick(1, x.shape[axis]))], outputs=2, exact=True, **attributes)


def cum_sum(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and bool(value.shape))
    attributes = {"exclusive": g.pick(0, 1), "reverse": g.pick(0, 1)} if g.pick(0, 1) else {}
    return g.add("CumSum", [x, g.constant(axis_of(g, x), "int64")], **attributes)


def transpose(g: Graph) -> Value:
    x = g.some(lambda value: len(value.shape) > 1)
    rank = len(x.shape)
    if g.chance(6):
        return g.add("Transpose", [x], exact=True)
    usual = {4: [[0, 2, 3, 1], [0, 3, 1, 2], [0, 2, 1, 3]], 3: [[0, 2, 1]]}.get(rank, [])
    perm = g.choice(usual) if usual and g.pick(0, 2) else [int(axis) for axis in g.rng.permutation(rank)]
    return g.add("Transpose", [x], exact=True, perm=perm)


def reshape(g: Graph) -> Value:
    x = g.some(lambda value: value.sample.size > 0)
    kind = g.pick(0, 4)
    if kind == 0:
        if not x.shape:
            raise Unfit
        return g.add("Flatten", [x], exact=True, axis=g.pick(-len(x.shape) if g.opset > 10 else 0, len(x.shape)))
    sizes = list(x.shape)
    if kind == 1 and len(sizes) > 1:
        at = g.pick(0, len(sizes) - 2)
        sizes[at : at + 2] = [sizes[at] * sizes[at + 1]]
    elif kind == 2 and sizes:
        at = g.pick(0, len(sizes) - 1)
        factor = g.choice([size for size in (2, 3, 4, 1) if sizes[at] % size == 0])
        sizes[at : at + 1] = g.choice([[factor, sizes[at] // factor], [sizes[at] // factor, factor]])
    elif kind == 3:
        sizes = [1, *sizes] if g.pick(0, 1) or len(sizes) < 1 else [sizes[0], int(np.prod(sizes[1:], dtype=int))]
    written = list(sizes)
    if written and g.pick(0, 1):
        written[g.pick(0, len(written) - 1)] = -1
    if g.chance(3):
        for at, size in enumerate(written):
            if at < len(x.shape) and size == x.shape[at] and g.pick(0, 1):
                written[at] = 0
    return g.add("Reshape", [x, g.ints(*written)], exact=True)


def squeeze(g: Graph) -> Value:
    x = g.some(lambda value: 1 in value.shape)
    axes = [axis for axis, size in enumerate(x.shape) if size == 1]
    chosen = [axis for axis in axes if g.pick(0, 1)] or axes
    if g.chance(6):
        return g.add("Squeeze", [x], exact=True)
    if g.opset >= 13:
        return g.add("Squeeze", [x, g.ints(*chosen)], exact=True)
    return g.add("Squeeze", [x], exact=True, axes=chosen)


def unsqueeze(g: Graph) -> Value:
    x = g.some(lambda value: len(value.shape) < 4)
    axes = [g.choice([0, len(x.shape), g.pick(0, len(x.shape)), -1])]
    if g.chance(5) and len(x.shape) < 3:
        axes = [0, len(x.shape) + 1]
    if g.opset >= 13:
        return g.add("Unsqueeze", [x, g.ints(*axes)], exact=True)
    return g.add("Unsqueeze", [x], exact=True, axes=axes)


def concat(g: Graph) -> Value:
    x = g.some(lambda value: bool(value.shape))
    axis = axis_of(g, x)
    at = axis % len(x.shape)
    fit = [
        other
        for other in g.values
        if other.dtype == x.dtype
        and len(other.shape) == len(x.shape)
        and all(a == b or index == at for index, (a, b) in enumerate(zip(other.shape, x.shape, strict=True)))
    ]
    parts: list[Value | str] = [x, *(g.choice(fit) for _ in range(g.pick(0, 2)))]
    if is_float(x) and g.chance(3):
        shape = [g.pick(1, 3) if index == at else size for index, size in enumerate(x.shape)]
        parts.insert(g.pick(0, len(parts)), g.weight(*shape))
    return g.add("Concat", parts, exact=True, axis=axis)


def split(g: Graph) -> Value:
    x = g.some(lambda value: any(size > 1 for size in value.shape))
    axis = g.choice([axis for axis, size in enumerate(x.shape) if size > 1])
    size = x.shape[axis]
    parts = g.choice([count for count in (2, 3, 4, 2) if count <= size])
    written = axis - len(x.shape) if g.chance(4) else axis
    even = size % parts == 0
    if even and g.pick(0, 1):
        count = {"num_outputs": parts} if g.opset >= 18 else {}
        return g.add("Split", [x], outputs=parts, exact=True, axis=written, **count)
    if g.opset >= 18 and g.chance(3):
        return g.add("Split", [x], outputs=parts, exact=True, axis=written, num_outputs=parts)
    sizes = [1] * (parts - 1) + [size - parts + 1]
    if g.opset >= 13:
        return g.add("Split", [x, g.ints(*sizes)], outputs=parts, exact=True, axis=written)
    return g.add("Split", [x], outputs=parts, exact=True, axis=written, split=sizes)


def slice_(g: Graph) -> Value:
    x = g.some(lambda value: bool(value.shape))
    axes = _axes(g, x)
    starts, ends, steps = [], [], []
    for axis in axes:
        size = x.shape[axis]
        step = g.choice([1, 1, 1, 2, -1])
        start, end = g.pick(0, size - 1), size if g.pick(0, 1) else 2**63 - 1
        if step < 0:
            start, end = (-1, -(2**63) + 1) if g.pick(0, 1) else (size - 1, -size - 1)
        elif g.chance(3) and size > 1:
            start, end = 0, -1
        starts.append(start)
        ends.append(end)
        steps.append(step)
    inputs: list[Value | str] = [x, g.ints(*starts), g.ints(*ends)]
    all_axes = axes == list(range(len(axes)))
    if not (all_axes and all(step == 1 for step in steps) and g.pick(0, 1)):
        inputs.append(g.ints(*axes))
        inputs += [g.ints(*steps)] if any(step != 1 for step in steps) or g.pick(0, 1) else []
    return g.add("Slice", inputs, exact=True)


def gather(g: Graph) -> Value:
    x = g.some(lambda value: bool(value.shape))
    axis = axis_of(g, x)
    size = x.shape[axis]
    low = -size if g.chance(3) else 0
    shape = g.choice([(), (1,), (g.pick(1, 4),), (2, 2)])
    indices = g.rng.integers(low, size, shape)
    return g.add("Gather", [x, g.constant(indices, g.choice(["int64", "int64", "int32"]))], exact=True, axis=axis)


def gather_elements(g: Graph) -> Value:
    x = g.some(lambda value: bool(value.shape))
    axis = axis_of(g, x)
    indices = g.rng.integers(-x.shape[axis] if g.chance(3) else 0, x.shape[axis], x.shape)
    return g.add("GatherElements", [x, g.constant(indices, "int64")], exact=True, axis=axis)


def gather_nd(g: Graph) -> Value:
    x = g.some(lambda value: len(value.shape) > 1)
    depth = g.pick(1, len(x.shape))
    indices = np.stack([g.rng.integers(0, size, 3) for size in x.shape[:depth]], axis=-1)
    return g.add("GatherND", [x, g.constant(indices, "int64")], exact=True)


def scatter(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) > 1)
    if g.pick(0, 1):
        axis = axis_of(g, x)
        indices = np.broadcast_to(
            np.arange(1).reshape([1] * len(x.shape)),
            [1 if i == axis % len(x.shape) else s for i, s in enumerate(x.shape)],
        )
        return g.add(
            "ScatterElements", [x, g.constant(indices, "int64"), g.weight(*indices.shape)], exact=True, axis=axis
        )
    indices = g.rng.permutation(x.shape[0])[: g.pick(1, x.shape[0])].reshape(-1, 1)
    return g.add("ScatterND", [x, g.constant(indices, "int64"), g.weight(len(indices), *x.shape[1:])], exact=True)


def pad(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and bool(value.shape))
    rank = len(x.shape)
    mode = g.choice(["constant", "constant", "edge", "reflect"])
    moved = range(rank) if g.chance(4) else range(max(0, rank - 2), rank)
    before, after = [0] * rank, [0] * rank
    for axis in moved:
        most = min(2, x.shape[axis] - 1) if mode == "reflect" else 2
        before[axis], after[axis] = g.pick(0, most), g.pick(0, most)
    if g.chance(6) and mode == "constant" and rank and x.shape[-1] > 2:
        before[-1] = -1
    inputs: list[Value | str] = [x, g.ints(*before, *after)]
    if mode == "constant" and g.pick(0, 1):
        inputs.append(g.constant(g.choice([0.0, 0.0, 0.5, -1.0]), "float32"))
    attributes = {} if mode == "constant" and g.pick(0, 1) else {"mode": mode}
    return g.add("Pad", inputs, exact=True, **attributes)


def tile(g: Graph) -> Value:
    x = g.some(lambda value: bool(value.shape))
    if g.pick(0, 1):
        return g.add("Tile", [x, g.ints(*(g.pick(1, 2) for _ in x.shape))], exact=True)
    target = [g.pick(1, 3) if size == 1 and g.pick(0, 1) else size for size in x.shape]
    if g.chance(3):
        target = [g.pick(1, 2), *target]
    return g.add("Expand", [x, g.ints(*target)], exact=True)


def depth_to_space(g: Graph) -> Value:
    x = g.some(is_picture)
    if x.shape[1] % 4 == 0 and g.pick(0, 1):
        attributes = {} if g.chance(3) else {"mode": g.choice(["DCR", "CRD"])}
        return g.add("DepthToSpace", [x], exact=True, blocksize=2, **attributes)
    return g.add("SpaceToDepth", [x], exact=True, blocksize=2)


def resize(g: Graph) -> Value:
    x = g.some(is_picture)
    mode = g.choice(["nearest", "nearest", "linear", "linear", "cubic"])
    attributes: dict[str, Any] = {"mode": mode}
    coordinates = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    if g.opset >= 19:
        coordinates.append("half_pixel_symmetric")
    if g.pick(0, 2):
        attributes["coordinate_transformation_mode"] = g.choice(coordinates)
    if mode == "nearest" and g.pick(0, 1):
        attributes["nearest_mode"] = g.choice(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
    if mode == "cubic" and g.pick(0, 1):
        attributes |= {"cubic_coeff_a": g.choice([-0.5, -0.75]), "exclude_outside": g.pick(0, 1)}
    if g.opset >= 18 and mode != "nearest" and g.chance(6):
        attributes["antialias"] = 1
    roi = g.choice(["", g.constant(np.zeros(0), "float32")])
    height, width = x.shape[2:]
    if g.pick(0, 1):
        scales = g.choice([[2.0, 2.0], [2.0, 2.0], [0.5, 0.5], [1.5, 1.0], [3.0, 2.0]])
        return g.add("Resize", [x, roi, g.constant([1, 1, *scales], "float32")], **attributes)
    sizes = g.choice([[height * 2, width * 2], [g.pick(1, 8), g.pick(1, 8)]])
    empty = g.constant(np.zeros(0), "float32") if g.opset < 13 and g.pick(0, 1) else ""
    return g.add("Resize", [x, roi, empty, g.ints(*x.shape[:2], *sizes)], **attributes)


def trilu(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) > 1)
    if g.opset < 14:
        raise Unfit
    inputs: list[Value | str] = [x] + ([g.constant(g.pick(-1, 2), "int64")] if g.pick(0, 1) else [])
    return g.add("Trilu", inputs, exact=True, **({"upper": g.pick(0, 1)} if g.pick(0, 1) else {}))


def einsum(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) in (2, 3, 4))
    if g.opset < 12:
        raise Unfit
    letters = "bijk"[: len(x.shape)]
    depth = x.shape[-1]
    kind = g.pick(0, 2)
    if kind == 0:
        return g.add("Einsum", [x, g.filters(4, depth)], equation=f"{letters},o{letters[-1]}->{letters[:-1]}o")
    if kind == 1:
        return g.add("Einsum", [x], equation=f"{letters}->{letters[::-1]}")
    return g.add("Einsum", [x, g.choice(g.like(x))], equation=f"{letters},{letters}->{letters[:-1]}")


def dropout(g: Graph) -> Value:
    x = g.some(is_float)
    if g.opset < 12:
        return g.add("Dropout", [x], exact=True, ratio=0.5)
    return g.add("Dropout", [x, *([g.constant(0.5, "float32")] if g.pick(0, 1) else [])], exact=True)


SINGLE: tuple[Step, ...] = (
    unary, unary, unary, positive, rounding, clip, clip, arithmetic, arithmetic, arithmetic, broadcast_pair, variadic,
    prelu, comparison, logic, where, where, cast, integers, conv, conv, conv, conv, conv_transpose, pool, pool,
    global_pool, normalization, normalization, layer_norm, gemm, gemm, matmul, matmul, softmax, reduction, reduction,
    arg, top_k, cum_sum, transpose, transpose, reshape, reshape, squeeze, unsqueeze, concat, concat, split, slice_,
    slice_, gather, gather_elements, gather_nd, scatter, pad, tile, depth_to_space, resize, trilu, einsum, dropout,
)  # fmt: skip
"""Every operator, the usual ones several times."""
