"""Windows: what ONNX's inference and ONNX Runtime get wrong is written out, so that both say the same."""

from __future__ import annotations

import numpy as np
import pytest

from edgec.errors import BadModel
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of, outputs_of
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from tests.support.models import model, random_weights
from tests.support.uses.generate import use_of
from tests.support.uses.judge import difference, reference

ODD = (
    ("MaxPool", "kernel_shape = [2, 3], strides = [3, 3], pads = [1, 0, 0, 2], ceil_mode = 1", (3, 2)),
    ("MaxPool", "kernel_shape = [1, 1], strides = [2, 2], auto_pad = \"SAME_UPPER\"", (3, 3)),
    ("MaxPool", "kernel_shape = [3, 3], dilations = [2, 2], auto_pad = \"SAME_LOWER\"", (6, 5)),
    ("AveragePool", "kernel_shape = [1, 2], strides = [4, 1], ceil_mode = 1", (2, 4)),
    ("AveragePool", "kernel_shape = [1, 1], strides = [3, 2], auto_pad = \"SAME_UPPER\"", (2, 3)),
    (
        "AveragePool",
        "kernel_shape = [1, 2], strides = [4, 2], pads = [1, 0, 0, 0], ceil_mode = 1, count_include_pad = 1",
        (2, 3),
    ),
    ("LpPool", "kernel_shape = [1, 1], strides = [4, 3], ceil_mode = 1", (2, 2)),
)  # fmt: skip


@pytest.mark.parametrize(("operator", "attributes", "sizes"), ODD)
def test_odd_pools_have_the_shape_that_they_compute(operator: str, attributes: str, sizes: tuple[int, int]) -> None:
    text = f"g (float[1, 2, 6, 5] x) => (float[1, 2, H, W] z) {{ y = {operator} <{attributes}> (x)  z = Relu (y) }}"
    network = model(text, opset=18)
    (output,) = outputs_of(network)
    assert output.shape == (1, 2, *sizes)
    assert Reference(network).run(random_inputs(inputs_of(network), 0))["z"].shape == output.shape


@pytest.mark.parametrize("operator", ["AveragePool", "LpPool", "MaxPool", "ConvTranspose"])
def test_what_is_written_out_computes_the_same(operator: str) -> None:
    changed = 0
    for seed in range(60):
        use = use_of(operator, seed)
        expected = reference(use)
        if expected is None:
            continue
        network = fix_shapes(load(use.model(expected)).model, {})
        changed += "auto_pad" not in network.graph[-1].attributes and "auto_pad" in use.attributes
        if outputs_of(network)[0].shape != expected[0].shape:
            assert use.attributes["auto_pad"].startswith("SAME")  # of which ONNX Runtime makes its own
            continue
        assert difference(use, expected, list(Reference(network).run(use.feeds).values())) == ""
    assert changed


def test_same_pools_of_a_stride_above_the_kernel_take_every_second_pixel() -> None:
    network = model(
        "g (float[1, 1, 4, 4] x) => (float[1, 1, 2, 2] y) { y = MaxPool <kernel_shape = [1, 1], strides = [2, 2],"
        ' auto_pad = "SAME_UPPER"> (x) }'
    )
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(Reference(network).run({"x": x})["y"], x[:, :, ::2, ::2])


def test_the_output_shape_of_a_transposed_convolution_is_its_output() -> None:
    text = """g (float[1, 4, 5, 5] x) => (float[1, 2, H, W] y)
    { c = ConvTranspose <output_shape = [10, 9], strides = [2, 2]> (x, w)  y = Relu (c) }"""
    network = model(text, random_weights(w=(4, 2, 3, 3)))
    assert outputs_of(network)[0].shape == (1, 2, 10, 9)


def test_same_of_a_transposed_convolution_adds_nothing_beyond_the_reach_of_the_kernel() -> None:
    text = """g (float[1, 1, 4, 2] x) => (float[1, 1, H, W] y)
    { y = ConvTranspose <auto_pad = "SAME_UPPER", strides = [3, 2]> (x, w) }"""
    network = model(text, random_weights(w=(1, 1, 3, 1)))
    assert outputs_of(network)[0].shape == (1, 1, 12, 3)
    assert Reference(network).run({"x": np.ones((1, 1, 4, 2), np.float32)})["y"].shape == (1, 1, 12, 3)


def test_a_kernel_size_that_contradicts_the_weights_is_refused() -> None:
    text = """g (float[1, 3, 6, 5] x) => (float[1, 4, 6, 3] y) {
        y = Conv <kernel_shape = [1, 3]> (x, w) }"""
    with pytest.raises(BadModel, match=r"Conv node 'y': .* kernel_shape is \[1, 3\], but the weights are \[3, 3\]"):
        model(text, random_weights(w=(4, 3, 3, 3)))
