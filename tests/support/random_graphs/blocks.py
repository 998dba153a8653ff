"""Compositions of vision networks, as exporters write them: each function appends one."""

from __future__ import annotations

import numpy as np

from tests.support.random_graphs.graph import FLOAT, Graph, Unfit, Value
from tests.support.random_graphs.operators import Step, is_float, is_picture


def _conv(g: Graph, x: Value, filters: int, kernel: int = 1, *, group: int = 1, bias: bool = True) -> Value:
    inputs: list[Value | str] = [x, g.filters(filters, x.shape[1] // group, kernel, kernel)]
    inputs += [g.weight(filters)] if bias else []
    return g.add("Conv", inputs, pads=[kernel // 2] * 4, group=group, kernel_shape=[kernel, kernel])


def _norm(g: Graph, x: Value) -> Value:
    size = x.shape[1]
    parameters = [g.weight(size, low=0.5, high=1.5), g.weight(size), g.weight(size), g.weight(size, low=0.5, high=2)]
    return g.add("BatchNormalization", [x, *parameters], epsilon=1e-3)


def _relu6(g: Graph, x: Value) -> Value:
    return g.add("Clip", [x, g.constant(0.0, "float32"), g.constant(6.0, "float32")], exact=True)


def _silu(g: Graph, x: Value) -> Value:
    gate = g.add("Sigmoid", [x])
    return g.add("Mul", [x, gate] if g.pick(0, 1) else [gate, x])


def _hard_sigmoid(g: Graph, x: Value) -> Value:
    return g.add("Div", [_relu6(g, g.add("Add", [x, g.constant(3.0, "float32")])), g.constant(6.0, "float32")])


def _hard_swish(g: Graph, x: Value) -> Value:
    if g.pick(0, 1):
        return g.add("Mul", [x, _hard_sigmoid(g, x)])
    if g.pick(0, 1):
        return g.add("Mul", [x, g.add("HardSigmoid", [x], alpha=1 / 6, beta=0.5)])
    inner = _relu6(g, g.add("Add", [x, g.constant(3.0, "float32")]))
    return g.add("Div", [g.add("Mul", [x, inner]), g.constant(6.0, "float32")])


def _gelu(g: Graph, x: Value) -> Value:
    inner = g.add("Erf", [g.add("Div", [x, g.constant(2.0**0.5, "float32")])])
    inner = g.add("Mul", [x, g.add("Add", [inner, g.constant(1.0, "float32")])])
    return g.add("Mul", [inner, g.constant(0.5, "float32")])


def _gelu_by_tanh(g: Graph, x: Value) -> Value:
    cubed = g.add("Mul", [g.add("Pow", [x, g.constant(3.0, "float32")]), g.constant(0.044715, "float32")])
    inner = g.add("Tanh", [g.add("Mul", [g.add("Add", [x, cubed]), g.constant(0.7978845, "float32")])])
    half = g.add("Mul", [x, g.constant(0.5, "float32")])
    return g.add("Mul", [half, g.add("Add", [inner, g.constant(1.0, "float32")])])


def _mish(g: Graph, x: Value) -> Value:
    return g.add("Mul", [x, g.add("Tanh", [g.add("Softplus", [x])])])


ACTIVATIONS = (
    lambda g, x: g.add("Relu", [x], exact=True),
    lambda g, x: g.add("LeakyRelu", [x], alpha=0.1),
    *(_relu6, _silu, _silu, _hard_sigmoid, _hard_swish, _hard_swish, _gelu, _gelu_by_tanh, _mish),
)


def activation(g: Graph, x: Value | None = None) -> Value:
    """An activation, whole or in the parts that exporters make of it."""
    return g.choice(ACTIVATIONS)(g, x or g.some(is_float))


def conv_norm_act(g: Graph) -> Value:
    x = g.some(is_picture)
    x = _norm(g, _conv(g, x, g.pick(1, 8), g.choice([1, 3]), bias=g.chance(3)))
    return activation(g, x)


def residual(g: Graph) -> Value:
    x = g.some(is_picture)
    y = _conv(g, activation(g, _conv(g, x, g.pick(2, 6))), x.shape[1], 3)
    return g.add("Relu", [g.add("Add", [x, y] if g.pick(0, 1) else [y, x])], exact=True)


def inverted_bottleneck(g: Graph) -> Value:
    x = g.some(is_picture)
    channels = x.shape[1]
    y = activation(g, _norm(g, _conv(g, x, 2 * channels)))
    y = activation(g, _norm(g, _conv(g, y, 2 * channels, 3, group=2 * channels)))
    if g.pick(0, 1):
        y = squeeze_excite(g, y)
    return g.add("Add", [x, _norm(g, _conv(g, y, channels))])


def squeeze_excite(g: Graph, x: Value | None = None) -> Value:
    x = x or g.some(is_picture)
    if g.pick(0, 1):
        squeezed = g.add("GlobalAveragePool", [x])
    elif g.opset >= 18:
        squeezed = g.add("ReduceMean", [x, g.ints(2, 3)], keepdims=1)
    else:
        squeezed = g.add("ReduceMean", [x], axes=[-2, -1] if g.pick(0, 1) else [2, 3], keepdims=1)
    gate = _conv(g, g.add("Relu", [_conv(g, squeezed, max(1, x.shape[1] // 2))]), x.shape[1])
    gate = g.add("HardSigmoid", [gate], alpha=1 / 6) if g.pick(0, 1) else g.add("Sigmoid", [gate])
    return g.add("Mul", [x, gate] if g.pick(0, 1) else [gate, x])


def channel_shuffle(g: Graph) -> Value:
    x = g.some(lambda value: is_picture(value) and value.shape[1] % 2 == 0)
    n, c, h, w = x.shape
    y = g.add("Reshape", [x, g.ints(n, 2, c // 2, h, w)], exact=True)
    y = g.add("Transpose", [y], exact=True, perm=[0, 2, 1, 3, 4])
    return g.add("Reshape", [y, g.choice([g.ints(n, c, h, w), g.ints(0, -1, h, w)])], exact=True)


def branches(g: Graph) -> Value:
    """Halves of a split, what is made of the second, all side by side (C2f), or pools of pools (SPPF)."""
    x = g.some(lambda value: is_picture(value) and value.shape[1] % 2 == 0)
    half = x.shape[1] // 2
    if g.pick(0, 1):
        pooled = [x]
        for _ in range(2):
            pooled.append(g.add("MaxPool", [pooled[-1]], exact=True, kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1]))
        return _conv(g, g.add("Concat", pooled, exact=True, axis=1), x.shape[1])
    extra = {"num_outputs": 2} if g.opset >= 18 else {}
    first, second = g.outputs_of(g.add("Split", [x], outputs=2, exact=True, axis=1, **extra))
    third = _conv(g, second, half, 3)
    if g.pick(0, 1):
        third = g.add("Add", [second, third])
    return g.add("Concat", [first, second, third], exact=True, axis=1)


def focus(g: Graph) -> Value:
    x = g.some(lambda value: is_picture(value) and value.shape[2] % 2 == 0 and value.shape[3] % 2 == 0)
    parts: list[Value | str] = []
    big = 2**31 - 1
    for column in (0, 1):
        for row in (0, 1):
            part = g.add("Slice", [x, g.ints(row), g.ints(big), g.ints(2), g.ints(2)], exact=True, keep=False)
            parts.append(g.add("Slice", [part, g.ints(column), g.ints(big), g.ints(3), g.ints(2)], exact=True))
    return g.add("Concat", parts, exact=True, axis=1)


def upsample_concat(g: Graph) -> Value:
    x = g.some(lambda value: is_picture(value) and max(value.shape[2:]) < 12)
    up = g.add("Resize", [x, "", g.constant([1, 1, 2, 2], "float32")], exact=True, mode="nearest",
               coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    fit = [
        value
        for value in g.values
        if is_picture(value) and value.shape[2:] == up.shape[2:] and value.shape[0] == up.shape[0]
    ]
    return g.add("Concat", [up, g.choice(fit)], exact=True, axis=1)


def tokens(g: Graph) -> Value:
    """A picture as a row of tokens, a class token before them, positions added."""
    x = g.some(is_picture)
    n, c = x.shape[:2]
    y = g.add("Reshape", [x, g.choice([g.ints(n, c, -1), g.ints(0, 0, -1)])], exact=True)
    y = g.add("Transpose", [y], exact=True, perm=[0, 2, 1])
    if g.pick(0, 1):
        token: Value | str = g.weight(n, 1, c)
        if g.chance(3):
            token = g.add("Expand", [g.weight(1, 1, c), g.ints(n, -1 if False else 1, c)], exact=True)
        y = g.add("Concat", [token, y], exact=True, axis=1)
    return g.add("Add", [y, g.weight(1, y.shape[1], c)]) if g.pick(0, 1) else y


def attention(g: Graph) -> Value:
    """Attention of two heads over [N, L, C], q, k and v in one product or three."""
    x = g.some(
        lambda value: is_float(value) and len(value.shape) == 3 and value.shape[2] % 2 == 0 and value.shape[1] > 1
    )
    n, length, width = x.shape
    depth = width // 2
    if g.pick(0, 1):
        qkv = g.add("MatMul", [x, g.weight(width, 3 * width, low=-0.5, high=0.5)])
        if g.pick(0, 1):
            qkv = g.add("Add", [g.weight(3 * width), qkv])
        qkv = g.add("Transpose", [g.add("Reshape", [qkv, g.ints(n, length, 3, 2, depth)])], perm=[2, 0, 3, 1, 4])
        if g.pick(0, 1):
            q, k, v = (g.add("Gather", [qkv, g.constant(index, "int64")], axis=0) for index in range(3))
        else:
            parts = g.outputs_of(
                g.add("Split", [qkv], outputs=3, axis=0, **({"num_outputs": 3} if g.opset >= 18 else {}))
            )
            q, k, v = (_squeezed(g, part) for part in parts)
    else:
        made = [g.add("MatMul", [x, g.weight(width, width, low=-0.5, high=0.5)]) for _ in range(3)]
        q, k, v = (
            g.add("Transpose", [g.add("Reshape", [y, g.ints(n, length, 2, depth)])], perm=[0, 2, 1, 3]) for y in made
        )
    scores = g.add("MatMul", [q, g.add("Transpose", [k], perm=[0, 1, 3, 2])])
    scores = g.add(
        g.choice(["Mul", "Div"]), [scores, g.constant(float(depth) ** -0.5 if g.pick(0, 1) else 2.0, "float32")]
    )
    if g.chance(3):
        scores = g.add("Add", [scores, g.weight(1, 1, length, length)])
    mixed = g.add(
        "Transpose",
        [g.add("MatMul", [g.add("Softmax", [scores], axis=-1 if g.pick(0, 1) else 3), v])],
        perm=[0, 2, 1, 3],
    )
    y = g.add("Reshape", [mixed, g.ints(n, length, width)])
    return g.add("Add", [x, g.add("MatMul", [y, g.weight(width, width, low=-0.5, high=0.5)])])


def _squeezed(g: Graph, x: Value) -> Value:
    return g.add("Squeeze", [x, g.ints(0)]) if g.opset >= 13 else g.add("Squeeze", [x], axes=[0])


def decomposed_layer_norm(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) > 1 and value.shape[-1] > 1)

    def mean(value: Value) -> Value:
        if g.opset >= 18:
            return g.add("ReduceMean", [value, g.ints(-1)], keepdims=1)
        return g.add("ReduceMean", [value], axes=[-1], keepdims=1)

    centred = g.add("Sub", [x, mean(x)])
    squared = g.add("Pow", [centred, g.constant(2.0, "float32")]) if g.pick(0, 1) else g.add("Mul", [centred, centred])
    deviation = g.add("Sqrt", [g.add("Add", [mean(squared), g.constant(1e-2, "float32")])])
    y = g.add("Div", [centred, deviation])
    return g.add("Add", [g.add("Mul", [y, g.weight(x.shape[-1])]), g.weight(x.shape[-1])])


def mlp(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) in (2, 3))
    width, hidden = x.shape[-1], g.pick(2, 8)
    y = g.add("Add", [g.add("MatMul", [x, g.weight(width, hidden, low=-0.5, high=0.5)]), g.weight(hidden)])
    y = g.add("MatMul", [activation(g, y), g.weight(hidden, width, low=-0.5, high=0.5)])
    return g.add("Add", [x, y])


def windows(g: Graph) -> Value:
    """A picture cut into windows (Swin), or into patches whose pixels become channels."""
    x = g.some(lambda value: is_picture(value) and value.shape[2] % 2 == 0 and value.shape[3] % 2 == 0)
    n, c, h, w = x.shape
    y = g.add("Reshape", [x, g.ints(n, c, h // 2, 2, w // 2, 2)], exact=True)
    perm = g.choice([[0, 2, 4, 3, 5, 1], [0, 1, 3, 5, 2, 4]])
    y = g.add("Transpose", [y], exact=True, perm=perm)
    shape = [n * h * w // 4, 4, c] if perm[1] == 2 else [n, 4 * c, h // 2, w // 2]
    return g.add("Reshape", [y, g.ints(*shape)], exact=True)


def roll(g: Graph) -> Value:
    """A cyclic shift: two slices the other way round."""
    x = g.some(lambda value: is_float(value) and len(value.shape) > 1 and value.shape[1] > 1)
    parts: list[Value | str] = [
        g.add("Slice", [x, g.ints(1), g.ints(2**63 - 1), g.ints(1)], exact=True),
        g.add("Slice", [x, g.ints(0), g.ints(1), g.ints(1)], exact=True),
    ]
    return g.add("Concat", parts, exact=True, axis=1)


def shape_arithmetic(g: Graph) -> Value:
    """A reshape, an expansion or a resize whose sizes are computed from a value's own shape."""
    x = g.some(lambda value: is_float(value) and len(value.shape) > 1)
    shape = g.add("Shape", [x], exact=True, keep=False)

    def size(axis: int) -> Value:
        if g.pick(0, 1):
            taken = g.add("Gather", [shape, g.constant(axis, "int64")], exact=True, axis=0, keep=False)
            if g.opset >= 13:
                return g.add("Unsqueeze", [taken, g.ints(0)], exact=True, keep=False)
            return g.add("Unsqueeze", [taken], exact=True, axes=[0], keep=False)
        return g.add("Slice", [shape, g.ints(axis), g.ints(axis + 1), g.ints(0)], exact=True, keep=False)

    kind = g.pick(0, 3)
    if kind == 0:
        rest = g.ints(-1)
        target = g.add("Concat", [size(0), rest], exact=True, axis=0, keep=False)
        return g.add("Reshape", [x, target], exact=True)
    if kind == 1:
        area = g.add("Mul", [size(len(x.shape) - 2), size(len(x.shape) - 1)], exact=True, keep=False)
        parts: list[Value | str] = [*(size(axis) for axis in range(len(x.shape) - 2)), area]
        return g.add("Reshape", [x, g.add("Concat", parts, exact=True, axis=0, keep=False)], exact=True)
    if kind == 2:
        filled = g.add("ConstantOfShape", [shape], exact=True, keep=False,
                       value=_tensor(g.choice([0.0, 1.0, 0.5])))  # fmt: skip
        return g.add("Add", [x, filled])
    if not is_picture(x) or max(x.shape[2:]) > 10:
        raise Unfit
    if g.pick(0, 1):
        doubled = g.add("Mul", [size(2), g.ints(2)], exact=True, keep=False)
        sizes = g.add("Concat", [size(0), size(1), doubled, size(3)], exact=True, axis=0, keep=False)
        empty = g.constant(np.zeros(0), "float32") if g.opset < 13 else ""
        return g.add("Resize", [x, empty, empty, sizes], mode="nearest", coordinate_transformation_mode="asymmetric")
    as_float = g.add("Cast", [size(2)], exact=True, keep=False, to=FLOAT)
    scaled = g.add(
        "Floor",
        [g.add("Mul", [as_float, g.constant([1.5], "float32")], exact=True, keep=False)],
        exact=True,
        keep=False,
    )
    whole = g.add("Cast", [scaled], exact=True, keep=False, to=7)
    target = g.add("Concat", [size(0), size(1), whole, size(3)], exact=True, axis=0, keep=False)
    return g.add(
        "Resize",
        [
            x,
            "" if g.opset >= 13 else g.constant(np.zeros(0), "float32"),
            "" if g.opset >= 13 else g.constant(np.zeros(0), "float32"),
            target,
        ],
        mode="linear",
    )


def _tensor(value: float) -> object:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array([value], np.float32))


def grid(g: Graph) -> Value:
    """Cell coordinates from Range, as heads of detectors add them to their offsets."""
    x = g.some(lambda value: is_float(value) and len(value.shape) > 1)
    width = x.shape[-1]
    steps = g.add(
        "Range", [g.constant(0, "int64"), g.constant(width, "int64"), g.constant(1, "int64")], exact=True, keep=False
    )
    return g.add("Add", [x, g.add("Cast", [steps], exact=True, keep=False, to=FLOAT)])


def distribution_head(g: Graph) -> Value:
    """Expected bins of a softmax, as boxes are read from distributions."""
    x = g.some(lambda value: is_picture(value) and value.shape[1] % 4 == 0)
    n, c, h, w = x.shape
    y = g.add("Reshape", [x, g.ints(n, 4, c // 4, h * w)], exact=True)
    y = g.add("Softmax", [g.add("Transpose", [y], exact=True, perm=[0, 2, 1, 3])], axis=1)
    bins = g.constant(np.arange(c // 4).reshape(1, c // 4, 1, 1), "float32")
    return g.add("Reshape", [g.add("Conv", [y, bins]), g.ints(n, 4, h * w)])


def recurrent(g: Graph) -> Value:
    x = g.some(lambda value: is_float(value) and len(value.shape) == 3)
    op, gates = g.choice([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
    hidden, ways = g.pick(1, 4), g.choice([1, 1, 2])
    length, batch, depth = x.shape
    weights: list[Value | str] = [x, g.filters(ways, gates * hidden, depth), g.filters(ways, gates * hidden, hidden)]
    if g.pick(0, 1):
        weights.append(g.weight(ways, 2 * gates * hidden, low=-0.3, high=0.3))
    if g.chance(3):
        weights += ["" for _ in range(5 - len(weights))] + [g.weight(ways, batch, hidden)]
        weights += [g.weight(ways, batch, hidden)] if op == "LSTM" and g.pick(0, 1) else []
    direction = "bidirectional" if ways == 2 else g.choice(["forward", "reverse"])
    extra = {"linear_before_reset": g.pick(0, 1)} if op == "GRU" else {}
    y = g.add(op, weights, outputs=2, hidden_size=hidden, direction=direction, **extra)
    if ways == 1 and g.pick(0, 1):
        return g.add("Squeeze", [y, g.ints(1)]) if g.opset >= 13 else g.add("Squeeze", [y], axes=[1])
    y = g.add("Transpose", [y], perm=[0, 2, 1, 3])
    return g.add("Reshape", [y, g.ints(length, batch, ways * hidden)])


BLOCKS: tuple[Step, ...] = (
    activation, activation, conv_norm_act, conv_norm_act, residual, residual, inverted_bottleneck, squeeze_excite,
    channel_shuffle, branches, branches, focus, upsample_concat, tokens, tokens, attention, attention, attention,
    decomposed_layer_norm, mlp, windows, roll, shape_arithmetic, shape_arithmetic, shape_arithmetic, grid,
    distribution_head, recurrent,
)  # fmt: skip
