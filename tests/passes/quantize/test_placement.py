"""Where Q/DQ pairs go: what reads integers, what shares a scale, what stays in float."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir
import pytest

from edgec.passes.quantize.insert_pairs import group_params, insert_pairs
from edgec.passes.quantize.placement import Placement, place
from edgec.quantization import CalibrationTable, Scheme, TensorRange
from tests.passes.quantize_support import small
from tests.support.models import model, random_weights


def placed(text: str, **shapes: tuple[int, ...]) -> tuple[ir.Model, Placement]:
    network = model(text, random_weights(**shapes), opset=18)
    for node in network.graph:
        node.name = f"n_{node.outputs[0].name}"
    return network, place(network)


def test_a_pair_goes_behind_the_activation() -> None:
    text = """net (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y)
    { a = Conv (x, w)  r = Relu (a)  b = Conv (r, v)  y = HardSwish (b) }"""
    _, found = placed(text, w=(3, 3, 1, 1), v=(3, 3, 1, 1))
    assert found.uses == {"x": {("n_a", 0)}, "r": {("n_b", 0)}}
    assert found.layers == ["n_a", "n_b"]


def test_a_residual_add_reads_the_skip_as_integers_and_the_layer_as_it_is() -> None:
    text = """net (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y)
    { a = Conv (x, w)  s = Add (x, a)  r = Relu (s)  y = Conv (r, v) }"""
    _, found = placed(text, w=(3, 3, 1, 1), v=(3, 3, 1, 1))
    assert found.uses == {"x": {("n_a", 0)}, "r": {("n_y", 0)}}  # s is not quantized, so nothing of the Add is
    text = text.replace("r = Relu (s)  y = Conv (r, v)", "y = Conv (s, v)")
    _, found = placed(text, w=(3, 3, 1, 1), v=(3, 3, 1, 1))
    assert found.uses["x"] == {("n_a", 0), ("n_s", 0)}


def test_no_exclusion_asks_for_a_value_that_is_not_calibrated() -> None:
    text = """net (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y)
    { a = Conv (x, w)  b = Conv (a, w)  s = Add (a, b)  c = Conv (s, w)  d = Conv (s, w)  t = Add (c, d)
      m = MaxPool <kernel_shape = [1, 1]> (t)  y = Conv (m, w) }"""
    network, found = placed(text, w=(3, 3, 1, 1))
    for count in range(1, 5):
        for layers in itertools.combinations(found.layers, count):
            assert set(place(network, exclude=layers).tensors) <= set(found.tensors), layers


def test_a_concat_of_boxes_and_scores_that_is_an_output_is_left_alone() -> None:
    found = place(small())
    assert "found" not in found.uses
    assert "boxes" not in found.uses
    assert "sure" not in found.uses


def test_a_concat_that_a_layer_reads_shares_one_scale() -> None:
    found = place(small())
    assert {"m", "r1", "both"} <= set(found.uses)
    assert found.groups["m"] == found.groups["r1"] == found.groups["both"]
    assert found.groups["r2"] == found.groups["m"]  # through the MaxPool


def test_a_concat_also_read_in_float_keeps_scales_of_its_inputs_apart() -> None:
    text = """net (float[1, 3, 4, 4] x) => (float[1, 6, 4, 4] c, float[1, 2, 4, 4] y)
    { a = Conv (x, w)  b = Conv (x, v)  c = Concat <axis = 1> (a, b)  y = Conv (c, u) }"""
    _, found = placed(text, w=(3, 3, 1, 1), v=(3, 3, 1, 1), u=(2, 6, 1, 1))
    assert set(found.uses) == {"x", "c"}


def test_a_linear_resize_computes_new_values_and_is_not_crossed() -> None:
    text = """net (float[1, 3, 4, 4] x) => (float[1, 3, 8, 8] y)
    <float[4] k = {1, 1, 2, 2}>
    { a = Conv (x, w)  z = Resize <mode = "MODE"> (a, , k)  y = Conv (z, v) }"""
    shapes = {"w": (3, 3, 1, 1), "v": (3, 3, 1, 1)}
    assert "a" in placed(text.replace("MODE", "nearest"), **shapes)[1].uses
    assert "a" not in placed(text.replace("MODE", "linear"), **shapes)[1].uses


def test_products_of_two_activations() -> None:
    text = "net (float[1, 4, 5] a, float[1, 5, 4] b) => (float[1, 4, 4] y) { y = MatMul (a, b) }"
    assert set(placed(text)[1].uses) == {"a", "b"}


def test_an_average_pool_reads_integers_where_they_are_there_anyway() -> None:
    text = """net (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] a, float[1, 3, 1, 1] y)
    { a = Conv (x, w)  g = GlobalAveragePool (x)  y = Conv (g, v) }"""
    assert placed(text, w=(3, 3, 1, 1), v=(3, 3, 1, 1))[1].uses["x"] == {("n_a", 0), ("n_g", 0)}


def test_excluded_layers_read_floats() -> None:
    found = place(small(), exclude={"Conv_0"})
    assert "image" not in found.uses
    assert ("Conv_0", "was excluded") in found.refusals


def test_double_precision_is_refused() -> None:
    network = model(
        "net (double[1, 3, 4, 4] x) => (double[1, 3, 4, 4] y) { y = Conv (x, w) }",
        {"w": np.ones((3, 3, 1, 1))},
        opset=18,
    )
    assert place(network).refusals[0][1] == "is not float32"


@pytest.mark.parametrize("kind", ["asymmetric", "symmetric", "power-of-two"])
def test_a_group_covers_the_union_of_its_ranges(kind: str) -> None:
    network = small()
    found = place(network)
    ranges = {name: TensorRange(low=0, high=1 + index) for index, name in enumerate(found.tensors)}
    table = CalibrationTable(scheme=Scheme.model_validate({"kind": kind}), tensors=ranges)
    params = group_params(found, table)
    shared = {params[name] for name in ("r1", "m", "both", "r2")}
    assert len(shared) == 1
    widest = max(ranges[name].high for name in ("r1", "m", "both", "r2"))
    assert shared == {table.scheme.params(0, widest)}


def test_pairs_are_inserted_once_for_all_that_read_integers() -> None:
    network = small()
    found = place(network)
    table = CalibrationTable(tensors={name: TensorRange(low=-1, high=1) for name in found.tensors})
    insert_pairs(network, found, table)
    types = [node.op_type for node in network.graph]
    assert types.count("QuantizeLinear") == types.count("DequantizeLinear") == len(found.tensors)
    nodes = {node.name: node for node in network.graph}
    assert nodes["Conv_0"].inputs[0].name == "image_dequantized"
    assert nodes["Relu_1"].inputs[0].name == "c1"
