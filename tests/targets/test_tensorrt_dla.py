"""What a DLA would run: by NVIDIA's list of restrictions, in few large pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgec.targets.board import load_board
from edgec.targets.tensorrt.dla import dla_report, why_not_on_dla
from tests.support.models import model, random_weights

NX, ORIN = load_board("jetson-xavier-nx"), load_board("jetson-agx-orin")
CONV = "c = Conv <pads = [1, 1, 1, 1]> (x, w)"


def why(call: str, shape: str = "1, 4, 8, 8", sm: int = 72, **constants: Any) -> str:
    weights = {name: np.asarray(value, np.float32) for name, value in constants.items()}
    network = model(f"net (float[1, 4, 8, 8] x) => (float[{shape}] y) {{ y = {call} }}", weights)
    return why_not_on_dla(network.graph.node(0), sm)


@pytest.mark.parametrize(
    "call",
    [
        "Relu (x)",
        "Sigmoid (x)",
        "Add (x, x)",
        "MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)",
        "Concat <axis = 0> (x)",
    ],
)
def test_layers_that_the_dla_has(call: str) -> None:
    expected = "it must be along the channels" if "Concat" in call else ""
    assert why(call) == expected


@pytest.mark.parametrize(
    ("call", "shape", "constants", "reason"),
    [
        ("Erf (x)", "1, 4, 8, 8", {}, "is not a layer"),
        ("Flatten (x)", "1, 256", {}, "2 axes"),
        ("Softmax (x)", "1, 4, 8, 8", {}, "version 1"),
        ("MaxPool <kernel_shape = [9, 9], pads = [4, 4, 4, 4]> (x)", "1, 4, 8, 8", {}, "kernel 9 is over 8"),
        ("AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)", "1, 4, 8, 8", {}, "count its padding"),
        ("Conv <strides = [9, 9]> (x, w)", "1, 4, 1, 1", {"w": np.ones((4, 4, 1, 1))}, "stride 9 is over 8"),
        ("ConvTranspose <pads = [1, 1, 1, 1]> (x, w)", "1, 4, 8, 8", {"w": np.ones((4, 4, 3, 3))}, "padding must be 0"),
        ("Add (x, k)", "1, 4, 8, 8", {"k": np.ones((8, 8))}, "not broadcast"),
        ("Clip (x, l, h)", "1, 4, 8, 8", {"l": -1, "h": 6}, "clip to 0"),
        ("PRelu (x, x)", "1, 4, 8, 8", {}, "slope must be constant"),
        ("Resize (x, , s)", "1, 4, 12, 12", {"s": [1, 1, 1.5, 1.5]}, "whole"),
        ("LRN <size = 2> (x)", "1, 4, 8, 8", {}, "window must be"),
    ],
)
def test_layers_that_it_lacks(call: str, shape: str, constants: dict[str, Any], reason: str) -> None:
    assert reason in why(call, shape, **constants)


def test_orin_has_softmax() -> None:
    assert why("Softmax (x)", sm=87) == ""


def test_no_dla_no_report() -> None:
    assert dla_report(model("net (float[1] x) => (float[1] y) { y = Relu (x) }"), load_board("jetson-tx2")) is None


def test_small_stretches_stay_on_the_gpu() -> None:
    """The first convolution is most of the work; the small one behind Erf would only cost two ways."""
    weights = random_weights(w=(64, 3, 3, 3), v=(1, 64, 1, 1))
    network = model(
        f"net (float[1, 3, 32, 32] x) => (float[1, 1, 32, 32] y) {{ {CONV}  r = Relu (c)  e = Erf (r)  "
        "d = Conv (e, v)  y = Relu (d) }",
        weights,
    )
    report = dla_report(network, NX)
    assert report is not None
    assert [layer.on_dla for layer in report.layers] == [True, True, False, False, False]
    assert report.layers[-1].reason == "its stretch is too small to go over"
    assert (report.pieces, round(report.share, 2)) == (1, 0.96)
    assert str(report) == "DLA: 2 of 5 nodes, 96% of the MACs, in 1 piece"
    assert dla_report(network, ORIN) == report
