"""YOLO11 with random weights, from its published architecture, ultralytics/cfg/models/11/yolo11.yaml: for its cost."""

from __future__ import annotations

import math

import numpy as np
import onnx

from tests.support.architectures import Net

SCALES = {"n": (0.5, 0.25, 1024), "s": (0.5, 0.5, 1024), "m": (0.5, 1, 512), "l": (1, 1, 512), "x": (1, 1.5, 512)}
"""Depth, width, largest number of channels before scaling."""
CLASSES, BINS, SIZE = 80, 16, 640


class Yolo11(Net):
    """Builds the graph; batch norms are folded."""

    def __init__(self, scale: str) -> None:
        super().__init__(SIZE)
        self.depth, self.width, self.most = SCALES[scale]
        self.scale = scale

    def network(self) -> onnx.ModelProto:
        p1 = self.conv("image", self.of(64), 3, 2)
        p2 = self.c3k2(self.conv(p1, self.of(128), 3, 2), self.of(256), False, 0.25)
        p3 = self.c3k2(self.conv(p2, self.of(256), 3, 2), self.of(512), False, 0.25)
        p4 = self.c3k2(self.conv(p3, self.of(512), 3, 2), self.of(512), True)
        p5 = self.c3k2(self.conv(p4, self.of(1024), 3, 2), self.of(1024), True)
        p5 = self.c2psa(self.sppf(p5, self.of(1024)))
        n4 = self.c3k2(self.concat(self.larger(p5), p4), self.of(512), False)
        n3 = self.c3k2(self.concat(self.larger(n4), p3), self.of(256), False)
        n4 = self.c3k2(self.concat(self.conv(n3, self.of(256), 3, 2), n4), self.of(512), False)
        n5 = self.c3k2(self.concat(self.conv(n4, self.of(512), 3, 2), p5), self.of(1024), True)
        return self.model(*self.detect(n3, n4, n5))

    def of(self, channels: int) -> int:
        return math.ceil(min(channels, self.most) * self.width / 8) * 8

    def conv(self, x, out, k=1, s=1, g=1, act="Silu", bn=False):
        return super().conv(x, out, k, s, g, act, bn)

    def larger(self, x):
        return self.op("Resize", x, "", self.const([1, 1, 2, 2]))

    def c3k2(self, x, out: int, c3k: bool, share: float = 0.5):
        hidden, c3k = int(out * share), c3k or self.scale in "mlx"
        parts = self.split(self.conv(x, 2 * hidden), [hidden] * 2)
        for _ in range(max(round(2 * self.depth), 1)):
            last = parts[-1]
            parts.append(self.c3k(last, hidden) if c3k else self.bottleneck(last, hidden, 0.5))
        return self.conv(self.concat(*parts), out)

    def c3k(self, x, out: int):
        hidden = out // 2
        one, other = self.conv(x, hidden), self.conv(x, hidden)
        for _ in range(2):
            one = self.bottleneck(one, hidden, 1.0)
        return self.conv(self.concat(one, other), out)

    def bottleneck(self, x, out: int, share: float):
        return self.add(x, self.conv(self.conv(x, int(out * share), 3), out, 3))

    def sppf(self, x, out: int):
        parts = [self.conv(x, self.channels[x] // 2)]
        for _ in range(3):
            parts.append(self.pool(parts[-1], 5, 1))
        return self.conv(self.concat(*parts), out)

    def c2psa(self, x):
        n = self.channels[x]
        kept, x2 = self.split(self.conv(x, n), [n // 2] * 2)
        for _ in range(max(round(2 * self.depth), 1)):
            x2 = self.add(x2, self.attention(x2))
            x2 = self.add(x2, self.conv(self.conv(x2, n), n // 2, act=None))
        return self.conv(self.concat(kept, x2), n)

    def attention(self, x):
        n, side = self.channels[x], SIZE // 32
        qkv = self.reshape(self.conv(x, 2 * n, act=None), 1, n // 64, 128, side**2)
        q, k, v = self.split(qkv, [32, 32, 64], axis=2)
        scores = self.op("Softmax", self.op("MatMul", self.op("Transpose", q, perm=[0, 1, 3, 2]), k), axis=-1)
        mixed = self.op("MatMul", v, self.op("Transpose", scores, perm=[0, 1, 3, 2]))
        mixed, values = (self.reshape(each, 1, n, side, side, channels=n) for each in (mixed, v))
        return self.conv(self.add(mixed, self.depthwise(values, act=None)), n, act=None)

    def detect(self, *levels):
        first = self.channels[levels[0]]
        box, wide = max(16, first // 4, 4 * BINS), max(first, min(CLASSES, 100))
        flat = []
        for x in levels:
            boxes = self.conv(self.conv(self.conv(x, box, 3), box, 3), 4 * BINS, act=None)
            y = x
            for _ in range(2):
                y = self.conv(self.depthwise(y, act="Silu"), wide)
            whole = self.concat(boxes, self.conv(y, CLASSES, act=None))
            flat.append(self.reshape(whole, 1, 4 * BINS + CLASSES, -1))
        boxes, scores = self.split(self.op("Concat", *flat, axis=2), [4 * BINS, CLASSES])
        bins = self.op("Transpose", self.reshape(boxes, 1, 4, BINS, -1), perm=[0, 2, 1, 3])
        sides = self.conv(self.op("Softmax", bins, channels=BINS, axis=1), 1, act=None)
        return sides, self.op("Sigmoid", scores)

    def reshape(self, x, *shape: int, channels: int | None = None):
        return self.op("Reshape", x, self.const(shape, np.int64), channels=channels)

    def split(self, x, sizes, axis: int = 1):
        parts = self.op("Split", x, self.const(sizes, np.int64), outputs=len(sizes), axis=axis)
        self.channels.update(zip(parts, sizes, strict=True))
        return parts
