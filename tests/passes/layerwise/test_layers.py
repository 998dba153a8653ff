"""Layers seen as rows times weights, and networks run piece by piece."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgec.passes.layerwise.find_linear import linear_layer
from edgec.passes.layerwise.linear_layer import LinearLayer
from edgec.reference.frontier import Frontier
from edgec.reference.session import Reference
from tests.support.models import model, random_weights

CONVS = {
    "pointwise": ("", (6, 4, 1, 1)),
    "kernel": ("<pads = [1, 1, 1, 1]>", (6, 4, 3, 3)),
    "strided": ("<pads = [0, 1, 1, 0], strides = [2, 1]>", (6, 4, 3, 2)),
    "dilated": ("<dilations = [2, 2]>", (6, 4, 2, 2)),
    "grouped": ("<group = 2>", (6, 2, 3, 3)),
    "depthwise": ("<group = 4, pads = [1, 1, 1, 1]>", (4, 1, 3, 3)),
}


def layer_of(built: ir.Model, index: int = 0) -> LinearLayer:
    layer = linear_layer(built.graph[index])
    assert isinstance(layer, LinearLayer), layer
    return layer


def assert_rows_explain(built: ir.Model, shape: tuple[int, ...], output: str = "y") -> None:
    """Rows times weights are the outputs, and the weights survive the way there and back."""
    layer = layer_of(built)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    y = Reference(built, taps=[layer.output]).run({"x": x})[layer.output]
    places = layer.choose(y.shape, 7, np.random.default_rng(0))
    assert len(np.unique(places)) == 7
    product = layer.rows_in(x, places) @ layer.weights.transpose(0, 2, 1)
    np.testing.assert_allclose(product, layer.rows_out(y, places), atol=1e-5)
    for name, array in layer.tensors(layer.weights).items():
        np.testing.assert_array_equal(array, built.graph.initializers[name].const_value.numpy())


@pytest.mark.parametrize("kind", CONVS)
def test_convolutions(kind: str) -> None:
    attributes, shape = CONVS[kind]
    text = f"g (float[1, 4, 8, 9] x) => (float[N, C, H, W] y) {{ y = Conv {attributes} (x, w, b) }}"
    assert_rows_explain(model(text, random_weights(w=shape, b=shape[:1])), (1, 4, 8, 9))


@pytest.mark.parametrize("kernel", [(2, 2), (3, 1)])
def test_transposed_convolutions_whose_windows_do_not_overlap(kernel: tuple[int, int]) -> None:
    strides = f"<strides = [{kernel[0]}, {kernel[1]}]>"
    text = f"g (float[1, 4, 5, 6] x) => (float[N, C, H, W] y) {{ y = ConvTranspose {strides} (x, w, b) }}"
    assert_rows_explain(model(text, random_weights(w=(4, 6, *kernel), b=(6,))), (1, 4, 5, 6))


@pytest.mark.parametrize(
    "body",
    ["y = Gemm (x, w, b)", "y = Gemm <transB = 1> (x, v, b)", "y = MatMul (x, w)", "m = MatMul (x, w) y = Add (b, m)"],
)
def test_dense_layers(body: str) -> None:
    text = f"g (float[9, 4] x) => (float[9, 6] y) {{ {body} }}"
    assert_rows_explain(model(text, random_weights(w=(4, 6), v=(6, 4), b=(6,))), (9, 4))


def test_scale_and_shift_by_channel() -> None:
    text = "g (float[1, 4, 8, 9] x) => (float[1, 4, 8, 9] y) { m = Mul (x, w)  y = Add (m, b) }"
    assert_rows_explain(model(text, random_weights(w=(4, 1, 1), b=(4, 1, 1))), (1, 4, 8, 9))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = Relu (x)", "Relu is not a linear layer"),
        ("y = Mul (x, w)", "not a scale and shift"),
        ("y = MatMul (x, x)", "its weights are computed"),
        ("y = Gemm <alpha = 2.0> (x, w)", "it scales"),
        ("y = Gemm (x, w, x)", "its bias is computed"),
        ("y = Gemm (x, w, s)", "its bias is not a vector of outputs"),
    ],
)
def test_what_is_no_linear_layer(body: str, reason: str) -> None:
    text = f"g (float[4, 4] x) => (float[4, 4] y) <float[1] s = {{1}}> {{ {body} }}"
    assert reason in str(linear_layer(model(text, random_weights(w=(4, 4))).graph[0]))


def test_a_transposed_convolution_whose_windows_overlap_is_none() -> None:
    text = "g (float[1, 4, 5, 6] x) => (float[N, C, H, W] y) { y = ConvTranspose <strides = [2, 2]> (x, w) }"
    assert "overlap" in str(linear_layer(model(text, random_weights(w=(4, 6, 3, 3))).graph[0]))


BRANCHES = """g (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y, float[1, 3, 4, 4] z) {
    a = Conv (x, v)  b = Relu (a)  c = Conv (b, w)  z = Sigmoid (c)  d = Add (a, c)  e = Conv (d, w)
    y = Add (e, b) }"""


@pytest.mark.parametrize("memory", [1 << 30, 500], ids=["in_memory", "in_files"])
def test_frontier_gives_what_one_run_gives(memory: int) -> None:
    built = model(BRANCHES, random_weights(v=(3, 3, 1, 1), w=(3, 3, 1, 1)))
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.standard_normal((1, 3, 4, 4), dtype=np.float32)} for _ in range(3)]
    expected = [Reference(built, taps=list("abcde")).run(each) for each in feeds]
    values = {value.name: value for node in built.graph for value in node.outputs}
    frontier = Frontier(built, feeds, memory=memory)
    for names in ("a", "bc", "d", "yz"):
        frontier.advance([values[name] for name in names])
        for name in names:
            for sample in range(3):
                np.testing.assert_array_equal(frontier.value(values[name], sample), expected[sample][name])


def test_frontier_forgets_what_nobody_reads_unless_reserved() -> None:
    built = model(BRANCHES, random_weights(v=(3, 3, 1, 1), w=(3, 3, 1, 1)))
    values = {value.name: value for node in built.graph for value in node.outputs}
    feeds = [{"x": np.ones((1, 3, 4, 4), np.float32)}]
    frontier = Frontier(built, feeds)
    frontier.advance([values["d"]])
    frontier.advance([values["e"]])
    with pytest.raises(ValueError, match="dropped"):
        frontier.advance([values["d"]])
    frontier = Frontier(built, feeds)
    frontier.reserve([values["d"]])
    frontier.advance([values["e"]])
    frontier.advance([values["d"]])


def test_frontier_uses_weights_changed_on_the_way() -> None:
    built = model(BRANCHES, random_weights(v=(3, 3, 1, 1), w=(3, 3, 1, 1)))
    values = {value.name: value for node in built.graph for value in node.outputs}
    frontier = Frontier(built, [{"x": np.ones((1, 3, 4, 4), np.float32)}])
    frontier.advance([values["b"]])
    built.graph.initializers["w"].const_value = ir.tensor(np.zeros((3, 3, 1, 1), np.float32), name="w")
    frontier.advance([values["c"]])
    assert not frontier.value(values["c"], 0).any()
