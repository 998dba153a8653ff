"""Blocks of well-known networks beside ONNX Runtime and OpenVINO: CPU time of one thread, fp32, this machine.

    pip install openvino; python bench/blocks.py [BLOCK ...]

Attention, dilated and depthwise layers, channel shuffles, broadcasts and reductions in the sizes and spellings that
exports of vision networks have; random weights. Figures as in compare_peers.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from compare_peers import TOLERANCE, medians, onnx_runtime, open_vino
from onnx import TensorProto, helper

import edgec
from edgec.model.signature import inputs_of, outputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import golden_inputs

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.architectures import Net

os.environ["EDGEC_STRICT"] = "1"  # a schedule that fails is a failure


class Block(Net):
    """A graph built node by node on one input `x`."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        self.channels = {"x": shape[1]}

    def ints(self, *values: int) -> str:
        """Add a constant of integers."""
        return self.const(values, np.int64)

    def dense(self, x: str, inputs: int, outputs: int) -> str:
        """A dense layer on the last axis."""
        product = self.op("MatMul", x, self.random(inputs, outputs, scale=inputs**-0.5))
        return self.op("Add", product, self.random(outputs, scale=0.1))

    def layer_norm(self, x: str, width: int) -> str:
        """Normalize the last axis."""
        scale, shift = self.random(width, scale=0.1, shift=1.0), self.random(width, scale=0.1)
        return self.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-6)

    def gelu(self, x: str) -> str:
        """GELU as exporters spell it out."""
        inner = self.op("Erf", self.op("Div", x, self.const(2**0.5)))
        return self.op("Mul", self.op("Mul", x, self.op("Add", inner, self.const(1.0))), self.const(0.5))

    def attention(self, x: str, batch: int, tokens: int, width: int, heads: int, bias: str | None = None) -> str:
        """Self-attention with one product for queries, keys and values."""
        each = width // heads
        qkv = self.op("Reshape", self.dense(x, width, 3 * width), self.ints(batch, tokens, 3, heads, each))
        qkv = self.op("Transpose", qkv, perm=[2, 0, 3, 1, 4])
        q, k, v = (self.op("Gather", qkv, self.const(at, np.int64), axis=0) for at in range(3))
        q = self.op("Mul", q, self.const(each**-0.5))
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        if bias is not None:
            scores = self.op("Add", scores, bias)
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        joined = self.op("Reshape", self.op("Transpose", mixed, perm=[0, 2, 1, 3]), self.ints(batch, tokens, width))
        return self.dense(joined, width, width)

    def mlp(self, x: str, width: int, hidden: int) -> str:
        """Two dense layers with GELU between."""
        return self.dense(self.gelu(self.dense(x, width, hidden)), hidden, width)


def vit() -> onnx.ModelProto:
    """A block of ViT-S/16 at 224 pixels."""
    n = Block(1, 197, 384)
    x = n.add("x", n.attention(n.layer_norm("x", 384), 1, 197, 384, 6))
    return n.model(n.add(x, n.mlp(n.layer_norm(x, 384), 384, 1536)))


def swin(side: int = 28, width: int = 192, heads: int = 6, shift: int = 3) -> onnx.ModelProto:
    """A shifted block of Swin-T's second stage: windows of 7 x 7 pixels."""
    n = Block(1, side, side, width)
    windows = side // 7
    x = n.layer_norm("x", width)
    for axis in (1, 2):
        first = n.op("Slice", x, *(n.ints(v) for v in (shift, side, axis)))
        x = n.op("Concat", first, n.op("Slice", x, *(n.ints(v) for v in (0, shift, axis))), axis=axis)
    x = n.op("Reshape", x, n.ints(1, windows, 7, windows, 7, width))
    x = n.op("Reshape", n.op("Transpose", x, perm=[0, 1, 3, 2, 4, 5]), n.ints(windows**2, 49, width))
    bias = n.random(1, heads, 49, 49, scale=0.1)
    x = n.attention(x, windows**2, 49, width, heads, bias)
    x = n.op("Reshape", x, n.ints(1, windows, windows, 7, 7, width))
    x = n.op("Reshape", n.op("Transpose", x, perm=[0, 1, 3, 2, 4, 5]), n.ints(1, side, side, width))
    for axis in (1, 2):
        first = n.op("Slice", x, *(n.ints(v) for v in (side - shift, side, axis)))
        x = n.op("Concat", first, n.op("Slice", x, *(n.ints(v) for v in (0, side - shift, axis))), axis=axis)
    x = n.add("x", x)
    return n.model(n.add(x, n.mlp(n.layer_norm(x, width), width, 4 * width)))


