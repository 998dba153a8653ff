"""QuantizeLinear and DequantizeLinear are brought into the form that the parser reads rightly, values unchanged."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgec.targets.tensorrt.check import refusals
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.limits import limits_for
from tests.support import legal_nodes
from tests.support.legal_nodes import SEEDS, examples
from tests.support.models import model, ops

SCALES = st.floats(2**-7, 0.5, width=32)
legal = partial(legal_nodes.legal, tolerance=0.0)


def zero_points(network: ir.Model) -> list[Any]:
    """Return dtype and largest value of the zero point of each quantization node."""
    nodes = [node for node in network.graph if "Quantize" in node.op_type or "Dequantize" in node.op_type]
    arrays = [node.inputs[2].const_value.numpy() for node in nodes if node.inputs[2] is not None]  # type: ignore[union-attr]
    return [(array.dtype.name, int(np.abs(array).max())) for array in arrays]


PAIR = "net (float[4, 4] x) => (float[4, 4] y) { q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z) }"


@examples
@given(scale=SCALES)
def test_uint8_around_128_becomes_int8_around_0(scale: float) -> None:
    network = model(PAIR, {"s": np.array(scale, np.float32), "z": np.array(128, np.uint8)}, opset=13)
    assert zero_points(legal(network)) == [("int8", 0), ("int8", 0)]


def test_uint8_around_0_is_refused() -> None:
    network = model(PAIR, {"s": np.array(0.1, np.float32), "z": np.array(0, np.uint8)}, opset=13)
    legalize(network, limits_for("8.2.1"))
    assert "saturate" in refusals(network, limits_for("8.2.1"))[0].reason


def test_uint8_that_something_else_reads_too_stays_refused() -> None:
    network = model(
        "net (float[4] x) => (float[4] y, float[4] c) "
        "{ q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z)  c = Cast <to = 1> (q) }",
        {"s": np.array(0.1, np.float32), "z": np.array(128, np.uint8)},
        opset=13,
    )
    legalize(network, limits_for("8.2.1"))
    assert refusals(network, limits_for("8.2.1"))


WEIGHTS = "net (float[1, 3, 4, 4] x) => (float[1, 2, 4, 4] y) {{ w = DequantizeLinear {} (q, s{})  y = Conv (x, w) }}"


@examples
@given(seed=SEEDS, per_channel=st.booleans())
def test_stored_int8_weights_get_their_quantizer(seed: int, per_channel: bool) -> None:
    rng = np.random.default_rng(seed)
    stored = rng.integers(-128, 128, (2, 3, 1, 1)).astype(np.int8)
    scale = rng.uniform(0.001, 0.1, (2,) if per_channel else ()).astype(np.float32)
    zero = np.zeros(scale.shape, np.int8)
    call = WEIGHTS.format("<axis = 0>" if per_channel else "", ", z")
    copy = legal(model(call, {"q": stored, "s": scale, "z": zero}, opset=13))
    assert ops(copy) == ["QuantizeLinear", "DequantizeLinear", "Conv"]


def test_stored_int8_weights_stay_for_tensorrt_10() -> None:
    weights = {"q": np.ones((2, 3, 1, 1), np.int8), "s": np.array(0.1, np.float32), "z": np.array(0, np.int8)}
    copy = legal(model(WEIGHTS.format("", ", z"), weights, opset=13), version="10.3.0")
    assert ops(copy) == ["DequantizeLinear", "Conv"]


@examples
@given(stored=st.lists(st.integers(0, 255), min_size=6, max_size=6), scale=SCALES)
def test_stored_uint8_weights_around_128_become_int8(stored: list[int], scale: float) -> None:
    weights = {
        "q": np.array(stored, np.uint8).reshape(2, 3, 1, 1),
        "s": np.array(scale, np.float32),
        "z": np.array(128, np.uint8),
    }
    assert zero_points(legal(model(WEIGHTS.format("", ", z"), weights, opset=13))) == [("int8", 0), ("int8", 0)]


@examples
@given(seed=SEEDS, per_channel=st.booleans())
def test_missing_zero_point_is_written_out(seed: int, per_channel: bool) -> None:
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.001, 0.1, (2,) if per_channel else ()).astype(np.float32)
    weights = {"q": rng.integers(-128, 128, (2, 3, 1, 1)).astype(np.int8), "s": scale}
    call = WEIGHTS.format("<axis = 0>" if per_channel else "", "")
    assert zero_points(legal(model(call, weights, opset=13))) == [("int8", 0), ("int8", 0)]


@examples
@given(scale=SCALES)
def test_missing_zero_point_of_a_quantizer_is_written_out(scale: float) -> None:
    """From opset 21 on `output_dtype` alone makes it int8."""
    network = model(
        "net (float[4, 4] x) => (float[4, 4] y) "
        "{ q = QuantizeLinear <output_dtype = 3> (x, s)  y = DequantizeLinear (q, s) }",
        {"s": np.array(scale, np.float32)},
        opset=21,
    )
    assert zero_points(legal(network)) == [("int8", 0), ("int8", 0)]


@examples
@given(size=st.integers(2, 4), seed=SEEDS)
def test_missing_axis_is_written_out(size: int, seed: int) -> None:
    """ONNX takes axis 1, the parser would take 0: on a square weight nobody notices but the results."""
    rng = np.random.default_rng(seed)
    weights = {
        "q": rng.integers(-128, 128, (size, size)).astype(np.int8),
        "s": rng.uniform(0.001, 0.1, size).astype(np.float32),
        "z": np.zeros(size, np.int8),
    }
    network = model(
        f"net (float[3, {size}] x) => (float[3, {size}] y) {{ w = DequantizeLinear (q, s, z)  y = MatMul (x, w) }}",
        weights,
        opset=13,
    )
    axes = [node.attributes["axis"].as_int() for node in legal(network).graph if "axis" in node.attributes]
    assert axes == [1, 1]


@pytest.mark.parametrize("per_channel", [False, True])
@examples
@given(stored=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=2))
def test_int32_bias_is_folded(per_channel: bool, stored: list[int]) -> None:
    """The real parser refuses it: it takes INT8 only."""
    weights = {
        "w": np.ones((2, 3, 1, 1), np.float32),
        "b": np.array(stored, np.int32),
        "s": np.array([0.001, 0.002] if per_channel else 0.001, np.float32),
        "z": np.zeros((2,) if per_channel else (), np.int32),
    }
    axis = "<axis = 0>" if per_channel else ""
    network = model(
        "net (float[1, 3, 4, 4] x) => (float[1, 2, 4, 4] y) "
        f"{{ c = DequantizeLinear {axis} (b, s, z)  y = Conv (x, w, c) }}",
        weights,
        opset=13,
    )
    assert ops(legal(network)) == ["Conv"]
