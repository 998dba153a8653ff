"""Weights of few bits are written as back ends take them, with the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import edgec
from edgec.compress.quantization import quantize_model
from edgec.model.graph import is_quantized
from edgec.passes.decode_weights import DecodeWeights
from edgec.passes.prepare import prepare
from edgec.quantizing import QuantizeOptions
from edgec.reference.session import Reference
from tests.passes.quantize_support import pictures, small
from tests.support.models import model

FEEDS = {"x": np.linspace(-1, 1, 6, dtype=np.float32).reshape(1, 2, 3)[:, :, :2]}
SCALES = "float[2] s = {0.5, 0.25}, float[1, 2] b = {0.5, 2}, float t = {0.1}, uint8 z = {128}"
FLOATS = "float[2, 2] f = {1, 2, -1, 0.5}"
QUANTIZED_INPUT = "q = QuantizeLinear (x, t, z)  d = DequantizeLinear (q, t, z)"


def network(body: str, data: ir.DataType) -> ir.Model:
    made = model(
        f"g (float[1, 2, 2] x) => (float[1, 2, 2] y) <{SCALES}, {FLOATS}, int8[2, 2] w = {{7, -8, 3, 1}}> {{ {body} }}"
    )
    made.graph.opset_imports[""] = 21
    for node in made.graph:
        if any(value is not None and value.name == "b" for value in node.inputs):
            node.attributes["block_size"] = ir.AttrInt64("block_size", 2)
    stored = made.graph.initializers["w"]
    values = np.array([[7, -8], [3, 1]]) if data == ir.DataType.INT4 else np.array([[7, 15], [0, 1]])
    stored.const_value = ir.tensor(values.astype(data.numpy()), dtype=data, name="w")
    stored.dtype = data
    return made


@pytest.mark.parametrize("data", [ir.DataType.INT4, ir.DataType.UINT4])
def test_beside_quantized_activations_they_become_bytes(data: ir.DataType) -> None:
    made = network(f"{QUANTIZED_INPUT}  k = DequantizeLinear <axis = 1> (w, s)  y = MatMul (d, k)", data)
    before = Reference(made).run(FEEDS)["y"]
    result = DecodeWeights()(made)
    assert result.modified
    assert is_quantized(result.model)
    dequantized = [node.inputs[0] for node in result.model.graph if node.op_type == "DequantizeLinear"]
    assert len(dequantized) == 2
    assert data not in {value.dtype for value in dequantized if value is not None}
    np.testing.assert_array_equal(Reference(result.model).run(FEEDS)["y"], before)
    assert not DecodeWeights()(result.model).modified


@pytest.mark.parametrize(
    "weights",
    [
        "k = DequantizeLinear <axis = 1> (w, s)",
        "k = DequantizeLinear <axis = 0> (w, b)",
        "c = QuantizeLinear <axis = 1> (f, s)  k = DequantizeLinear <axis = 1> (c, s)",
    ],
)
def test_beside_activations_in_float_they_are_decoded(weights: str) -> None:
    made = network(f"{weights}  y = MatMul (x, k)", ir.DataType.INT4)
    before = Reference(made).run(FEEDS)["y"]
    assert not is_quantized(made)
    result = DecodeWeights()(made)
    assert result.modified
    assert [node.op_type for node in result.model.graph] == ["MatMul"]
    np.testing.assert_array_equal(Reference(result.model).run(FEEDS)["y"], before)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"activations": False}, {"activations": False, "codec": "kmeans"}])
def test_networks_of_few_bits_compile(settings: dict[str, Any], tmp_path: Path) -> None:
    options = QuantizeOptions(weight_bits=4, **settings)
    quantize_model(prepare(small()), pictures(4), options).save(tmp_path / "w4.onnx")
    artefact = edgec.compile(tmp_path / "w4.onnx", target="host", output=tmp_path / "host")
    assert artefact.manifest.options.precision == ("int8" if not settings else "fp32")
    assert artefact.verification is not None
    assert artefact.verification.ok
