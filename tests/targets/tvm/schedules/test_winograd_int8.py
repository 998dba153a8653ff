"""Winograd's method in integers: exact, whatever wraps around on the way; run under emulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tvm")

from edgec.targets.board import load_board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import cpu_model
from edgec.targets.tvm.schedules.float.winograd_stages import transform_weights
from edgec.targets.tvm.schedules.int8.winograd import INTEGERS, INVERSE_OF_NINE, SCALE, G
from tests.support.quantized_layers import Pair, QuantizedNetwork, lowered, reference
from tests.support.tvm_artefact import compiled, require_emulator

B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
A = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 4]])


def test_transforms_give_576_times_the_convolution_in_wrapping_arithmetic() -> None:
    rng = np.random.default_rng(0)
    weights = np.where(rng.random((4, 96, 3, 3)) < 0.5, -127, 127).astype(np.int8)
    patch = np.where(rng.random((96, 6, 6)) < 0.5, -128, 127)
    packed = transform_weights(weights, INTEGERS, step=4, block=4, vectors=1)
    assert packed.dtype == np.int16 and packed.shape == (1, 36, 24, 4, 1, 4)
    filters = packed[0].reshape(6, 6, 96, 4).astype(np.int64)
    image = np.einsum("ir,crs,js->ijc", B, patch, B)
    assert np.abs(image).max() < 2**15
    products = np.einsum("ijc,ijck->kij", image, filters).astype(np.int32)
    end = A.astype(np.int32)
    sums = np.einsum("ai,kij,bj->kab", end, products, end) * np.int32(INVERSE_OF_NINE)
    windows = np.lib.stride_tricks.sliding_window_view(patch, (3, 3), axis=(1, 2))
    assert np.array_equal(sums, SCALE * np.einsum("cabrs,kcrs->kab", windows, weights.astype(np.int64)))
    assert np.abs(np.einsum("ir,rs,js->ij", np.abs(G), np.full((3, 3), 127), np.abs(G))).max() < 2**15


def extreme_network() -> QuantizedNetwork:
    """All weights are at the ends of their range."""
    network = QuantizedNetwork()
    integers = np.where(network.rng.random((24, 32, 3, 3)) < 0.5, -127, 127).astype(np.int8)
    scales = network.constant(np.full(24, 1e-3, np.float32))
    weights = network.node("DequantizeLinear", [network.constant(integers), scales], axis=0)
    convolution = network.node("Conv", [network.input((1, 32, 21, 22), Pair(0.02, 128)), weights], pads=[1] * 4)
    network.node("Relu", [network.pair(convolution, Pair(1.0, 100))])
    return network


@pytest.mark.emulation
def test_it_equals_onnx_runtime_where_inputs_and_weights_are_largest(tmp_path: Path) -> None:
    require_emulator()
    network = extreme_network()
    model, board = network.model(network.nodes[-1].output[0]), load_board("rpi4")
    _, report = lowered(model, cpu_model(board), llvm_target(resolve(board)))
    assert "winograd_int8" in report.counts()
    artefact = compiled(tmp_path / "artefact", "rpi4", model)
    signs = np.random.default_rng(1).random((1, 32, 21, 22)) < 0.5
    for feed in (np.where(signs, -9.0, 9.0).astype(np.float32), np.full((1, 32, 21, 22), 9.0, np.float32)):
        (got,) = artefact.runner().run({"x0": feed}).values()
        assert np.abs(got - reference(model, [feed])).max() <= 1.0
