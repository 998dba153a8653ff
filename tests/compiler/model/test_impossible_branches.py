"""`If` with a branch that cannot run at the shapes that were given."""

from __future__ import annotations

import logging

import onnx_ir as ir
import pytest

from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from tests.support.models import proto

TWO_RATES = """g (float[1, N] x, bool slow) => (float[A, B] y) <float[8, 4] w8 = {%s}, float[4, 4] w4 = {%s}>
{ y = If (slow) <
    then_branch = g1 () => (float[1, 4] a) { a = MatMul (x, w4) },
    else_branch = g2 () => (float[1, 4] b) { b = MatMul (x, w8) }> }"""
NUMBERS = [", ".join(["0.5"] * count) for count in (32, 16)]


def fixed(size: int) -> ir.Model:
    return fix_shapes(load(proto(TWO_RATES % tuple(NUMBERS))).model, {"x": (1, size), "slow": ()})


@pytest.mark.parametrize(("size", "taken", "never"), [(4, "w4", "else_branch"), (8, "w8", "then_branch")])
def test_the_branch_that_fits_the_shapes_is_taken(
    size: int, taken: str, never: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        model = fixed(size)
    assert "If" not in {node.op_type for node in model.graph}
    assert taken in {value.name for node in model.graph for value in node.inputs if value is not None}
    assert model.graph.outputs[0].shape == [1, 4]
    assert f"its {never} cannot run at these shapes and counts as never taken" in caplog.text


def test_where_no_branch_fits_or_both_do_the_choice_stays() -> None:
    assert "If" in {node.op_type for node in fixed(6).graph}
    same = proto(TWO_RATES.replace("w8)", "w4)") % tuple(NUMBERS))
    model = fix_shapes(load(same).model, {"x": (1, 4), "slow": ()})
    assert "If" in {node.op_type for node in model.graph}


def test_a_fault_in_front_of_control_flow_that_stays_is_seen() -> None:
    inner = "c = If (slow) <then_branch = h1 () => (float[1, 4] d) { d = Relu (b) }, "
    inner += "else_branch = h2 () => (float[1, 4] e) { e = Neg (b) }>"
    text = TWO_RATES.replace(
        "(float[1, 4] b) { b = MatMul (x, w8) }", f"(float[1, 4] c) {{ b = MatMul (x, w8) {inner} }}"
    )
    model = fix_shapes(load(proto(text % tuple(NUMBERS))).model, {"x": (1, 4), "slow": ()})
    assert [node.op_type for node in model.graph if node.op_type != "Identity"] == ["MatMul"]
