"""Costs, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from edgec.errors import UnsupportedModel
from edgec.model.cost import LayerCost, layer_costs, total_cost
from edgec.model.load import load
from tests.support.models import CONV_BN_RELU, model, proto, random_weights


def costs(graph: str, **weights: tuple[int, ...]) -> tuple[LayerCost, ...]:
    return layer_costs(model(graph, random_weights(**weights)))


def macs(graph: str, **weights: tuple[int, ...]) -> int:
    return total_cost(costs(graph, **weights)).macs


def test_layers_of_a_small_network() -> None:
    conv, norm, relu = layer_costs(model(CONV_BN_RELU))
    assert conv == LayerCost("c", "Conv", (1, 4, 8, 8), 4 * 3 * 64, 12, 48, 4 * 64 * 4)
    assert (norm.op, norm.macs, norm.parameters) == ("BatchNormalization", 0, 16)
    assert (relu.op, relu.macs, relu.parameters, relu.weight_bytes) == ("Relu", 0, 0, 0)
    assert total_cost((conv, norm, relu)) == LayerCost("total", "", (), 768, 28, 112, 3 * 1024)


@pytest.mark.parametrize(
    ("node", "weight", "expected"),
    [
        ("Conv (x, w)", (16, 8, 3, 3), 16 * 8 * 9 * 6 * 6),
        ("Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w)", (16, 8, 3, 3), 16 * 8 * 9 * 4 * 4),
        ("Conv <group = 8> (x, w)", (8, 1, 3, 3), 8 * 9 * 6 * 6),
        ("Conv <group = 2> (x, w)", (16, 4, 1, 1), 16 * 4 * 64),
        ("ConvTranspose <strides = [2, 2]> (x, w)", (8, 5, 2, 2), 8 * 5 * 4 * 64),
        ("ConvTranspose <group = 4> (x, w)", (8, 3, 3, 3), 8 * 3 * 9 * 64),
        ("MatMul (x, w)", (8, 5), 8 * 8 * 8 * 5),
        ('Einsum <equation = "nchw,kc->nkhw"> (x, w)', (16, 8), 16 * 8 * 64),
        ('Einsum <equation = "...w,wk->...k"> (x, w)', (8, 5), 0),
    ],
)
def test_macs(node: str, weight: tuple[int, ...], expected: int) -> None:
    assert macs(
        f"g (float[1, 8, 8, 8] x) => (y) {{ y = {node} }}".replace("(y)", "(float[a, b, c, d] y)"), w=weight
    ) == (expected)


@pytest.mark.parametrize(("attributes", "left"), [("", "5, 7"), ("<transA = 1>", "7, 5")])
def test_gemm(attributes: str, left: str) -> None:
    assert macs(f"g (float[{left}] x) => (float[M, N] y) {{ y = Gemm {attributes} (x, w) }}", w=(7, 3)) == 5 * 7 * 3


def test_product_of_two_activations() -> None:
    assert macs("g (float[2, 4, 5, 6] a, float[2, 4, 6, 7] b) => (float[2, 4, 5, 7] y) { y = MatMul (a, b) }") == (
        2 * 4 * 5 * 7 * 6
    )


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent(op: str, gates: int) -> None:
    graph = f"""g (float[10, 2, 6] x) => (float[10, 2, 2, 5] y) {{
      y = {op} <hidden_size = 5, direction = "bidirectional"> (x, w, r) }}"""
    expected = 10 * 2 * 2 * gates * 5 * (6 + 5)
    assert macs(graph, w=(2, gates * 5, 6), r=(2, gates * 5, 5)) == expected


def test_batch_counts() -> None:
    assert (
        macs("g (float[3, 8, 8, 8] x) => (float[3, 2, 8, 8] y) { y = Conv (x, w) }", w=(2, 8, 1, 1)) == 3 * 2 * 8 * 64
    )


def test_shared_weights_are_counted_once() -> None:
    graph = "g (float[1, 8] x) => (float[1, 8] y) { a = MatMul (x, w)  y = MatMul (a, w) }"
    first, second = costs(graph, w=(8, 8))
    assert (first.parameters, second.parameters) == (64, 0)
    assert first.macs == second.macs == 64


def test_what_computes_constants_is_no_layer() -> None:
    graph = """g (float[1, 8] x) => (float[2, 4] y) <int64[2] s = {8, 8}, int64[2] t = {2, 4}> {
      w = ConstantOfShape (s)  k = Constant <value = float[1] {2}> ()  v = Mul (w, k)  z = MatMul (x, v)
      y = Reshape (z, t) }"""
    product, reshape = costs(graph)
    assert (product.op, product.parameters, product.weight_bytes) == ("MatMul", 64, 256)
    assert (reshape.op, reshape.parameters, reshape.weight_bytes) == ("Reshape", 0, 16)


def test_random_numbers_are_no_constants() -> None:
    graph = "g (float[4] x) => (float[4] y) { r = RandomNormal <shape = [4]> ()  y = Add (x, r) }"
    assert [layer.op for layer in costs(graph)] == ["RandomNormal", "Add"]


def test_size_that_depends_on_the_data() -> None:
    (layer,) = costs("g (float[4] x) => (int64[1, M] y) { y = NonZero (x) }")
    assert (layer.shape, layer.activation_bytes) == ((1, -1), 0)


def test_open_shape_names_op_and_node() -> None:
    unfixed = load(proto("g (float[N, 8] x, float[8, 8] w) => (float[N, 8] y) { y = MatMul (x, w) }")).model
    with pytest.raises(UnsupportedModel, match=r"cost of MatMul node .* 'y' is open"):
        layer_costs(unfixed)
