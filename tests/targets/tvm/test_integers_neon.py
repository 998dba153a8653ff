"""Integer layers of ARM CPUs of three generations, run under emulation: at most a step from ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tvm")

from edgec.targets.board import load_board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import cpu_model
from edgec.targets.tvm.schedules.int8.depthwise_widening import pack_weights
from tests.support.quantized_layers import Pair, QuantizedNetwork, lowered, reference
from tests.support.tvm_artefact import compiled, require_emulator

OUT = Pair(scale=0.05, zero_point=93)
Case = tuple[tuple[int, ...], int, tuple[int, int], dict[str, Any]]
DEPTHWISE: Case = (
    (1, 18, 11, 13),
    18,
    (3, 3),
    {"group": 18, "dilations": [2, 1], "strides": [1, 2], "pads": [2, 1, 2, 1]},
)
FLAT: Case = ((1, 24, 7, 7), 40, (1, 1), {})
GROUPED: Case = ((1, 24, 9, 10), 36, (3, 3), {"group": 2, "dilations": [2, 1], "pads": [2, 0, 1, 1]})
ODD: Case = ((1, 7, 9, 8), 9, (3, 2), {"strides": [2, 1], "pads": [0, 1, 1, 0]})
STRIDED: Case = ((2, 16, 13, 12), 20, (3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]})


@pytest.mark.emulation
@pytest.mark.parametrize(
    ("board", "case", "rule"),
    [
        ("rpi4", DEPTHWISE, "depthwise_widening"),
        ("rpi5", DEPTHWISE, "depthwise_widening"),
        ("rpi4", FLAT, "conv_widening"),
        ("rpi5", FLAT, "conv_int8"),
        ("rpi4", STRIDED, "conv_widening"),
        ("rpi4", GROUPED, "conv_widening"),
        ("rpi4", ODD, "conv_widening"),
    ],
)
def test_layer(board: str, case: Case, rule: str, tmp_path: Path) -> None:
    require_emulator()
    shape, out, kernel, attributes = case
    network, record = QuantizedNetwork(), load_board(board)
    model = network.model(
        network.pair(network.conv(network.input(shape), shape[1], out, kernel, **attributes), OUT),
    )
    _, report = lowered(model, cpu_model(record), llvm_target(resolve(record)))
    assert rule in report.counts() and not report.fallbacks()
    feed = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    (got,) = compiled(tmp_path / "artefact", board, model).runner().run({"x0": feed}).values()
    assert np.abs(got - reference(model, [feed])).max() <= OUT.scale * 1.001


def test_filters_lie_in_the_order_they_are_read() -> None:
    weights = np.arange(-60, 60, dtype=np.int8).reshape(6, 1, 4, 5)
    packed = pack_weights(weights, 4)
    assert packed.shape == (2, 4, 5, 4) and packed.dtype == np.int16
    assert packed[1, 2, 3].tolist() == [weights[4, 0, 2, 3], weights[5, 0, 2, 3], 0, 0]
