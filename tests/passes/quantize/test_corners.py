"""Small networks at the corners of what layers may be: quantized soundly, or left in float and said so."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgec.compress.quantization import quantize_model
from edgec.data.samples import Sample, Samples
from edgec.model.signature import inputs_of
from edgec.passes.prepare import prepare
from edgec.passes.quantize.calibrate import calibrate_model
from edgec.quantizing import QuantizeOptions
from edgec.reference.session import Reference
from tests.support.models import model, random_weights

WITHIN = 0.06
"""Relative error of int8 outputs of two or three layers of random weights."""

SEQUENCE = "g (float[1, 4, 40] x) => (float[1, 5, a] y)"
PICTURE = "g (float[1, 4, 10, 10] x) => (float[1, 5, a, b] y)"
VOLUME = "g (float[1, 4, 6, 6, 6] x) => (float[1, 5, a, b, c] y)"
ROWS = "g (float[6, 8] x) => (float[a, b] y)"

CORNERS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "1-D convolutions": (
        f"{SEQUENCE} {{ a = Conv <pads = [1, 1]> (x, u, c)  b = Relu (a)  y = Conv (b, v) }}",
        {"u": (8, 4, 3), "c": (8,), "v": (5, 8, 3)},
    ),
    "1-D depthwise, clipped": (
        f"{SEQUENCE} <float zero = {{0}}, float six = {{6}}> {{ a = Conv (x, u)  b = Clip (a, zero, six)"
        " d = Conv <group = 8, pads = [2, 2], dilations = [2]> (b, w)  y = Conv (d, v) }",
        {"u": (8, 4, 3), "w": (8, 1, 3), "v": (5, 8, 1)},
    ),
    "1-D, a scale a channel between": (
        f"{SEQUENCE} {{ a = Conv (x, u)  b = Sigmoid (a)  m = Mul (b, s)  t = Add (m, s)  y = Conv (t, v) }}",
        {"u": (8, 4, 3), "s": (8, 1), "v": (5, 8, 1)},
    ),
    "1-D transposed": (
        f"{SEQUENCE} {{ a = ConvTranspose <strides = [2]> (x, u, c)  b = Relu (a)  y = Conv (b, v) }}",
        {"u": (4, 8, 2), "c": (8,), "v": (5, 8, 1)},
    ),
    "3-D convolutions": (
        f"{VOLUME} {{ a = Conv <pads = [1, 1, 1, 1, 1, 1]> (x, u, c)  b = Relu (a)"
        " m = MaxPool <kernel_shape = [2, 2, 2], strides = [2, 2, 2]> (b)  y = Conv (m, v) }",
        {"u": (8, 4, 3, 3, 3), "c": (8,), "v": (5, 8, 1, 1, 1)},
    ),
    "3-D depthwise": (
        f"{VOLUME} {{ a = Conv (x, u)  b = LeakyRelu (a)  d = Conv <group = 8> (b, w)  y = Conv (d, v) }}",
        {"u": (8, 4, 1, 1, 1), "w": (8, 1, 3, 3, 3), "v": (5, 8, 1, 1, 1)},
    ),
    "3-D transposed": (
        f"{VOLUME} {{ a = ConvTranspose <strides = [2, 2, 2]> (x, u)  y = Conv (a, v) }}",
        {"u": (4, 8, 2, 2, 2), "v": (5, 8, 1, 1, 1)},
    ),
    "grouped transposed": (
        f"{PICTURE} {{ a = ConvTranspose <group = 2, strides = [2, 2]> (x, u, c)  y = Conv (a, v) }}",
        {"u": (4, 3, 2, 2), "c": (6,), "v": (5, 6, 1, 1)},
    ),
    "overlapping transposed, grouped by channel": (
        f"{PICTURE} {{ a = ConvTranspose <group = 4, strides = [2, 2], pads = [1, 1, 1, 1]> (x, u)  y = Conv (a, v) }}",
        {"u": (4, 1, 4, 4), "v": (5, 4, 1, 1)},
    ),
    "two filters a channel": (
        f"{PICTURE} {{ a = Conv <group = 4> (x, u, c)  b = Relu (a)  y = Conv (b, v) }}",
        {"u": (8, 1, 3, 3), "c": (8,), "v": (5, 8, 3, 3)},
    ),
    "a batch": (
        "g (float[3, 4, 10, 10] x) => (float[3, 5, 8, 8] y) { a = Conv (x, u)  b = Relu (a)  y = Conv (b, v) }",
        {"u": (8, 4, 3, 3), "v": (5, 8, 1, 1)},
    ),
    "weights shared by two layers": (
        f"{PICTURE} {{ a = Conv <pads = [1, 1, 1, 1]> (x, u)  b = Relu (a)  d = Conv <pads = [1, 1, 1, 1]> (b, u)"
        " y = Conv (d, v) }",
        {"u": (4, 4, 3, 3), "v": (5, 4, 1, 1)},
    ),
    "weights and bias shared by two layers": (
        f"{PICTURE} {{ a = Conv (x, u, c)  b = Relu (a)  d = Conv (b, u, c)  y = Conv (d, v) }}",
        {"u": (4, 4, 1, 1), "c": (4,), "v": (5, 4, 1, 1)},
    ),
    "weights that are a table too": (
        "g (int64[6] i, float[6, 8] x) => (float[6, 8] z, float[6, 12] y)"
        " { z = Gather <axis = 0> (w, i)  y = Gemm <transB = 1> (x, w) }",
        {"w": (12, 8)},
    ),
    "weights read both ways": (
        f"{ROWS} {{ a = MatMul (x, w)  b = Relu (a)  y = Gemm <transB = 1> (b, w) }}",
        {"w": (8, 12)},
    ),
    "dense, all that Gemm can": (
        f"{ROWS} {{ a = Gemm <alpha = 0.5, beta = 2.0> (x, u, c)  b = Gemm <transB = 1> (a, v, d)"
        " y = Gemm <transA = 1> (b, e, f) }",
        {"u": (8, 12), "c": (6, 12), "v": (7, 12), "d": (1, 7), "e": (6, 5), "f": ()},
    ),
    "dense, a bias of one number": (
        f"{ROWS} {{ a = Gemm (x, u, c)  b = Gemm (a, v, d)  y = MatMul (b, w) }}",
        {"u": (8, 12), "c": (1,), "v": (12, 8), "d": (6, 1), "w": (8, 5)},
    ),
    "dense of a vector": (
        "g (float[8] x) => (float[5] y) { a = MatMul (x, u)  b = Add (a, c)  r = Relu (b)  y = MatMul (r, v) }",
        {"u": (8, 12), "c": (12,), "v": (12, 5)},
    ),
    "products with a vector": (
        "g (float[2, 6, 8] x) => (float[2, 6] y) { a = MatMul (x, u)  y = MatMul (a, v) }",
        {"u": (8, 8), "v": (8,)},
    ),
    "dense of many axes": (
        "g (float[2, 3, 4, 8] x) => (float[2, 3, 4, 5] y) { a = MatMul (x, u)  b = Add (a, c)  y = MatMul (b, v) }",
        {"u": (8, 12), "c": (12,), "v": (12, 5)},
    ),
    "a stack of matrices": (
        "g (float[3, 6, 8] x) => (float[3, 6, 5] y) { a = MatMul (x, u)  r = Relu (a)  y = MatMul (r, v) }",
        {"u": (3, 8, 12), "v": (1, 12, 5)},
    ),
    "constant matrix first": (
        "g (float[6, 8] x) => (float[5, 4] y) { a = MatMul (u, x)  y = MatMul (a, v) }",
        {"u": (5, 6), "v": (8, 4)},
    ),
    "constant matrix first in Gemm": (
        "g (float[6, 8] x) => (float[5, 4] y) { a = Gemm (u, x)  y = MatMul (a, v) }",
        {"u": (5, 6), "v": (8, 4)},
    ),
    "attention": (
        "g (float[1, 6, 8] x) => (float[1, 6, 8] y) <float k = {0.35}> { q = MatMul (x, u)  p = MatMul (x, v)"
        " t = Transpose <perm = [0, 2, 1]> (p)  s = MatMul (q, t)  m = Mul (k, s)  a = Softmax (m)"
        " w0 = MatMul (x, w)  y = MatMul (a, w0) }",
        {"u": (8, 8), "v": (8, 8), "w": (8, 8)},
    ),
    "class token": (
        "g (float[1, 6, 8] x) => (float[1, 7, 5] y) { a = Concat <axis = 1> (token, x)  s = Add (place, a)"
        " y = MatMul (s, v) }",
        {"token": (1, 1, 8), "place": (1, 7, 8), "v": (8, 5)},
    ),
    "planes first": (
        f"{PICTURE} {{ c = Conv (x, u)  a = Concat <axis = 1> (plane, c)  r = Relu (a)  y = Conv (r, v) }}",
        {"u": (8, 4, 1, 1), "plane": (1, 2, 10, 10), "v": (5, 10, 3, 3)},
    ),
    "constant minus a picture": (
        f"{PICTURE} <float one = {{1}}> {{ a = Sub (one, x)  c = Conv (a, u)  d = Sub (s, c)  y = Conv (d, v) }}",
        {"u": (8, 4, 3, 3), "s": (8, 1, 1), "v": (5, 8, 1, 1)},
    ),
    "constant picture, computed filter": (
        "g (float[5, 4, 3, 3] x) => (float[1, 5, 8, 8] y) { r = Relu (x)  y = Conv (picture, r) }",
        {"picture": (1, 4, 10, 10)},
    ),
    "computed filter": (
        "g (float[1, 4, 10, 10] x, float[5, 4, 3, 3] k) => (float[1, 5, 8, 8] y) { r = Relu (k)  y = Conv (x, r) }",
        {},
    ),
    "one number in, one out": (
        "g (float x) => (float y) <int64[2] two = {1, 1}, int64[0] none = {}> { r = Reshape (x, two)"
        " a = MatMul (r, u)  b = MatMul (a, v)  y = Reshape (b, none) }",
        {"u": (1, 8), "v": (8, 1)},
    ),
    "a layer that reads nothing but zeros": (
        f"{PICTURE} <float zero = {{0}}> {{ z = Mul (x, zero)  a = Conv (z, u, c)  b = Conv (x, w)  s = Add (a, b)"
        " y = Conv (s, v) }",
        {"u": (8, 4, 1, 1), "c": (8,), "w": (8, 4, 1, 1), "v": (5, 8, 1, 1)},
    ),
}
TWO_STAGES = """
g (float[1, 4, 10, 10] x) => (float[N, 5] y)
<int64[1] few = {7}, float half = {0.5}, int64[1] third = {3}, int64[1] two = {2}, int64[2] rows = {-1, 4},
 int64[3] one = {1, -1, 4}, int64[3] scored = {1, 1, -1}, int64[2] flat = {-1, 72}>
{
  f = Conv <pads = [1, 1, 1, 1]> (x, u)  r = Relu (f)
  b = Conv (r, v)  c = Reshape (b, one)  s0 = Conv (r, w)  s1 = Sigmoid (s0)  s = Reshape (s1, scored)
  a = Abs (c)  n = NonMaxSuppression (a, s, few, half, half)
  i = Slice (n, two, third, last_axis)  j = Squeeze (i, last_axis)
  p0 = Reshape (a, rows)  p = Gather <axis = 0> (p0, j)
  z = Mul (j, zero)
  q = RoiAlign <output_height = 3, output_width = 3, sampling_ratio = 2> (r, p, z)
  t = Reshape (q, flat)  d = Gemm (t, k, l)  e = Relu (d)  y = MatMul (e, m)
}
"""
"""Boxes, as many as a picture has, and layers that judge each of them."""


class Random(Samples):
    """Normal numbers for every input, indices from 0 to 5."""

    def __init__(self, network: ir.Model, count: int = 12, seed: int = 0, *, zeros: int = 0) -> None:
        rng = np.random.default_rng(seed)

        def array(spec: Any) -> np.ndarray[Any, Any]:
            values = rng.integers(0, 6, spec.shape) if spec.dtype == "int64" else rng.normal(size=spec.shape)
            return np.asarray(values, spec.dtype)

        self._feeds = [{spec.name: array(spec) for spec in inputs_of(network)} for _ in range(count)]
        for feeds in self._feeds[:zeros]:
            feeds |= {name: np.zeros_like(array) for name, array in feeds.items()}

    def __len__(self) -> int:
        return len(self._feeds)

    def __getitem__(self, index: int) -> Sample:
        return Sample(f"sample-{index}", self._feeds[index])


def error(before: ir.Model, after: ir.Model, samples: Samples) -> float:
    """Return the relative error of the outputs, of all of them and all samples together."""
    references, wrong, whole = (Reference(before), Reference(after)), 0.0, 0.0
    for sample in samples:
        expected, got = (reference.run(sample.inputs) for reference in references)
        for name, array in expected.items():
            wrong += float(np.square(got[name] - array).sum())
            whole += float(np.square(array).sum())
    return float(np.sqrt(wrong / whole))


def built(corner: str) -> ir.Model:
    text, shapes = CORNERS[corner]
    weights = {name: np.asarray(array) for name, array in random_weights(**shapes).items()}
    return model(text, weights, opset=18)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("style", ["runtime", "tensorrt"])
def test_corner(corner: str, style: str) -> None:
    network = built(corner)
    prepared, samples = prepare(network), Random(network)
    result = quantize_model(prepared, samples, QuantizeOptions(style=style))
    onnx.checker.check_model(ir.to_proto(result.quantized.model), full_check=True)
    assert error(network, result.quantized.model, samples) < WITHIN


@pytest.mark.parametrize("corner", CORNERS)
def test_weights_alone(corner: str) -> None:
    network = built(corner)
    result = quantize_model(prepare(network), Random(network), QuantizeOptions(activations=False, weight_bits=4))
    assert error(network, result.quantized.model, Random(network, 2, seed=9)) < 0.5


@pytest.mark.parametrize("corner", CORNERS)
def test_calibrated_table_serves_again(corner: str) -> None:
    network = built(corner)
    prepared, samples = prepare(network), Random(network)
    table = calibrate_model(prepared, samples, calibrator="percentile")
    result = quantize_model(prepared, samples, QuantizeOptions(repair=False), table=table)
    assert error(network, result.quantized.model, samples) < 2 * WITHIN


def two_stages() -> ir.Model:
    weights = random_weights(u=(8, 4, 3, 3), v=(4, 8, 1, 1), w=(1, 8, 1, 1), k=(72, 16), l=(16,), m=(16, 5))
    weights |= {"last_axis": np.array([1]), "zero": np.array(0)}
    return model(TWO_STAGES, weights, opset=18)


def test_two_stages() -> None:
    network = two_stages()
    prepared, samples = prepare(network), Random(network, zeros=2)  # no score is above a half: no boxes
    result = quantize_model(prepared, samples, QuantizeOptions())
    assert {"Gemm_d", "MatMul_y"} <= set(result.quantized.weights.errors)


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_layers_stay_in_float_and_are_named(op: str, gates: int) -> None:
    network = model(
        f"g (float[6, 1, 8] x) => (float[6, 1, 1, 5] z, float[6, 1, 1, 3] y)"
        f" {{ s = MatMul (x, u)  z, h = {op} <hidden_size = 5> (s, w, r)  y = MatMul (z, v) }}",
        random_weights(u=(8, 8), w=(1, 5 * gates, 8), r=(1, 5 * gates, 5), v=(5, 3)),
        opset=18,
    )
    result = quantize_model(prepare(network), Random(network), QuantizeOptions())
    assert [reason for name, reason in result.quantized.refusals if "z" in name] == ["is recurrent"]
    assert len(result.quantized.placement.layers) == 2
    assert error(network, result.quantized.model, Random(network)) < WITHIN
