"""ONNX Runtime's own operators become standard ones when a model is loaded, and compute the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference

HEADER = '<ir_version: 8, opset_import: ["" : 13, "com.microsoft" : 1]>'
Q = "uint8[1, 4, 6, 6]"
CALLS = {
    "QLinearAdd": ("a, s, z, b, s, z, t, u", Q, ""),
    "QLinearMul": ("a, s, z, b, s, z, t, u", Q, ""),
    "QLinearSigmoid": ("a, s, z, r, n", Q, ""),
    "QLinearLeakyRelu": ("a, s, z, t, u", Q, "alpha = 0.2"),
    "QLinearSoftmax": ("a, s, z, r, n", Q, "axis = 3, opset = 13"),
    "QLinearGlobalAveragePool": ("a, s, z, s, z", "uint8[1, 4, 1, 1]", "channels_last = 0"),
    "QLinearAveragePool": ("a, s, z, s, z", "uint8[1, 4, 3, 3]", "kernel_shape = [2, 2], strides = [2, 2]"),
    "QLinearConcat": ("t, u, a, s, z, b, s, z", "uint8[1, 8, 6, 6]", "axis = 1"),
    "FusedConv": (
        "x, w, c",
        "float[1, 4, 6, 6]",
        'pads = [1, 1, 1, 1], activation = "LeakyRelu", activation_params = [0.1]',
    ),
    "FusedMatMul": ("x, x", "float[1, 4, 6, 6]", "transA = 0, transB = 1, alpha = 0.5"),
    "Gelu": ("x", "float[1, 4, 6, 6]", ""),
    "FastGelu": ("x, h", "float[1, 4, 6, 6]", ""),
    "BiasGelu": ("x, h", "float[1, 4, 6, 6]", ""),
    "QuickGelu": ("x", "float[1, 4, 6, 6]", "alpha = 1.5"),
    "SkipLayerNormalization": ("v, v, h, h", "float[2, 5, 6]", ""),
    "MatMulIntegerToFloat": ("m, k, s, s, z, z, h", "float[5, 6]", ""),
    "DynamicQuantizeMatMul": ("p, k, s, z, h", "float[5, 6]", ""),
}
INPUTS = {
    "a": Q,
    "b": Q,
    "x": "float[1, 4, 6, 6]",
    "v": "float[2, 5, 6]",
    "m": "uint8[5, 7]",
    "p": "float[5, 7]",
}


@pytest.mark.parametrize("operator", CALLS)
def test_it_computes_the_same(operator: str) -> None:
    arguments, result, attributes = CALLS[operator]
    rng = np.random.default_rng(0)
    weights = {
        "s": np.float32(0.02), "z": np.uint8(120), "t": np.float32(0.05), "u": np.uint8(100), "r": np.float32(1 / 256),
        "n": np.uint8(0), "w": rng.normal(0, 0.3, (4, 4, 3, 3)).astype(np.float32), "c": np.ones(4, np.float32),
        "h": rng.normal(0, 1, 6).astype(np.float32), "k": rng.integers(0, 256, (7, 6)).astype(np.uint8),
    }  # fmt: skip
    read = arguments.replace(" ", "").split(",")
    inputs = ", ".join(f"{kind} {name}" for name, kind in INPUTS.items() if name in read)
    text = f"{HEADER} g ({inputs}) => ({result} y) {{ y = com.microsoft.{operator} <{attributes}> ({arguments}) }}"
    proto = onnx.parser.parse_model(text.replace("<>", ""))
    for name in {*read} & weights.keys():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(weights[name]), name))
    network = fix_shapes(load(proto).model, {})
    assert all(node.domain == "" for node in network.graph)
    feeds = random_inputs(inputs_of(network), 0)
    expected = Reference(proto.SerializeToString()).run(feeds)["y"]
    got = Reference(network).run(feeds)["y"]
    if expected.dtype == np.uint8:
        assert np.abs(expected.astype(int) - got.astype(int)).max() <= 1
    else:
        assert compare({"y": expected}, {"y": got}).within(1e-4 if operator == "FastGelu" else 1e-5)


def test_others_stay() -> None:
    text = f"{HEADER} g (float[2] x) => (float[2] y) {{ y = com.microsoft.Sparkle (x) }}"
    (node,) = load(onnx.parser.parse_model(text)).model.graph
    assert node.domain == "com.microsoft"
