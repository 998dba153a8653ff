"""Small networks with the structure of well-known ones, weights seeded: all ways in which channels depend on others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18


class Net:
    """Builds a graph node by node; values are names, `channels` knows how many each picture-like one has."""

    def __init__(self, size: int = 32, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.input = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])
        self.channels = {"image": 3}

    def op(self, kind: str, *inputs: str, channels: int | None = None, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{kind.lower()}_{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        for name in names:
            self.channels[name] = channels if channels is not None else self.channels.get(inputs[0], 0)
        return names[0] if outputs == 1 else names

    def const(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def random(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> str:
        return self.const(self.rng.standard_normal(shape) * scale + shift)

    def conv(
        self, x: str, out: int, k: int = 1, s: int = 1, g: int = 1, act: str | None = "Relu", bn: bool = True
    ) -> str:
        inner = self.channels[x] // g
        w = self.random(out, inner, k, k, scale=(2 / (inner * k * k)) ** 0.5)
        bias = [] if bn else [self.random(out, scale=0.1)]
        y = self.op("Conv", x, w, *bias, channels=out, strides=[s, s], pads=[k // 2] * 4, group=g)
        if bn:
            y = self.bn(y)
        return self.act(y, act)

    def depthwise(self, x: str, k: int = 3, s: int = 1, act: str | None = "Relu") -> str:
        return self.conv(x, self.channels[x], k, s, self.channels[x], act)

    def bn(self, x: str) -> str:
        n = self.channels[x]
        variance = self.const(self.rng.uniform(0.5, 1.5, n))
        scale, bias, mean = self.random(n, scale=0.2, shift=1), self.random(n, scale=0.1), self.random(n, scale=0.1)
        return self.op("BatchNormalization", x, scale, bias, mean, variance)

    def act(self, x: str, kind: str | None) -> str:
        if kind is None:
            return x
        if kind == "Silu":
            return self.op("Mul", x, self.op("Sigmoid", x))
        if kind == "Relu6":
            return self.op("Clip", x, self.const(0), self.const(6))
        if kind == "PRelu":
            return self.op("PRelu", x, self.const(self.rng.uniform(0.1, 0.4, (self.channels[x], 1, 1))))
        return self.op(kind, x)

    def add(self, a: str, b: str) -> str:
        return self.op("Add", a, b)

    def concat(self, *parts: str) -> str:
        return self.op("Concat", *parts, channels=sum(self.channels[p] for p in parts), axis=1)

    def pool(self, x: str, k: int = 3, s: int = 2, kind: str = "MaxPool") -> str:
        return self.op(kind, x, kernel_shape=[k, k], strides=[s, s], pads=[k // 2] * 4)

    def squeeze_excite(self, x: str, inner: int, gate: str = "Sigmoid") -> str:
        pooled = self.op("GlobalAveragePool", x)
        weights = self.conv(self.conv(pooled, inner, bn=False), self.channels[x], act=gate, bn=False)
        return self.op("Mul", x, weights)

    def shuffle(self, x: str, groups: int, side: int) -> str:
        n = self.channels[x]
        y = self.op("Reshape", x, self.const([1, groups, n // groups, side, side], np.int64))
        y = self.op("Transpose", y, perm=[0, 2, 1, 3, 4])
        return self.op("Reshape", y, self.const([1, n, side, side], np.int64), channels=n)

    def classifier(self, x: str, classes: int = 10) -> str:
        flat = self.op("Flatten", self.op("GlobalAveragePool", x))
        w = self.random(classes, self.channels[x], scale=0.2)
        return self.op("Gemm", flat, w, self.random(classes), transB=1)

    def model(self, *outputs: str) -> onnx.ModelProto:
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", [self.input], results, self.initializers)
        built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return onnx.shape_inference.infer_shapes(built, strict_mode=True)


def mobilenet_v1() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 16, 3, 2, act="Relu6")
    for out, stride in ((24, 1), (32, 2), (32, 1)):
        x = n.conv(n.depthwise(x, 3, stride, "Relu6"), out, act="Relu6")
    return n.model(n.classifier(x))


def mobilenet_v2() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 16, 3, 2, act="Relu6")
    for out, stride in ((16, 1), (24, 2), (24, 1), (24, 1)):
        y = n.conv(n.depthwise(n.conv(x, 4 * n.channels[x], act="Relu6"), 3, stride, "Relu6"), out, act=None)
        x = n.add(x, y) if n.channels[x] == out and stride == 1 else y
    return n.model(n.classifier(n.conv(x, 48)))


def mobilenet_v3() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 16, 3, 2, act="HardSwish")
    for out, stride in ((16, 1), (24, 2), (24, 1)):
        y = n.depthwise(n.conv(x, 3 * n.channels[x], act="HardSwish"), 5, stride, "HardSwish")
        y = n.conv(n.squeeze_excite(y, 8, "HardSigmoid"), out, act=None)
        x = n.add(y, x) if n.channels[x] == out and stride == 1 else y
    return n.model(n.classifier(n.conv(x, 48, act="HardSwish")))


def resnet() -> onnx.ModelProto:
    n = Net()
    x = n.pool(n.conv("image", 16, 3, 2))
    for out, stride in ((16, 1), (32, 2), (32, 1)):
        y = n.conv(n.conv(n.conv(x, out // 2), out // 2, 3, stride), out, act=None)
        short = x if stride == 1 and n.channels[x] == out else n.conv(x, out, 1, stride, act=None)
        x = n.act(n.add(y, short), "Relu")
    return n.model(n.classifier(x))


def resnext() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 32, 3, 2)
    for groups in (8, 2):  # whole groups go, and the same channels of each group go
        y = n.conv(n.conv(n.conv(x, 32), 32, 3, g=groups), 32, act=None)
        x = n.act(n.add(x, y), "Relu")
    return n.model(n.classifier(x))


def densenet() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 16, 3, 2)
    for _ in range(2):
        for _ in range(3):
            y = n.conv(n.act(n.bn(x), "Relu"), 24)
            x = n.concat(x, n.conv(y, 8, 3, bn=False, act=None))
        x = n.pool(n.conv(n.act(n.bn(x), "Relu"), n.channels[x] // 2, bn=False, act=None), 2, 2, "AveragePool")
    return n.model(n.classifier(x))


def shufflenet_v1() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 24, 3, 2)
    for _ in range(2):
        y = n.shuffle(n.conv(x, 24, g=3), 3, 16)
        x = n.act(n.add(x, n.conv(n.depthwise(y, act=None), 24, g=3, act=None)), "Relu")
    return n.model(n.classifier(x))


def shufflenet_v2() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 24, 3, 2)
    for _ in range(2):
        left, right = n.op("Split", x, outputs=2, channels=n.channels[x] // 2, axis=1, num_outputs=2)
        right = n.conv(n.depthwise(n.conv(right, 12), act=None), 12)
        x = n.shuffle(n.concat(left, right), 2, 16)
    return n.model(n.classifier(n.conv(x, 48)))


def ghostnet() -> onnx.ModelProto:
    n = Net()

    def ghost(x: str, out: int, act: str | None) -> str:
        primary = n.conv(x, out // 2, act=act)
        return n.concat(primary, n.depthwise(primary, act=act))

    x = n.conv("image", 16, 3, 2)
    for _ in range(2):
        y = n.squeeze_excite(ghost(x, 32, "Relu"), 8, "HardSigmoid")
        x = n.add(x, ghost(y, 16, None))
    return n.model(n.classifier(x))


def efficientnet() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 16, 3, 2, act="Silu")
    for out, stride in ((16, 1), (24, 2), (24, 1)):
        y = n.depthwise(n.conv(x, 4 * n.channels[x], act="Silu"), 3, stride, "Silu")
        y = n.conv(n.squeeze_excite(y, 6), out, act=None)
        x = n.add(y, x) if n.channels[x] == out and stride == 1 else y
    return n.model(n.classifier(n.conv(x, 64, act="Silu")))


def inception() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 16, 3, 2)
    for _ in range(2):
        a = n.conv(x, 8)
        b = n.conv(n.conv(x, 8), 16, 3)
        c = n.conv(n.conv(n.conv(x, 8), 12, 3), 12, 3)
        x = n.concat(a, b, c, n.conv(n.pool(x, 3, 1, "AveragePool"), 8))
    return n.model(n.classifier(x))


def squeezenet() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 16, 3, 2, bn=False)
    for _ in range(2):
        squeezed = n.conv(x, 8, bn=False)
        x = n.pool(n.concat(n.conv(squeezed, 16, bn=False), n.conv(squeezed, 16, 3, bn=False)))
    x = n.op("GlobalAveragePool", n.conv(x, 10, bn=False))
    return n.model(n.op("Reshape", x, n.const([1, 10], np.int64)))


def regnet() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 16, 3, 2)
    for out, stride in ((24, 2), (24, 1)):
        y = n.conv(n.conv(x, out), out, 3, stride, g=3)
        y = n.conv(n.squeeze_excite(y, 6), out, act=None)
        short = x if stride == 1 else n.conv(x, out, 1, stride, act=None)
        x = n.act(n.add(y, short), "Relu")
    return n.model(n.classifier(x))


def vgg() -> onnx.ModelProto:
    n = Net()
    x = n.pool(n.conv(n.conv("image", 12, 3, bn=False), 16, 3, bn=False), 2, 2)
    x = n.op("Flatten", n.op("Resize", x, "", "", n.const([1, 16, 4, 4], np.int64), mode="linear"))
    x = n.op("Relu", n.op("Gemm", x, n.random(256, 32, scale=0.1), n.random(32)))
    return n.model(n.op("Add", n.op("MatMul", x, n.random(32, 10, scale=0.2)), n.random(10)))


def yolox() -> onnx.ModelProto:
    n = Net()
    halves = [
        n.op("Slice", "image", *(n.const(v, np.int64) for v in ([r, c], [32, 32], [2, 3], [2, 2])))
        for r in (0, 1)
        for c in (0, 1)
    ]
    x = n.conv(n.concat(*halves), 16, 3, act="Silu")  # the "focus" layer
    taps = []
    for out in (24, 32):
        x = n.conv(x, out, 3, 2, act="Silu")
        a, b = n.conv(x, out // 2, act="Silu"), n.conv(x, out // 2, act="Silu")
        a = n.add(a, n.conv(n.conv(a, out // 2, act="Silu"), out // 2, 3, act="Silu"))
        x = n.conv(n.concat(a, b), out, act="Silu")
        taps.append(x)
    up = n.op("Resize", n.conv(taps[1], 24, act="Silu"), "", n.const([1, 1, 2, 2]), mode="nearest")
    outputs = []
    for level, side in ((n.concat(up, taps[0]), 8), (taps[1], 4)):
        stem = n.conv(level, 16, act="Silu")
        head = n.concat(n.conv(stem, 5, bn=False, act=None), n.conv(n.conv(stem, 16, 3, act="Silu"), 3, bn=False))
        outputs.append(n.op("Reshape", head, n.const([1, 8, side * side], np.int64)))
    return n.model(n.op("Transpose", n.op("Concat", *outputs, axis=2), perm=[0, 2, 1]))


def yolov8() -> onnx.ModelProto:
    n = Net()
    x = n.conv("image", 16, 3, 2, act="Silu")
    for _ in range(2):  # the "C2f" block: both halves of a split, and what is made of the second, side by side
        first, second = n.op("Split", n.conv(x, 24, act="Silu"), outputs=2, channels=12, axis=1, num_outputs=2)
        third = n.add(second, n.conv(n.conv(second, 12, 3, act="Silu"), 12, 3, act="Silu"))
        x = n.conv(n.concat(first, second, third), 24, act="Silu")
    pooled = [n.conv(x, 12, act="Silu")]
    for _ in range(3):  # "SPPF"
        pooled.append(n.pool(pooled[-1], 5, 1))
    x = n.conv(n.concat(*pooled), 24, act="Silu")
    boxes = n.conv(n.conv(x, 16, 3, act="Silu"), 16, bn=False, act=None)
    bins = n.op("Reshape", boxes, n.const([1, 4, 4, 256], np.int64))
    bins = n.op("Softmax", n.op("Transpose", bins, perm=[0, 2, 1, 3]), axis=1)
    weights = n.const(np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1))
    sides = n.op("Reshape", n.op("Conv", bins, weights), n.const([1, 4, 256], np.int64))
    scores = n.op("Sigmoid", n.conv(n.conv(x, 16, 3, act="Silu"), 3, bn=False, act=None))
    return n.model(n.op("Concat", sides, n.op("Reshape", scores, n.const([1, 3, 256], np.int64)), axis=1))


def channels_last() -> onnx.ModelProto:
    """PRelu, transposed convolution, Pad, Slice and Gather on channels, then NHWC into a dense layer."""
    n = Net()
    x = n.conv(n.op("Pad", "image", n.const([0, 0, 1, 1, 0, 0, 1, 1], np.int64)), 16, 3, 2, act="PRelu")
    part = n.op("Slice", x, *(n.const(v, np.int64) for v in ([4], [16], [1])), channels=12)
    part = n.op("Gather", part, n.const(np.arange(12)[::-1].copy(), np.int64), axis=1)
    w = n.random(12, 8, 2, 2, scale=0.2)
    x = n.op("ConvTranspose", part, w, n.random(8), channels=8, strides=[2, 2])
    x = n.op("Sub", x, n.random(1, 8, 1, 1))
    x = n.op("Transpose", n.pool(x, 3, 4), perm=[0, 2, 3, 1])
    flat = n.op("Flatten", x)
    return n.model(n.op("Gemm", flat, n.random(9 * 9 * 8, 10, scale=0.05), n.random(10)))


def transformer() -> onnx.ModelProto:
    """A stem, then attention (stays whole) and an MLP (its inside can go) with layer norms."""
    n = Net(size=16)
    x = n.conv("image", 16, 3, 4, bn=False)
    x = n.op("Transpose", n.op("Reshape", x, n.const([1, 16, 16], np.int64)), perm=[0, 2, 1])
    qkv = n.op("Reshape", n.op("MatMul", x, n.random(16, 48, scale=0.2)), n.const([1, 16, 3, 2, 8], np.int64))
    qkv = n.op("Transpose", qkv, perm=[2, 0, 3, 1, 4])
    q, k, v = (n.op("Gather", qkv, n.const(i, np.int64), axis=0) for i in range(3))
    scores = n.op("Softmax", n.op("MatMul", q, n.op("Transpose", k, perm=[0, 1, 3, 2])), axis=-1)
    y = n.op("Reshape", n.op("Transpose", n.op("MatMul", scores, v), perm=[0, 2, 1, 3]), n.const([1, 16, 16], np.int64))
    x = n.op("Add", x, n.op("MatMul", y, n.random(16, 16, scale=0.2)))
    y = n.op("LayerNormalization", x, n.random(16, shift=1, scale=0.1), n.random(16, scale=0.1))
    hidden = n.op("Add", n.op("MatMul", y, n.random(16, 40, scale=0.2)), n.random(40))
    x = n.op("Add", x, n.op("MatMul", n.op("Relu", hidden), n.random(40, 16, scale=0.2)))
    return n.model(x)


def recurrent() -> onnx.ModelProto:
    """A convolutional stem whose columns are the steps of an LSTM."""
    n = Net()
    x = n.op("ReduceMean", n.conv(n.conv("image", 16, 3, 4), 12, 3), n.const([2], np.int64), keepdims=0)
    x = n.op("Transpose", x, perm=[2, 0, 1])
    w, r = n.random(1, 32, 12, scale=0.3), n.random(1, 32, 8, scale=0.3)
    steps, _, _ = n.op("LSTM", x, w, r, n.random(1, 64, scale=0.1), outputs=3, hidden_size=8)
    return n.model(steps)


ARCHITECTURES: dict[str, Callable[[], onnx.ModelProto]] = {
    build.__name__: build
    for build in (
        mobilenet_v1, mobilenet_v2, mobilenet_v3, resnet, resnext, densenet, shufflenet_v1, shufflenet_v2, ghostnet,
        efficientnet, inception, squeezenet, regnet, vgg, yolox, yolov8, channels_last, transformer, recurrent,
    )
}  # fmt: skip
