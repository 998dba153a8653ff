"""Equalization: same outputs, evener channels, and what a scale cannot pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgec.compress.quantization import quantize_model
from edgec.errors import BadOption
from edgec.passes.quantize.equalization_sites import find_sites
from edgec.passes.quantize.equalize import apply_scales, find_scales
from edgec.quantizing import QuantizeOptions
from edgec.reference.session import Reference
from tests.passes.quantize_support import Arrays, pictures
from tests.support.models import model, random_weights

CHAIN = """
net (float[1, 3, 16, 16] image) => (float[1, 4, 16, 16] y)
<float low = {0}, float six = {6}, float[1, 1, 1, 1] gain = {1.5}, float[1] shift = {0.25}>
{ a = Conv (image, w, b)  r = ACT  d = Conv <group = 8, pads = [1, 1, 1, 1]> (r, wd, bd)  s = Relu (d)
  y = Conv (s, wp, bp) }
"""
ACTIVATIONS = {
    "Relu": "Relu (a)",
    "Relu6": "Clip (a, low, six)",
    "LeakyRelu": "LeakyRelu <alpha = 0.1> (a)",
    "HardSwish": "HardSwish (a)",
    "learnt affine": "HardSwish (a)  m = Mul (r0, gain)  r = Add (m, shift)",
}


def chain(activation: str = "Relu", spread: float = 50.0) -> ir.Model:
    """Return a chain whose first layer has channels of very unlike ranges."""
    text = CHAIN.replace("r = ACT", f"r = {ACTIVATIONS[activation]}")
    if activation == "learnt affine":
        text = text.replace("r = HardSwish (a)", "r0 = HardSwish (a)")
    weights = random_weights(w=(8, 3, 1, 1), b=(8,), wd=(8, 1, 3, 3), bd=(8,), wp=(4, 8, 1, 1), bp=(4,))
    factors = np.geomspace(1 / spread, 1, 8).astype(np.float32)
    weights["w"] *= factors.reshape(-1, 1, 1, 1)
    weights["b"] *= factors
    network = model(text, weights, opset=18)
    for node in network.graph:
        node.name = f"n_{node.outputs[0].name}"
    return network


def feeds(count: int = 8) -> list[dict[str, Any]]:
    return [dict(sample.inputs) for sample in pictures(count)]


@pytest.mark.parametrize("power_of_two", [False, True])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_outputs_stay_the_same_and_ranges_become_even(activation: str, power_of_two: bool) -> None:
    network = chain(activation)
    scales = find_scales(network, feeds(), power_of_two=power_of_two)
    assert "r" in scales
    changed = apply_scales(network, scales)
    assert [node.op_type for node in changed.graph].count("Mul") == (activation in ("HardSwish", "learnt affine"))
    scaled = "r_equalized" if activation == "HardSwish" else "r"
    before, after = Reference(network, ["r"]), Reference(changed, [scaled])
    for sample in feeds():
        old, new = before.run(sample), after.run(sample)
        np.testing.assert_allclose(new["y"], old["y"], atol=2e-5 * np.abs(old["y"]).max())
    largest = [np.abs(each).max(axis=(0, 2, 3)) for each in (old["r"], new[scaled])]
    alive = largest[0] > 0
    spread = [np.ptp(np.log2(each[alive])) for each in largest]
    assert spread[1] < 0.6 * spread[0]
    if power_of_two and activation != "Relu6":
        largest = max(np.abs(after.run(sample)[scaled]).max() for sample in feeds())
        assert 0.98 < largest * 128 / 127 / 2.0 ** np.ceil(np.log2(largest)) < 1.001


def test_channels_that_relu6_clips_keep_their_scale() -> None:
    network = chain("Relu6", spread=1.0)
    bright = [{"image": sample["image"] * np.float32(8)} for sample in feeds()]
    clipped = np.maximum.reduce([Reference(network, ["r"]).run(each)["r"].max(axis=(0, 2, 3)) for each in bright])
    assert 0 < (clipped >= 6).sum() < 8
    scales = np.array(find_scales(network, bright)["r"])
    np.testing.assert_array_equal(scales[clipped >= 6], 1.0)
    changed = apply_scales(network, {"r": scales})
    for sample in bright:
        old, new = Reference(network).run(sample)["y"], Reference(changed).run(sample)["y"]
        np.testing.assert_allclose(new, old, atol=2e-5 * np.abs(old).max())


@pytest.mark.parametrize(
    "between",
    [
        "GlobalAveragePool (r)",
        "AveragePool <kernel_shape = [4, 4]> (r)",
        "Add (r, shift)",
        "MaxPool <kernel_shape = [2, 2]> (r)",
    ],
)
def test_what_relu6_clips_is_seen_through_a_mean_and_a_sum(between: str) -> None:
    text = f"""
    net (float[1, 3, 16, 16] image) => (float[1, 4, h, w] y)
    <float low = {{0}}, float six = {{6}}, float[1, 8, 1, 1] shift = {{-5, -5, -5, -5, -5, -5, -5, -5}}>
    {{ a = Conv (image, w)  r = Clip (a, low, six)  p = {between}  y = Conv (p, v) }}
    """
    weights = random_weights(w=(8, 3, 1, 1), v=(4, 8, 1, 1))
    weights["w"] *= 8
    network = model(text, weights, opset=18)
    changed = apply_scales(network, find_scales(network, feeds()))
    for sample in feeds():
        old, new = Reference(network).run(sample)["y"], Reference(changed).run(sample)["y"]
        np.testing.assert_allclose(new, old, atol=2e-5 * np.abs(old).max())


@pytest.mark.parametrize(
    "body",
    [
        "a = Conv (x, w)  y = Conv (a, v)  z = Relu (a)",
        "y = Conv (x, v)",
        "a = Conv (x, w)  y = Conv (a, w)",
    ],
    ids=["read by others", "input", "shared weights"],
)
def test_what_a_scale_cannot_pass(body: str) -> None:
    outputs = "float[1, 3, 8, 8] y, float[1, 3, 8, 8] z" if "z =" in body else "float[1, 3, 8, 8] y"
    text = f"net (float[1, 3, 8, 8] x) => ({outputs}) {{ {body} }}"
    assert find_sites(model(text, random_weights(w=(3, 3, 1, 1), v=(3, 3, 1, 1)), opset=18)) == []


def test_where_little_is_gained_no_mul_is_inserted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgec.passes.quantize.equalize.WORTH_A_MUL", 99)
    assert "r" not in find_scales(chain("HardSwish", spread=1.0), feeds())


def test_dead_channels_are_left_alone() -> None:
    network = chain(spread=1.0)
    weights = np.array(network.graph.initializers["w"].const_value.numpy())
    weights[2] = 0
    network.graph.initializers["w"].const_value = ir.tensor(weights, name="w")
    network.graph.initializers["b"].const_value = ir.tensor(np.zeros(8, np.float32), name="b")
    scales = find_scales(network, feeds())["r"]
    assert scales[2] == 1
    assert np.isfinite(scales).all()


def test_a_layer_of_zeros_takes_any_scale() -> None:
    network = chain()
    for name in ("wp", "wd"):
        zeros = np.zeros(network.graph.initializers[name].shape.numpy(), np.float32)
        network.graph.initializers[name].const_value = ir.tensor(zeros, name=name)
    for scales in find_scales(network, feeds()).values():
        assert np.isfinite(scales).all()


def test_it_makes_eight_bits_better() -> None:
    samples = Arrays([each["image"] for each in feeds(16)])
    losses = {}
    for on in (True, False):
        settings = QuantizeOptions(equalize=on, repair=False)
        losses[on] = quantize_model(chain(spread=300.0), samples, settings, metric="output-error").loss or 0.0
    assert losses[True] < 0.7 * losses[False]


def test_scales_of_another_model_are_refused() -> None:
    with pytest.raises(BadOption, match="scales 2 channels of 'r'"):
        apply_scales(chain(), {"r": (1.0, 1.0)})