def convnext() -> onnx.ModelProto:
    """A block of ConvNeXt-T's third stage."""
    n = Block(1, 384, 14, 14)
    x = n.conv("x", 384, 7, g=384, bn=False, act=None)
    x = n.layer_norm(n.op("Transpose", x, perm=[0, 2, 3, 1]), 384)
    x = n.op("Mul", n.mlp(x, 384, 1536), n.random(384, scale=0.1))
    return n.model(n.add("x", n.op("Transpose", x, perm=[0, 3, 1, 2])))


def area_attention() -> onnx.ModelProto:
    """Attention of YOLO12n on 20 x 20 pixels: convolutions around products of activations, channels first."""
    n, width, heads, pixels = Block(1, 128, 20, 20), 128, 4, 400
    qkv = n.op("Reshape", n.conv("x", 3 * width, bn=False, act=None), n.ints(1, heads, 96, pixels))
    q, k, v = n.op("Split", qkv, n.ints(32, 32, 32), outputs=3, axis=2)
    scores = n.op("MatMul", n.op("Transpose", q, perm=[0, 1, 3, 2]), k)
    weights = n.op("Softmax", n.op("Mul", scores, n.const(32**-0.5)), axis=-1)
    mixed = n.op("MatMul", v, n.op("Transpose", weights, perm=[0, 1, 3, 2]))
    mixed = n.op("Reshape", mixed, n.ints(1, width, 20, 20), channels=width)
    values = n.op("Reshape", v, n.ints(1, width, 20, 20), channels=width)
    x = n.add(mixed, n.conv(values, width, 7, g=width, bn=False, act=None))
    x = n.add("x", n.conv(x, width, bn=False, act=None))
    return n.model(n.add(x, n.conv(n.conv(x, 256, act="Silu"), width, act=None)))


def shuffle() -> onnx.ModelProto:
    """Two units of ShuffleNetV2 1.0x on 28 x 28 pixels."""
    n = Block(1, 116, 28, 28)
    x = "x"
    for _ in range(2):
        left, right = n.op("Split", x, n.ints(58, 58), outputs=2, channels=58, axis=1)
        right = n.conv(n.depthwise(n.conv(right, 58), act=None), 58)
        x = n.shuffle(n.concat(left, right), 2, 28)
    return n.model(x)


def dilated(rate: int, channels: int = 256, out: int = 64, side: int = 20) -> onnx.ModelProto:
    """A branch of DeepLabv3's pyramid on 20 x 20 pixels, behind a pointwise layer."""
    n = Block(1, channels, side, side)
    x, w = n.conv("x", channels, act="Relu"), n.random(out, channels, 3, 3, scale=0.02)
    x = n.op("Conv", x, w, channels=out, pads=[rate] * 4, dilations=[rate, rate])
    return n.model(n.act(n.bn(x), "Relu"))


def dilated_depthwise() -> onnx.ModelProto:
    """A depthwise layer of MobileNetV3 with a dilation of 2, behind its expansion."""
    n = Block(1, 112, 20, 20)
    x, w = n.conv("x", 672, act="HardSwish"), n.random(672, 1, 5, 5, scale=0.2)
    x = n.op("Conv", x, w, channels=672, group=672, pads=[4] * 4, dilations=[2, 2])
    return n.model(n.act(n.bn(x), "HardSwish"))


def broadcasts() -> onnx.ModelProto:
    """Sums, maxima and choices with operands of other ranks, in plain layout."""
    n = Block(1, 512, 300)
    x = n.op("Max", n.op("Add", "x", n.random(300)), n.random(512, 1))
    x = n.op("Where", n.op("Greater", x, n.const(0.3)), x, n.op("Mul", x, n.random(1, 1, 300)))
    return n.model(n.op("Sum", x, "x", n.random(1, 512, 1)))


