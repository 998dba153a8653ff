"""Arithmetic with constants: one form, folded into the layer before it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.passes.equal import EXACT, canonical
from tests.support.models import model, ops, random_weights

CONSTANTS = random_weights(
    w=(4, 3, 1, 1),
    t=(3, 4, 1, 1),
    c=(1, 4, 1, 1),
    d=(4, 1, 1),
    row=(1, 1, 1, 5),
    full=(1, 4, 5, 5),
    s=(),
    p=(3, 1, 1),
    w2=(4, 3, 1, 1),
    k=(4, 3, 2, 2),
)


def net(body: str, extra: str = ""):
    used = {name: array for name, array in CONSTANTS.items() if name in re.findall(r"\w+", body)}
    return model(f"g (float[1, 3, 5, 5] x) => (float[1, 4, 5, 5] y{extra}) {{ {body} }}", used)


FOLDED = {
    "scale and shift": "v = Conv (x, w)  m = Mul (v, c)  y = Add (m, d)",
    "constant first": "v = Conv (x, w)  m = Mul (c, v)  y = Add (d, m)",
    "subtraction and division": "v = Conv (x, w)  m = Sub (v, c)  y = Div (m, d)",
    "subtracted from a constant": "v = Conv (x, w)  y = Sub (c, v)",
    "scalar": "v = Conv (x, w)  m = Mul (v, s)  y = Add (m, s)",
    "transposed convolution": "v = ConvTranspose (x, t)  m = Mul (v, c)  y = Add (m, d)",
}


@pytest.mark.parametrize("body", FOLDED.values(), ids=FOLDED)
def test_folded_into_the_layer_before(body: str) -> None:
    assert len(ops(canonical(net(body)))) == 1


LEFT = {
    "varies over the picture": ("v = Conv (x, w)  y = Mul (v, row)", ["Conv", "Mul"]),
    "full constant": ("v = Conv (x, w)  y = Add (v, full)", ["Conv", "Add"]),
    "other readers": ("v = Conv (x, w)  m = Mul (v, c)  y = Add (m, v)", ["Conv", "Mul", "Add"]),
    "two computed operands": ("v = Conv (x, w)  r = Relu (v)  y = Mul (v, r)", ["Conv", "Relu", "Mul"]),
}


@pytest.mark.parametrize(("body", "expected"), LEFT.values(), ids=LEFT)
def test_left_alone(body: str, expected: list[str]) -> None:
    assert ops(canonical(net(body))) == expected


def test_output_of_the_layer_that_the_model_returns_is_left() -> None:
    after = canonical(net("v = Conv (x, w)  y = Mul (v, c)", ", float[1, 4, 5, 5] v"))
    assert ops(after) == ["Conv", "Mul"]


def test_constant_that_adds_an_axis_is_left() -> None:
    before = model(
        "g (float[1, 3, 5, 5] x) => (float[2, 1, 4, 5, 5] y) { v = Conv (x, w)  y = Mul (v, c) }",
        random_weights(w=(4, 3, 1, 1), c=(2, 1, 1, 1, 1)),
    )
    assert ops(canonical(before)) == ["Conv", "Mul"]


def test_matmul_takes_the_scale_and_leaves_its_bias() -> None:
    before = model(
        """g (float[2, 7, 3] x) => (float[2, 7, 4] y) {
            v = MatMul (x, w)  a = Add (v, b)  m = Mul (a, c)  y = Add (m, b) }""",
        random_weights(w=(3, 4), b=(4,), c=(4,)),
    )
    assert ops(canonical(before)) == ["MatMul", "Add"]


def test_weights_shared_with_another_layer_are_copied() -> None:
    before = model(
        """g (float[1, 4, 5, 5] x) => (float[1, 4, 5, 5] y, float[1, 4, 5, 5] z) {
            v = Conv (x, w)  y = Mul (v, c)  z = Conv (y, w) }""",
        random_weights(w=(4, 4, 1, 1), c=(4, 1, 1)),
    )
    assert ops(canonical(before)) == ["Conv", "Conv"]


def test_chain_becomes_one_mul_and_one_add() -> None:
    before = model(
        """g (float[1, 3, 5, 5] x) => (float[1, 3, 5, 5] y) <float a = {255}, float b = {0.5}> {
            p = Div (x, a)  q = Sub (p, c)  r = Div (q, d)  y = Mul (r, b) }""",
        random_weights(c=(3, 1, 1), d=(1, 3, 1, 1)),
    )
    after = canonical(before)
    assert ops(after) == ["Mul", "Add"]
    assert [node.inputs[1].shape.numpy() for node in after.graph] == [(1, 3, 1, 1)] * 2


def test_constants_are_not_merged_into_a_larger_one() -> None:
    before = model(
        "g (float[1, 8, 8, 8] x) => (float[1, 8, 8, 8] y) { p = Mul (x, a)  y = Mul (p, b) }",
        random_weights(a=(8, 1, 1), b=(1, 1, 8)),
    )
    assert ops(canonical(before)) == ["Mul", "Mul"]


def test_constants_are_not_merged_where_the_first_adds_an_axis() -> None:
    before = model(
        "g (float[2, 3] x) => (float[4, 2, 3] y) { p = Add (x, a)  y = Mul (p, b) }",
        random_weights(a=(4, 2, 3), b=(4, 1, 1)),
    )
    assert ops(canonical(before)) == ["Add", "Mul"]


def test_integer_arithmetic_is_left() -> None:
    before = model("""g (int64[3] x) => (int64[3] y) <int64 two = {2}, int64 three = {3}>
        { p = Add (x, three)  q = Div (p, two)  y = Mul (q, three) }""")
    assert ops(canonical(before, tolerance=EXACT)) == ["Add", "Div", "Mul"]


def test_division_by_a_number_without_reciprocal_is_left() -> None:
    before = model(
        "g (float[1, 3] x) => (float[1, 3] y) { y = Div (x, tiny) }", {"tiny": np.array([1, 1e-39, 1], np.float32)}
    )
    assert ops(canonical(before)) == ["Div"]


FORWARD = {
    "scale and shift": ("m = Mul (x, p)  a = Add (m, p)  y = Conv (a, w)", ["Conv"]),
    "scale before padding": ("m = Mul (x, p)  y = Conv <pads = [1, 1, 0, 0]> (m, k)", ["Conv"]),
    "two readers": ("m = Mul (x, p)  a = Conv (m, w)  b = Conv (m, w2)  r = Relu (b)  y = Add (a, r)", ["Conv"] * 2),
    "shift before padding": ("m = Add (x, p)  y = Conv <pads = [1, 1, 0, 0]> (m, k)", ["Add", "Conv"]),
    "a reader that is no Conv": (
        "m = Mul (x, p)  r = ReduceMax <axes = [1]> (m)  a = Conv (m, w)  y = Add (a, r)",
        ["Mul"],
    ),
    "varies over the picture": ("m = Mul (x, row)  y = Conv (m, w)", ["Mul", "Conv"]),
}


@pytest.mark.parametrize(("body", "first"), FORWARD.values(), ids=FORWARD)
def test_before_a_convolution(body: str, first: list[str]) -> None:
    assert ops(canonical(net(body)))[: len(first)] == first
