"""Codecs: levels, packing, and networks whose weights are decoded by standard operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgec.compress.quantization import quantize_model
from edgec.errors import BadOption
from edgec.model.serialize import to_bytes
from edgec.passes.quantize.codecs.base import Levels, load_codec
from edgec.passes.quantize.codecs.kmeans import kmeans
from edgec.passes.quantize.codecs.log2 import log2
from edgec.passes.quantize.quantize import LayerOptions, quantize
from edgec.passes.quantize.rounding import best_steps
from edgec.passes.quantize.store_codes import CodedWeights, store_codes
from edgec.quantizing import QuantizeOptions
from edgec.reference.session import Reference
from tests.passes.quantize_support import pictures, small
from tests.support.models import model, random_weights

WEIGHTS = np.random.default_rng(0).normal(size=(1, 16, 200))


@pytest.mark.parametrize(("codec", "bits"), [("kmeans", 2), ("kmeans", 4), ("kmeans", 8), ("log2", 4), ("binary", 1)])
def test_there_are_no_more_levels_than_codes(codec: str, bits: int) -> None:
    levels = load_codec(codec)(WEIGHTS, bits, False)
    assert len(levels.levels) <= 2**bits
    assert (np.diff(levels.levels) >= 0).all()


def test_log2_levels_are_shifts() -> None:
    np.testing.assert_array_equal(log2(WEIGHTS, 3, False).levels, [-1, -0.5, -0.25, 0, 0.25, 0.5, 1])


def test_a_codebook_finds_the_values_that_there_are() -> None:
    values = np.array([-1.0, -0.3, 0.1, 1.0])
    weights = values[np.random.default_rng(1).integers(0, 4, (1, 8, 300))]
    weights[:, :, 0] = 1.0
    np.testing.assert_allclose(kmeans(weights, 2, False).levels, values, atol=1e-12)


def test_a_codebook_is_nearer_than_even_levels() -> None:
    peaked = np.random.default_rng(2).laplace(size=(1, 4, 5000))
    steps = np.abs(peaked).max(axis=-1, keepdims=True)
    even = Levels(np.linspace(-1, 1, 16), 4)
    found = kmeans(peaked, 4, False)
    errors = [np.square(each.round(peaked, steps) - peaked).sum() for each in (found, even)]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("shape", [(5, 3, 3, 3), (8, 4, 1, 1), (7, 9)])
@pytest.mark.parametrize(("codec", "bits"), [("kmeans", 2), ("kmeans", 3), ("kmeans", 8), ("log2", 4), ("binary", 1)])
def test_packed_weights_are_decoded_by_onnx(codec: str, bits: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    levels = load_codec(codec)(WEIGHTS, bits, False)
    codes = rng.integers(0, len(levels.levels), shape).astype(np.uint8)
    coded = CodedWeights(levels, codes, rng.uniform(0.5, 2, shape[0]).astype(np.float32), 0)
    size = ", ".join(map(str, shape))
    network = model(
        f"net (float[{size}] x) => (float[{size}] y) {{ y = Add (x, w) }}", {"w": np.zeros(shape, np.float32)}
    )
    add = next(iter(network.graph))
    add.replace_input_with(1, store_codes(network, "w", coded))
    onnx.checker.check_model(ir.to_proto(network), full_check=True)
    got = Reference(network).run({"x": np.zeros(shape, np.float32)})["y"]
    np.testing.assert_array_equal(got, coded.decoded())
    assert len(coded.packed()) == -(-codes.size * coded.width // 8)


@pytest.mark.parametrize(("codec", "bits", "bound"), [("kmeans", 4, 0.1), ("log2", 4, 0.2), ("kmeans", 2, 0.5)])
def test_a_network_with_coded_weights(codec: str, bits: int, bound: float) -> None:
    settings = QuantizeOptions(codec=codec, weight_bits=bits, activations=False)
    result = quantize_model(small(), pictures(24), settings, metric="output-error")
    onnx.checker.check_model(ir.to_proto(result.quantized.model), full_check=True)
    assert result.loss is not None
    assert result.loss < bound
    feeds = pictures(1)[0].inputs
    simulated, got = (Reference(each).run(feeds) for each in (result.quantized.simulated, result.quantized.model))
    for name, array in simulated.items():
        np.testing.assert_allclose(got[name], array, atol=1e-5 * max(1, np.abs(array).max()))


def test_a_layer_of_zeros_has_a_codebook_too() -> None:
    zeros = np.zeros((1, 4, 9))
    levels = kmeans(zeros, 4, False)
    steps = best_steps(zeros, np.ones((1, 9)), levels)
    np.testing.assert_array_equal(levels.round(zeros, steps), zeros)


@pytest.mark.parametrize(
    ("codec", "bits", "share"),
    [("kmeans", 4, 0.15), ("kmeans", 2, 0.1), ("linear", 2, 0.1), ("log2", 4, 0.15), ("binary", 1, 0.09)],
)
def test_the_file_shrinks(codec: str, bits: int, share: float) -> None:
    text = "net (float[1, 64, 4, 4] image) => (float[1, 64, 4, 4] y) { y = Conv <pads = [1, 1, 1, 1]> (image, w, b) }"
    network = model(text, random_weights(w=(64, 64, 3, 3), b=(64,)), opset=18)
    next(iter(network.graph)).name = "conv"
    options = LayerOptions(codec=codec, weight_bits=bits, activations=False, repair=False)
    assert len(to_bytes(quantize(network, None, None, options).model)) < share * len(to_bytes(network))


@pytest.mark.parametrize(("settings", "message"), [({"codec": "zip"}, "unknown codec"), ({"weight_bits": 1}, "1 bit")])
def test_codecs_that_there_are_not(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        quantize_model(small(), pictures(1), QuantizeOptions(**settings, activations=False))


def test_the_sign_of_nothing_is_plus() -> None:
    levels = load_codec("binary")(np.ones((1, 1, 3)), 1, False)
    np.testing.assert_array_equal(levels.round(np.array([-0.5, 0.0, 2.0]), np.ones(3)), [-1, 1, 1])
