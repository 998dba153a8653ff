"""`quantize`: the whole, on a small network with every kind of layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgec.compress.quantization import quantize_model
from edgec.errors import BadOption
from edgec.model.graph import constant
from edgec.model.serialize import to_bytes
from edgec.passes.quantize.calibrate import calibrate
from edgec.passes.quantize.placement import place
from edgec.passes.quantize.quantize import LayerOptions, Quantized, quantize
from edgec.quantization import CalibrationTable, Scheme
from edgec.quantizing import QuantizeOptions
from edgec.reference.session import Reference
from tests.passes.quantize_support import pictures, small
from tests.support.models import model, random_weights

NETWORK, SAMPLES = small(), pictures(24)
FEEDS = [sample.inputs for sample in SAMPLES]
TEST = [sample.inputs for sample in pictures(8, seed=99)]


def table(kind: str = "asymmetric", network: ir.Model = NETWORK) -> CalibrationTable:
    scheme = Scheme.model_validate({"kind": kind})
    return calibrate(network, SAMPLES, place(network).tensors, scheme=scheme)


def error(quantized: ir.Model, network: ir.Model = NETWORK) -> float:
    """Return the relative error of the outputs on pictures that were not used before."""
    before, after = Reference(network), Reference(quantized)
    parts = []
    for feeds in TEST:
        expected, got = before.run(feeds), after.run(feeds)
        parts += [np.square(got[k] - expected[k]).sum() / np.square(expected[k]).sum() for k in expected]
    return float(np.sqrt(np.mean(parts)))


def made(kind: str = "asymmetric", **options: Any) -> Quantized:
    return quantize(NETWORK, table(kind), FEEDS, LayerOptions(**options))


@pytest.mark.parametrize("kind", ["asymmetric", "symmetric", "power-of-two"])
@pytest.mark.parametrize("style", ["runtime", "tensorrt"])
def test_the_file_is_valid_and_close_to_the_float_network(kind: str, style: Any) -> None:
    if (kind, style) == ("asymmetric", "tensorrt"):
        pytest.skip("TensorRT does not support zero points")
    result = made(kind, style=style)
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
    assert error(result.model) < (0.03 if kind == "power-of-two" else 0.02)


def test_the_file_computes_what_was_simulated() -> None:
    result = made()
    for feeds in TEST:
        simulated, got = Reference(result.simulated).run(feeds), Reference(result.model).run(feeds)
        for name, array in simulated.items():
            np.testing.assert_allclose(got[name], array, atol=2e-2 * np.abs(array).max())


@pytest.mark.parametrize("bits", [8, 4, 3])
def test_repair_beats_rounding_to_the_nearest(bits: int) -> None:
    repaired, nearest = (made(weight_bits=bits, repair=repair) for repair in (True, False))
    assert error(repaired.simulated) < error(nearest.simulated) * (1.0 if bits == 8 else 0.7)


def test_weights_alone() -> None:
    result = quantize(NETWORK, None, FEEDS, LayerOptions(activations=False, weight_bits=8))
    assert "QuantizeLinear" not in [node.op_type for node in result.model.graph]
    assert error(result.model) < 0.005


def test_bits_are_stored_as_bits() -> None:
    wide = len(to_bytes(NETWORK))
    network = model(
        "net (float[1, 64, 4, 4] image) => (float[1, 64, 4, 4] y) { y = Conv <pads = [1, 1, 1, 1]> (image, w, b) }",
        random_weights(w=(64, 64, 3, 3), b=(64,)),
        opset=18,
    )
    next(iter(network.graph)).name = "conv"
    wide = len(to_bytes(network))
    sizes = {}
    for bits in (8, 4):
        options = LayerOptions(weight_bits=bits, activations=False, repair=False)
        sizes[bits] = len(to_bytes(quantize(network, None, None, options).model)) / wide
    assert sizes[8] < 0.26
    assert sizes[4] < 0.14


def test_runtime_style_has_integer_weights_and_biases() -> None:
    nodes = {node.name: node for node in made().model.graph}
    conv = nodes["Conv_0"]
    weights, bias = (conv.inputs[index].producer() for index in (1, 2))
    assert constant(weights.inputs[0]).dtype == np.int8
    assert constant(bias.inputs[0]).dtype == np.int32
    unit = constant(weights.inputs[1]).astype(np.float64) * constant(conv.inputs[0].producer().inputs[1])
    np.testing.assert_allclose(constant(bias.inputs[1]), unit, rtol=1e-6)


def test_tensorrt_style_has_pairs_on_float_weights_zero_points_of_zero_and_float_biases() -> None:
    result = made("symmetric", style="tensorrt")
    for node in result.model.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero_point = constant(node.inputs[2])
            assert zero_point.dtype == np.int8
            assert not zero_point.any()
        if node.op_type == "Conv":
            assert constant(node.inputs[2]).dtype == np.float32
            pair = node.inputs[1].producer().inputs[0].producer()
            assert pair.op_type == "QuantizeLinear"
            assert pair.attributes["axis"].value == 0
            assert constant(pair.inputs[0]).dtype == np.float32


def test_power_of_two_means_every_scale() -> None:
    result = made("power-of-two", weight_bits=8)
    for node in result.model.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            exponents = np.log2(constant(node.inputs[1]))
            np.testing.assert_array_equal(exponents, np.rint(exponents))


def test_the_runtime_fuses_the_pairs_into_integer_layers(tmp_path: Any) -> None:
    from edgec.reference.onnx_runtime import ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(to_bytes(made().model), options, providers=["CPUExecutionProvider"])
    ops = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert "QLinearConv" in ops


def zeroed() -> ir.Model:
    """Return the network with a filter that is all zero but has a bias."""
    network = small()
    weights = np.array(constant(network.graph.initializers["w1"]))
    weights[3] = 0
    network.graph.initializers["w1"].const_value = ir.tensor(weights, name="w1")
    return network


def test_an_all_zero_filter_gives_its_bias_alone() -> None:
    network = zeroed()
    result = quantize(network, table(network=network), FEEDS, LayerOptions())
    assert result.weights.zero_filters == {"Conv_0": 1}
    scales = next(params for name, params in result.weights.params.items() if name == "w1")
    assert min(scales.scale) > 0
    assert error(result.model, network) < 0.02


def test_a_bias_that_would_overflow_enlarges_its_channels_step() -> None:
    network = small()
    weights, bias = (np.array(constant(network.graph.initializers[name])) for name in ("w1", "b1"))
    weights[2] *= 1e-9
    bias[2] = 3.0
    network.graph.initializers["w1"].const_value = ir.tensor(weights, name="w1")
    network.graph.initializers["b1"].const_value = ir.tensor(bias, name="b1")
    result = quantize(network, table(network=network), FEEDS, LayerOptions())
    assert ("Conv_0", "steps of 1 channels enlarged: their bias would exceed int32") in result.refusals
    assert error(result.model, network) < 0.02


def test_an_excluded_layer_keeps_its_weights() -> None:
    result = made(exclude=frozenset({"Conv_0"}))
    nodes = {node.name: node for node in result.model.graph}
    np.testing.assert_array_equal(constant(nodes["Conv_0"].inputs[1]), constant(NETWORK.graph.initializers["w1"]))


def test_the_original_is_not_altered() -> None:
    before = to_bytes(NETWORK)
    made()
    assert to_bytes(NETWORK) == before


def test_layers_that_share_weights_are_rounded_once() -> None:
    network = model(
        "net (float[1, 4, 8, 8] image) => (float[1, 4, 8, 8] y) { a = Conv (image, w)  r = Relu (a)  y = Conv (r, w) }",
        random_weights(w=(4, 4, 1, 1)),
        opset=18,
    )
    for node in network.graph:
        node.name = f"n_{node.outputs[0].name}"
    samples = pictures(4, (1, 4, 8, 8))
    ranges = calibrate(network, samples, place(network).tensors)
    result = quantize(network, ranges, [s.inputs for s in samples], LayerOptions())
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
    assert {name for name, _ in result.refusals} == {"n_a", "n_y"}


def test_max_loss_leaves_layers_in_float_until_it_is_kept() -> None:
    free = quantize_model(NETWORK, SAMPLES, QuantizeOptions(weight_bits=2, repair=False), metric="output-error")
    assert free.loss is not None
    bound = 0.3 * free.loss
    kept = quantize_model(NETWORK, SAMPLES, QuantizeOptions(weight_bits=2, repair=False, max_loss=bound))
    assert kept.loss is not None
    assert kept.loss <= bound
    assert 0 < len(kept.float_layers) < 6
    gains = [layer.gain for layer in kept.float_layers]
    assert gains == sorted(gains, reverse=True)
    assert {layer.name for layer in kept.float_layers}.isdisjoint(kept.quantized.placement.layers)


def test_a_loss_of_nothing_is_kept_by_leaving_all_in_float() -> None:
    kept = quantize_model(NETWORK, SAMPLES, QuantizeOptions(max_loss=1e-6))
    assert kept.loss == pytest.approx(0, abs=1e-6)
    assert kept.quantized.placement.layers == []


def test_refine_makes_a_bad_table_better() -> None:
    good = table("power-of-two")
    worse = {name: each.model_copy(update={"high": each.high * 16}) for name, each in good.tensors.items()}
    bad = good.model_copy(update={"tensors": worse}).filled()
    result = quantize_model(NETWORK, SAMPLES, QuantizeOptions(refine="outputs"), table=bad)
    assert result.refined is not None
    assert result.refined.after.value < 0.5 * result.refined.before.value
    assert result.loss == pytest.approx(result.refined.after.value, rel=0.3)
    assert result.refined.work < 0.9 * result.refined.evaluations
    assert any("refine" in each.method for each in result.refined.table.tensors.values())


def test_an_asymmetric_table_is_not_for_tensorrt() -> None:
    with pytest.raises(BadOption, match="TensorRT does not support zero points"):
        quantize_model(NETWORK, SAMPLES, QuantizeOptions(style="tensorrt"), table=table())


@pytest.mark.parametrize("bits", [2, 3, 4, 7])
def test_tensorrt_takes_weights_of_8_bits(bits: int) -> None:
    with pytest.raises(BadOption, match=f"TensorRT supports weights of 8 bits, not {bits}"):
        quantize_model(NETWORK, SAMPLES, QuantizeOptions(style="tensorrt", weight_bits=bits))


def test_a_pattern_that_matches_no_layer() -> None:
    with pytest.raises(BadOption, match="'head' matches no layer"):
        quantize_model(NETWORK, SAMPLES, QuantizeOptions(exclude=("head",)))


def test_a_table_that_lacks_a_tensor() -> None:
    whole = table()
    part = whole.model_copy(update={"tensors": {k: v for k, v in whole.tensors.items() if k != "rd"}})
    with pytest.raises(BadOption, match="no tensor 'rd'"):
        quantize_model(NETWORK, SAMPLES, QuantizeOptions(), table=part)
