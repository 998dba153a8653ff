"""Constants where a node is usual: as the first operand, of Concat, in Q/DQ networks, as scalars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tvm")

from edgec.model.signature import inputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from tests.support.lowered import MODEL, SMALL_MODELS, run_network
from tests.support.models import model, random_weights
from tests.support.quantized_layers import Pair, QuantizedNetwork

TOLERANCE = 1e-5
CONV = "Conv <pads = [1, 1, 1, 1]>"

CASES = {
    "class token": (
        "g (float[1, 3, 16, 16] x) => (float[1, 17, 6] y) <int64[3] flat = {1, 24, 16}> {"
        " p = Conv <strides = [4, 4]> (x, w)  r = Reshape (p, flat)  t = Transpose <perm = [0, 2, 1]> (r)"
        " a = Concat <axis = 1> (token, t)  s = Add (a, place)  y = MatMul (s, v) }",
        {"w": (24, 3, 4, 4), "token": (1, 1, 24), "place": (1, 17, 24), "v": (24, 6)},
    ),
    "coordinate planes": (
        f"g (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) {{ a = Concat <axis = 1> (c, x)  y = {CONV} (a, w) }}",
        {"c": (1, 2, 8, 8), "w": (4, 5, 3, 3)},
    ),
    "planes beside a convolution": (
        f"g (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) {{ p = {CONV} (x, w)"
        f" a = Concat <axis = 1> (c, p, d)  r = Relu (a)  y = {CONV} (r, v) }}",
        {"c": (1, 2, 8, 8), "d": (1, 3, 8, 8), "w": (8, 3, 3, 3), "v": (4, 13, 3, 3)},
    ),
    "planes that fill whole blocks": (
        f"g (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) {{ p = {CONV} (x, w)"
        f" a = Concat <axis = 1> (c, p)  y = {CONV} (a, v) }}",
        {"c": (1, 16, 8, 8), "w": (16, 3, 3, 3), "v": (4, 32, 3, 3)},
    ),
    "constant minus a picture": (
        f"g (float[1, 3, 8, 8] x) => (float[1, 8, 8, 8] y) {{ p = {CONV} (x, w)  d = Sub (c, p)  y = Div (k, d) }}",
        {"c": (8, 1, 1), "k": (1, 1, 8, 8), "w": (8, 3, 3, 3)},
    ),
    "constant matrix first": (
        "g (float[1, 5, 7] x) => (float[2, 4, 7] y) { y = MatMul (c, x) }",
        {"c": (2, 4, 5)},
    ),
    "constant matrix first, of a picture": (
        f"g (float[1, 3, 8, 8] x) => (float[1, 4, 11, 8] y) {{ p = {CONV} (x, w)  y = MatMul (c, p) }}",
        {"c": (11, 8), "w": (4, 3, 3, 3)},
    ),
    "constant row times a matrix": ("g (float[5, 7] x) => (float[7] y) { y = MatMul (c, x) }", {"c": (5,)}),
    "constant first in Gemm": (
        "g (float[5, 7] x, float[7] b) => (float[4, 7] y) { y = Gemm <transA = 1> (c, x, b) }",
        {"c": (5, 4)},
    ),
    "constant picture, computed filter": (
        f"g (float[4, 3, 3, 3] x) => (float[1, 4, 8, 8] y) {{ r = Relu (x)  y = {CONV} (c, r) }}",
        {"c": (1, 3, 8, 8)},
    ),
    "choice between constants": (
        "g (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) <float z = {0.5}>"
        " { t = Greater (x, z)  y = Where (t, c, d) }",
        {"c": (1, 3, 8, 8), "d": (3, 1, 1)},
    ),
    "table of embeddings": (
        "g (int64[1, 5] x) => (float[1, 5, 6] y) { e = Gather <axis = 0> (c, x)  y = Softmax (e) }",
        {"c": (12, 6)},
    ),
    "power of a constant": (
        "g (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) <float two = {2}> { y = Pow (two, x) }",
        {},
    ),
    "scattered into a constant": (
        "g (float[1, 2] x) => (float[4, 2] y) <int64[1, 1] i = {2}> { y = ScatterND (c, i, x) }",
        {"c": (4, 2)},
    ),
    "constant sampled at a computed grid": (
        "g (float[1, 4, 4, 2] x) => (float[1, 3, 4, 4] y) { y = GridSample (c, x) }",
        {"c": (1, 3, 5, 5)},
    ),
    "scalars first": (
        f"g (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) <float one = {{1}}, float half = {{0.5}}>"
        f" {{ a = Sub (one, x)  m = Max (half, a)  d = Div (one, m)  y = {CONV} (d, w) }}",
        {"w": (4, 3, 3, 3)},
    ),
    "stacked with a constant": (
        "g (float[1, 4] x) => (float[3, 4] y) { s = Sum (c, x)  y = Concat <axis = 0> (d, s, x) }",
        {"c": (1, 4), "d": (1, 4)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_constant_operand(case: str) -> None:
    text, shapes = CASES[case]
    network = model(text, random_weights(**shapes), opset=18)
    feeds = random_inputs(inputs_of(network), seed=0)
    expected = Reference(network).run(feeds)
    for cpu in SMALL_MODELS if "planes" in case or "matrix" in case else (MODEL,):
        comparison = compare(expected, run_network(network, feeds, cpu)[0])
        assert comparison.within(TOLERANCE), f"{cpu.isa}: {comparison}"


def clamp(bounds: str, follow: str) -> str:
    result = "float[1, 4, 8, 8]" if "Conv" in follow else "float[1, 3, 4, 4]"
    scalars = "float low = {0.2}, float high = {0.7}"
    return f"g (float[1, 3, 8, 8] x) => ({result} y) <{scalars}> {{ c = Clip (x{bounds})  y = {follow} }}"


@pytest.mark.parametrize("bounds", [", low", ", , high", ", low, high", ""])
@pytest.mark.parametrize(
    "follow", [f"{CONV} (c, w)", "MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c)"], ids=["conv", "pool"]
)
def test_clip_that_no_layer_takes_in(bounds: str, follow: str) -> None:
    weights = random_weights(w=(4, 3, 3, 3)) if "Conv" in follow else {}
    network = model(clamp(bounds, follow), weights, opset=18)
    feeds = random_inputs(inputs_of(network), seed=0)
    comparison = compare(Reference(network).run(feeds), run_network(network, feeds)[0])
    assert comparison.within(TOLERANCE), str(comparison)


def planes(*, first: bool, fold: str = "") -> tuple[QuantizedNetwork, str]:
    """Integers: a convolution, joined with a constant, quantized, and convolved again."""
    network = QuantizedNetwork()
    inner = network.conv(network.input((1, 8, 9, 9)), 8, 16, (3, 3), pads=[1, 1, 1, 1])
    plane = network.constant(network.rng.normal(0, 1, (1, 8, 9, 9)).astype(np.float32))
    if fold:
        plane = network.pair(network.node(fold, [network.pair(plane, Pair())]), Pair(scale=0.05))
    parts = [network.pair(inner, Pair(scale=0.05)), plane]
    joined = network.node("Concat", parts[::-1] if first else parts, axis=1)
    output = network.conv(network.pair(joined, Pair(scale=0.05)), 24, 8, (3, 3), pads=[1, 1, 1, 1])
    return network, network.pair(output, Pair(scale=0.1, zero_point=100))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("fold", ["", "Relu", "Sigmoid"])
@pytest.mark.parametrize("kind", ["none", "pairs", "vnni"])
def test_constant_among_integers(first: bool, fold: str, kind: str) -> None:
    if kind == "vnni" and MODEL.dot_product != "vnni":
        pytest.skip("this CPU has no such instructions")
    network = planes(first=first, fold=fold)
    graph = network[0].model(network[1])
    feeds = random_inputs(inputs_of(graph), seed=0)
    (expected,) = Reference(graph).run(feeds).values()
    (got,) = run_network(graph, feeds, replace(MODEL, dot_product=kind))[0].values()
    difference = np.abs(got - expected)
    assert difference.max() <= 0.1001  # one step of the output
    assert np.mean(difference > 0.05) < 0.001
