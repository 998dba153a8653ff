"""What a DLA would run: by NVIDIA's list of restrictions, in few large pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgec.targets.board import load_board
from edgec.targets.tensorrt.dla import dla_report
from edgec.targets.tensorrt.dla_layers import why_not_on_dla
from tests.support.models import model, random_weights

NX, ORIN = load_board("jetson-xavier-nx"), load_board("jetson-agx-orin")
CONV = "c = Conv <pads = [1, 1, 1, 1]> (x, w)"

UP = {"s": [1, 1, 2, 2]}


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
        ("Resize (x, , s)", "1, 4, 12, 12", {"s": [1, 1, 1.5, 1.5]}, "integers"),
        (
            'Resize <coordinate_transformation_mode = "asymmetric"> (x, , s)',
            "1, 4, 16, 16",
            UP,
            "asymmetric round_prefer_floor",
        ),
        (
            'Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, , s)',
            "1, 4, 16, 16",
            UP,
            "align",
        ),
        ("Conv <pads = [1, 1, 1, 1]> (x, w)", "1, 4, 10, 10", {"w": np.ones((4, 4, 1, 1))}, "smaller than the kernel"),
        (
            "ConvTranspose <strides = [23, 23]> (x, w)",
            "1, 4, 162, 162",
            {"w": np.ones((4, 4, 1, 1))},
            "left to the GPU",
        ),
        ("ConvTranspose (x, w)", "1, 4, 40, 8", {"w": np.ones((4, 4, 33, 1))}, "kernel 33 is over 32"),
        ("ReduceMax <axes = [2, 3]> (x)", "1, 4, 1, 1", {}, "version 1"),
        ("GlobalAveragePool (x)", "1, 4, 1, 1", {}, "read as a mean"),
        ("GlobalMaxPool (x)", "1, 4, 1, 1", {}, "version 1"),
        ("LRN <size = 2> (x)", "1, 4, 8, 8", {}, "window must be"),
    ],
)
def test_layers_that_it_lacks(call: str, shape: str, constants: dict[str, Any], reason: str) -> None:
    assert reason in why(call, shape, **constants)


@pytest.mark.parametrize(
    ("call", "shape", "constants"),
    [
        ("Softmax (x)", "1, 4, 8, 8", {}),
        ("ReduceMax <axes = [2, 3]> (x)", "1, 4, 1, 1", {}),
        ("GlobalMaxPool (x)", "1, 4, 1, 1", {}),
        ("ConvTranspose (x, w)", "1, 4, 71, 8", {"w": np.ones((4, 4, 64, 1))}),
        ("Resize (x, , s)", "1, 4, 16, 16", UP),
        ('Resize <mode = "linear"> (x, , s)', "1, 4, 16, 16", UP),
    ],
)
def test_what_orin_takes(call: str, shape: str, constants: dict[str, Any]) -> None:
    assert why(call, shape, sm=87, **constants) == ""


@pytest.mark.parametrize(
    ("call", "shape", "reason"),
    [
        ("Softmax <axis = 3> (x)", "1, 4, 2, 1025", "axis of 1025 is over 1024"),
        ("Softmax <axis = 1> (x)", "1, 2000, 1, 1", ""),
        ("Softmax <axis = 0> (x)", "2, 4, 8, 8", "along channels"),
        ("ReduceMax <axes = [0]> (x)", "1, 4, 8, 8", "the batch"),
        ("Relu (x)", "4097, 1, 1, 1", "batch of 4097"),
        ("Relu (x)", "1, 1, 1, 8193", "size of 8193"),
        ("RandomNormal <shape = [1, 4, 8, 8]> ()", "1, 4, 8, 8", "not a layer of the DLA"),
    ],
)
def test_sizes(call: str, shape: str, reason: str) -> None:
    network = model(f"net (float[{shape}] x) => (float[{shape}] y) {{ y = {call} }}", opset=13)
    assert reason in (found := why_not_on_dla(network.graph.node(0), 87))
    assert bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("axis", "to", "step", "reason"),
    [(1, "1, 2, 8, 8", 1, ""), (1, "1, 1, 8, 8", 2, "steps"), (0, "0, 4, 8, 8", 1, "batch")],
)
def test_slices(axis: int, to: str, step: int, reason: str) -> None:
    bounds = {"a": np.array([2 if axis else 1]), "b": np.array([4]), "c": np.array([axis]), "d": np.array([step])}
    network = model(f"net (float[1, 4, 8, 8] x) => (float[{to}] y) {{ y = Slice (x, a, b, c, d) }}", bounds)
    assert reason in (found := why_not_on_dla(network.graph.node(0), 72))
    assert bool(found) == bool(reason)


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
    assert report.layers[-1].reason == "its subgraph is too small to be worth it"
    assert (report.pieces, round(report.share, 2)) == (1, 0.96)
    assert str(report) == "DLA: 2 of 5 nodes, 96% of the MACs, in 1 piece"
    assert dla_report(network, ORIN) == report