def reductions() -> onnx.ModelProto:
    """Reductions over first, middle and several axes, kept and not."""
    n = Block(4, 24, 50, 33)
    outputs = [
        n.op("ReduceMean", "x", n.ints(1), keepdims=0),
        n.op("ReduceMax", "x", n.ints(0, 2), keepdims=1),
        n.op("ReduceSum", "x", n.ints(2, 3), keepdims=0),
        n.op("ReduceL2", "x", n.ints(1, 3), keepdims=0),
        n.op("ReduceMin", "x", n.ints(0), keepdims=0),
        n.op("ReduceMean", "x", n.ints(3), keepdims=0),
    ]
    return n.model(*outputs)


def top_k() -> onnx.ModelProto:
    """The 100 best of 8400 scores, and the best of 80 classes."""
    n = Block(1, 8400, 80)
    best = n.op("ReduceMax", "x", n.ints(2), keepdims=0)
    values, _ = n.op("TopK", best, n.ints(100), outputs=2, axis=1)
    return n.model(values)


def moves() -> onnx.ModelProto:
    """Transposes, slices, pads and joins in plain layout."""
    n = Block(1, 64, 40, 41)
    x = n.op("Transpose", "x", perm=[0, 2, 3, 1])
    x = n.op("Pad", x, n.ints(0, 1, 1, 0, 0, 1, 0, 0))
    x = n.op("Concat", x, n.op("Slice", x, n.ints(0), n.ints(10), n.ints(1)), axis=1)
    return n.model(n.op("Transpose", x, perm=[0, 3, 1, 2]))


def conv1d() -> onnx.ModelProto:
    """Two 1-D convolutions of a voice activity detector, with what is between."""
    n = Block(1, 128, 200)
    x = n.op("Relu", n.op("Conv", "x", n.random(128, 128, 3, scale=0.05), n.random(128), pads=[1, 1]))
    x = n.op("Relu", n.op("Conv", x, n.random(64, 128, 3, scale=0.05), n.random(64), pads=[1, 1], strides=[2]))
    return n.model(x)


BLOCKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "vit": vit,
    "swin": swin,
    "convnext": convnext,
    "area_attention": area_attention,
    "shuffle": shuffle,
    "dilated_6": lambda: dilated(6),
    "dilated_36": lambda: dilated(36),
    "dilated_depthwise": dilated_depthwise,
    "broadcasts": broadcasts,
    "reductions": reductions,
    "top_k": top_k,
    "moves": moves,
    "conv1d": conv1d,
}


def row(name: str) -> list[float]:
    """Print the table's row of one block; return the ratios to ONNX Runtime and OpenVINO."""
    proto = BLOCKS[name]()
    model = ir.from_proto(proto)
    feeds = golden_inputs(inputs_of(model), seed=0)
    serialized = proto.SerializeToString()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "artefact"
        edgec.compile(model, target="host", output=folder, threads=1)
        ours = edgec.load(folder, threads=1)
        peers = [onnx_runtime(serialized), open_vino(serialized, [spec.name for spec in outputs_of(model)])]
        error = compare(peers[0](feeds), ours.run(feeds)).relative
        times = medians([ours.run, *peers], feeds)
    ratios = [times[0] / peer for peer in times[1:]]
    cells = [name, *(f"{value:.3f}" for value in times), *(f"{ratio:.2f}" for ratio in ratios)]
    print(f"| {' | '.join(cells)} | {error:.0e}{'' if error <= TOLERANCE else ' FAILED'} |", flush=True)
    return ratios


def main(names: Sequence[str]) -> None:
    """Print the table and the geometric means."""
    columns = ("block", "ours ms", "ONNX Runtime ms", "OpenVINO ms", "ours / ONNX Runtime", "ours / OpenVINO", "error")
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    ratios = [row(name) for name in names]
    means = [statistics.geometric_mean(column) for column in zip(*ratios, strict=True)]
    print(f"| geometric mean | | | | {means[0]:.2f} | {means[1]:.2f} | |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blocks", nargs="*", help=f"default: {' '.join(BLOCKS)}")
    main(parser.parse_args().blocks or list(BLOCKS))
