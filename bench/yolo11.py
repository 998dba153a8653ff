"""YOLO11 with random weights, from its published architecture, ultralytics/cfg/models/11/yolo11.yaml: for its cost."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SCALES = {"n": (0.5, 0.25, 1024), "s": (0.5, 0.5, 1024), "m": (0.5, 1, 512), "l": (1, 1, 512), "x": (1, 1.5, 512)}
"""Depth, width, largest number of channels before scaling."""
CLASSES, BINS, SIZE = 80, 16, 640


class Yolo11:
    """Builds the graph; a value is its name and number of channels."""

    def __init__(self, scale: str) -> None:
        self.depth, self.width, self.most = SCALES[scale]
        self.scale, self.nodes, self.weights = scale, [], []
        self.random = np.random.default_rng(0)

    def model(self) -> onnx.ModelProto:
        outputs = self.network(("images", 3))
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name, _ in outputs]
        image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])
        graph = helper.make_graph(self.nodes, f"yolo11{self.scale}", [image], infos, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def network(self, image):
        p1 = self.conv(image, self.of(64), 3, 2)
        p2 = self.c3k2(self.conv(p1, self.of(128), 3, 2), self.of(256), False, 0.25)
        p3 = self.c3k2(self.conv(p2, self.of(256), 3, 2), self.of(512), False, 0.25)
        p4 = self.c3k2(self.conv(p3, self.of(512), 3, 2), self.of(512), True)
        p5 = self.c3k2(self.conv(p4, self.of(1024), 3, 2), self.of(1024), True)
        p5 = self.c2psa(self.sppf(p5, self.of(1024)))
        n4 = self.c3k2(self.concat(self.op("Resize", p5, "", self.const([1, 1, 2, 2])), p4), self.of(512), False)
        n3 = self.c3k2(self.concat(self.op("Resize", n4, "", self.const([1, 1, 2, 2])), p3), self.of(256), False)
        n4 = self.c3k2(self.concat(self.conv(n3, self.of(256), 3, 2), n4), self.of(512), False)
        n5 = self.c3k2(self.concat(self.conv(n4, self.of(512), 3, 2), p5), self.of(1024), True)
        return self.detect(n3, n4, n5)

    def of(self, channels: int) -> int:
        return math.ceil(min(channels, self.most) * self.width / 8) * 8

    def c3k2(self, x, out: int, c3k: bool, share: float = 0.5):
        hidden, c3k = int(out * share), c3k or self.scale in "mlx"
        parts = self.split(self.conv(x, 2 * hidden, 1))
        for _ in range(max(round(2 * self.depth), 1)):
            last = parts[-1]
            parts.append(self.c3k(last, hidden) if c3k else self.bottleneck(last, hidden, 0.5))
        return self.conv(self.concat(*parts), out, 1)

    def c3k(self, x, out: int):
        hidden = out // 2
        one, other = self.conv(x, hidden, 1), self.conv(x, hidden, 1)
        for _ in range(2):
            one = self.bottleneck(one, hidden, 1.0)
        return self.conv(self.concat(one, other), out, 1)

    def bottleneck(self, x, out: int, share: float):
        return self.op("Add", x, self.conv(self.conv(x, int(out * share), 3), out, 3))

    def sppf(self, x, out: int):
        parts = [self.conv(x, x[1] // 2, 1)]
        for _ in range(3):
            parts.append(self.op("MaxPool", parts[-1], kernel_shape=[5, 5], pads=[2] * 4))
        return self.conv(self.concat(*parts), out, 1)

    def c2psa(self, x):
        kept, x2 = self.split(self.conv(x, x[1], 1))
        for _ in range(max(round(2 * self.depth), 1)):
            x2 = self.op("Add", x2, self.attention(x2))
            x2 = self.op("Add", x2, self.conv(self.conv(x2, 2 * x2[1], 1), x2[1], 1, act=False))
        return self.conv(self.concat(kept, x2), x[1], 1)

    def attention(self, x):
        heads, pixels = x[1] // 64, (SIZE // 32) ** 2
        qkv = self.op("Reshape", self.conv(x, 2 * x[1], 1, act=False), self.ints([1, heads, 128, pixels]))
        q, k, v = self.split(qkv, [32, 32, 64], axis=2)
        scores = self.op("Softmax", self.op("MatMul", self.op("Transpose", q, perm=[0, 1, 3, 2]), k), axis=-1)
        mixed = self.op("MatMul", v, self.op("Transpose", scores, perm=[0, 1, 3, 2]))
        shape = self.ints([1, x[1], SIZE // 32, SIZE // 32])
        mixed, values = (self.op("Reshape", each, shape) for each in (mixed, v))
        near = self.conv((values[0], x[1]), x[1], 3, groups=x[1], act=False)
        return self.conv((self.op("Add", mixed, near)[0], x[1]), x[1], 1, act=False)

    def detect(self, *levels):
        box, wide = max(16, levels[0][1] // 4, 4 * BINS), max(levels[0][1], min(CLASSES, 100))
        flat = []
        for x in levels:
            boxes = self.conv(self.conv(self.conv(x, box, 3), box, 3), 4 * BINS, 1, act=False)
            y = x
            for _ in range(2):
                y = self.conv(self.conv(y, y[1], 3, groups=y[1]), wide, 1)
            whole = self.concat(boxes, self.conv(y, CLASSES, 1, act=False))
            flat.append(self.op("Reshape", whole, self.ints([1, 4 * BINS + CLASSES, -1])))
        boxes, scores = self.split(self.op("Concat", *flat, axis=2), [4 * BINS, CLASSES])
        bins = self.op("Transpose", self.op("Reshape", boxes, self.ints([1, 4, BINS, -1])), perm=[0, 2, 1, 3])
        sides = self.conv((self.op("Softmax", bins, axis=1)[0], BINS), 1, 1, act=False)
        return [sides, self.op("Sigmoid", scores)]

    def conv(self, x, out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True):
        weight = self.const(self.random.standard_normal((out, x[1] // groups, kernel, kernel), np.float32))
        bias = self.const(np.zeros(out, np.float32))
        y = self.op("Conv", x, weight, bias, strides=[stride] * 2, pads=[kernel // 2] * 4, group=groups)
        y = (y[0], out)
        return (self.op("Mul", y, self.op("Sigmoid", y))[0], out) if act else y

    def concat(self, *parts):
        return self.op("Concat", *parts, axis=1)[0], sum(channels for _, channels in parts)

    def split(self, x, sizes=None, axis: int = 1):
        sizes = sizes or [x[1] // 2] * 2
        names = [f"v{len(self.nodes)}_{number}" for number in range(len(sizes))]
        self.nodes.append(helper.make_node("Split", [x[0], self.ints(sizes)], names, axis=axis, name=names[0]))
        return list(zip(names, sizes, strict=True))

    def op(self, kind: str, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        values = [each if isinstance(each, str) else each[0] for each in inputs]
        self.nodes.append(helper.make_node(kind, values, [name], name=name, **attributes))
        return name, inputs[0][1]

    def const(self, value) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def ints(self, value) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, np.int64), name))
        return name
