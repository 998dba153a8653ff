"""HardSigmoid, HardSwish and SiLU in the forms that exporters write them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.equal import EXACT, canonical
from tests.support.models import model, ops

CONSTANTS = (
    "float three = {3}, float six = {6}, float zero = {0}, float one = {1}, float[1] sixth = {0.16666667},"
    "float half = {0.5}, float fifth = {0.2}, float two = {2}"
)


def body_of(body: str, opset: int = 17):
    return canonical(model(f"g (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) <{CONSTANTS}> {{ {body} }}", opset=opset))


HARD_SWISH = {
    "PaddlePaddle": "a = Add (x, three)  c = Clip (a, zero, six)  m = Mul (x, c)  y = Div (m, six)",
    "gate divided first": "a = Add (three, x)  c = Clip (a, zero, six)  d = Div (c, six)  y = Mul (x, d)",
    "multiplied by 1/6": "a = Add (x, three)  c = Clip (a, zero, six)  m = Mul (c, sixth)  y = Mul (m, x)",
    "x divided first": "a = Add (x, three)  c = Clip (a, zero, six)  d = Div (x, six)  y = Mul (d, c)",
    "HardSigmoid": "h = HardSigmoid <alpha = 0.16666667> (x)  y = Mul (x, h)",
}


@pytest.mark.parametrize("body", HARD_SWISH.values(), ids=HARD_SWISH)
def test_hard_swish(body: str) -> None:
    assert ops(body_of(body)) == ["HardSwish"]


def test_hard_swish_of_opset_9_with_bounds_as_attributes() -> None:
    body = "a = Add (x, three)  c = Clip <min = 0.0, max = 6.0> (a)  m = Mul (x, c)  y = Div (m, six)"
    assert ops(body_of(body, opset=9)) == ["HardSwish"]


NOT_HARD_SWISH = {
    "other slope": ("a = Add (x, two)  c = Clip (a, zero, six)  m = Mul (x, c)  y = Div (m, six)", "Clip"),
    "other bounds": ("a = Add (x, three)  c = Clip (a, zero, three)  m = Mul (x, c)  y = Div (m, six)", "Clip"),
    "other divisor": ("a = Add (x, three)  c = Clip (a, zero, six)  m = Mul (x, c)  y = Div (m, three)", "Clip"),
    "other factor": (
        "a = Add (x, three)  c = Clip (a, zero, six)  r = Relu (x)  m = Mul (r, c)  y = Div (m, six)",
        "Clip",
    ),
    "default slope": ("h = HardSigmoid (x)  y = Mul (x, h)", "HardSigmoid"),
    "scaled": ("h = HardSigmoid <alpha = 0.16666667> (x)  m = Mul (x, h)  y = Mul (m, half)", None),
}


@pytest.mark.parametrize("body", NOT_HARD_SWISH.values(), ids=NOT_HARD_SWISH)
def test_not_hard_swish(body: tuple[str, str | None]) -> None:
    after = body_of(body[0])
    if body[1] is None:
        assert ops(after) == ["HardSwish", "Mul"]  # the factor 1/2 stays beside it
        return
    assert "HardSwish" not in ops(after)
    assert body[1] in ops(after)


def test_factor_that_adds_axes_is_no_hard_swish() -> None:
    before = model(
        """g (float[2, 3] x) => (float[1, 1, 2, 3] y) {
            m = Mul (x, c)  h = HardSigmoid <alpha = 0.16666667> (x)  y = Mul (m, h) }""",
        {"c": np.ones((1, 1, 1, 1), np.float32)},
    )
    assert ops(canonical(before)) == ["Mul", "HardSigmoid", "Mul"]


HARD_SIGMOID = {
    "divided": ("a = Add (x, three)  c = Clip (a, zero, six)  y = Div (c, six)", 1 / 6, 0.5),
    "Keras": ("m = Mul (fifth, x)  a = Add (m, half)  y = Clip (a, zero, one)", 0.2, 0.5),
    "slope 1": ("a = Add (x, half)  y = Clip (a, zero, one)", 1.0, 0.5),
}


@pytest.mark.parametrize(("body", "alpha", "beta"), HARD_SIGMOID.values(), ids=HARD_SIGMOID)
def test_hard_sigmoid(body: str, alpha: float, beta: float) -> None:
    (node,) = body_of(body).graph
    assert node.op_type == "HardSigmoid"
    assert node.attributes["alpha"].as_float() == pytest.approx(alpha)
    assert node.attributes["beta"].as_float() == pytest.approx(beta)


def test_clip_that_others_read_is_no_hard_sigmoid() -> None:
    after = body_of("a = Add (x, three)  c = Clip (a, zero, six)  d = Div (c, six)  y = Add (d, c)")
    assert "HardSigmoid" not in ops(after)


def test_clip_of_integers_is_no_hard_sigmoid() -> None:
    before = model(
        "g (int64[3] x) => (int64[3] y) <int64 z = {0}, int64 o = {1}> { a = Add (x, o)  y = Clip (a, z, o) }"
    )
    assert ops(canonical(before, tolerance=EXACT)) == ["Add", "Clip"]


def test_silu_has_x_first() -> None:
    after = body_of("s = Sigmoid (x)  y = Mul (s, x)")
    assert ops(after) == ["Sigmoid", "Mul"]
    assert [value.name for value in list(after.graph)[1].inputs] == ["x", "s"]
