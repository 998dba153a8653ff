"""FP64 is written as FP32, as TensorRT would read it; where that changes what the model means, it is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgec.targets.tensorrt.check import refusals
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.legalize.fp64 import survives
from edgec.targets.tensorrt.limits import limits_for
from tests.support.legal_nodes import SEEDS, SHAPES, dims, examples, legal, normal
from tests.support.models import model

OPERATORS = ("Add", "Sub", "Mul", "Div", "Max", "Min")


@examples
@given(op_type=st.sampled_from(OPERATORS), shape=SHAPES, seed=SEEDS, factor=st.floats(0.01, 100))
def test_computed_in_fp32(op_type: str, shape: tuple[int, ...], seed: int, factor: float) -> None:
    """Casts, initializers and Constant nodes alike, also in branches."""
    network = model(
        f"net (bool c, float[{dims(shape)}] x) => (float[{dims(shape)}] y) {{"
        f"  d = Cast <to = 11> (x)  one = Constant <value = double {{1.5}}> ()  e = Add (d, one)"
        f"  r = If (c) <then_branch = t () => (double[{dims(shape)}] a) {{ a = {op_type} (e, k) }},"
        f"              else_branch = f () => (double[{dims(shape)}] b) {{ b = Neg (e) }}>"
        f"  y = Cast <to = 1> (r) }}",
        {"k": np.array(factor)},
        opset=13,
    )
    copy = legal(network, {"c": np.array(True), "x": normal(shape, seed)})
    values = [output for node in copy.graph.all_nodes() for output in node.outputs]
    assert "float64" not in {value.dtype.numpy().name for value in values if value.dtype is not None}


@pytest.mark.parametrize(
    ("array", "fits"),
    [
        ([0.1, -1e30, np.inf, np.nan, 0.0], True),
        ([2.0**24], True),
        ([2.0**24 + 1], False),  # a count or an index, off by one
        ([1e39], False),  # the parser clamps
        ([-np.finfo(np.float64).max], False),
        ([1e-300], False),  # an epsilon, then a division by 0
        ([], True),
    ],
)
def test_what_fp32_holds(array: list[float], fits: bool) -> None:
    assert survives(np.array(array, np.float64)) == fits


def refused(text: str, version: str = "8.2.1", **constants: Any) -> tuple[str, str]:
    """Return reason and remedy of the first refused node."""
    network, limits = model(text, constants, opset=13), limits_for(version)
    legalize(network, limits)
    found = refusals(network, limits)[0]
    return found.reason, found.remedy


@pytest.mark.parametrize("version", ["8.2.1", "10.3.0"])
@pytest.mark.parametrize("value", [1e-300, 1e300])
def test_constant_that_does_not_fit_is_refused(version: str, value: float) -> None:
    """Every node that computes with it says so, from the Cast to FP64 on."""
    text = "net (float[1] x) => (float[1] y) { d = Cast <to = 11> (x)  m = Max (d, k)  y = Cast <to = 1> (m) }"
    reason, remedy = refused(text, version, k=np.array([value]))
    assert reason == "it computes in float64, which would be read as FP32, but 'k' does not fit that"
    assert "float32" in remedy


def test_interface_keeps_its_type_and_is_refused() -> None:
    reason, remedy = refused("net (double[1] x) => (double[1] y) { y = Neg (x) }")
    assert "float64" in reason
    assert "float32" in remedy
