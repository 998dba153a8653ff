"""Transposes, reshapes and casts: merged, cancelled, moved, or written out with constant shapes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.equal import EXACT, canonical
from tests.support.models import model, ops, random_weights

TO_NCHW = "Transpose <perm = [0, 3, 1, 2]>"
TO_NHWC = "Transpose <perm = [0, 2, 3, 1]>"


def test_transposes_that_cancel() -> None:
    before = model(
        f"g (float[1, 4, 5, 6] x) => (float[1, 4, 5, 6] y) {{ a = {TO_NHWC} (x)  b = {TO_NCHW} (a)  y = Relu (b) }}"
    )
    assert ops(canonical(before, tolerance=EXACT)) == ["Relu"]


def test_transposes_merge() -> None:
    before = model(f"g (float[1, 4, 5, 6] x) => (float[1, 6, 4, 5] y) {{ a = {TO_NHWC} (x)  y = {TO_NHWC} (a) }}")
    (node,) = canonical(before, tolerance=EXACT).graph
    assert list(node.attributes["perm"].as_ints()) == [0, 3, 1, 2]


def test_transpose_of_unit_axes_is_a_reshape() -> None:
    before = model(
        f"g (float[1, 4, 5, 6] x) => (float[1, 4] y) <int64[2] s = {{1, 4}}>"
        f"{{ p = GlobalAveragePool (x)  a = {TO_NHWC} (p)  y = Reshape (a, s) }}"
    )
    assert ops(canonical(before, tolerance=EXACT)) == ["GlobalAveragePool", "Reshape"]


def test_nhwc_network_keeps_a_transpose_at_either_end() -> None:
    before = model(
        f"""g (float[1, 8, 8, 3] x) => (float[1, 8, 8, 4] y) {{
            a = {TO_NCHW} (x)  c = Conv (a, w)  d = {TO_NHWC} (c)  e = Add (d, b)  f = Relu (e)
            h = {TO_NCHW} (f)  i = Conv (h, v)  j = {TO_NHWC} (i)
            k = Sigmoid (j)  y = Mul (k, f) }}""",
        random_weights(w=(4, 3, 1, 1), v=(4, 4, 1, 1), b=(4,)),
    )
    after = canonical(before)
    assert ops(after) == ["Transpose", "Conv", "Relu", "Conv", "Sigmoid", "Mul", "Transpose"]


def test_transposes_move_behind_pad_concat_and_reductions() -> None:
    before = model(
        f"""g (float[1, 3, 4, 5] x) => (float[1, 6, 1, 1] y)
        <int64[8] pads = {{0, 1, 0, 0, 0, 0, 2, 0}}, int64[2] axes = {{1, 2}}> {{
            a = {TO_NHWC} (x)  r = Relu (a)  c = Concat <axis = 3> (a, r)  p = Pad (c, pads)
            m = ReduceMax (p, axes)  y = {TO_NCHW} (m) }}""",
        opset=18,
    )
    assert ops(canonical(before, tolerance=EXACT)) == ["Relu", "Concat", "Pad", "ReduceMax"]


def test_transpose_that_a_node_cannot_pass_is_left() -> None:
    before = model(f"g (float[1, 3, 4, 5] x) => (float[1, 4, 5, 3] y) {{ a = {TO_NHWC} (x)  y = LpNormalization (a) }}")
    assert ops(canonical(before, tolerance=EXACT)) == ["Transpose", "LpNormalization"]


@pytest.mark.parametrize("batch", [1, 2])
def test_transpose_before_a_constant_that_adds_an_axis_is_left(batch: int) -> None:
    before = model(
        f"""g (float[1, 3, 8] x) => (float[{batch}, 1, 8, 3] y) {{
            t = Transpose <perm = [0, 2, 1]> (x)  y = Add (t, c) }}""",
        random_weights(c=(batch, 1, 1, 1)),
    )
    assert ops(canonical(before, tolerance=EXACT)) == ["Transpose", "Add"]


RESHAPES = {
    "Flatten": "y = Flatten <axis = 2> (x)",
    "copied and inferred dimensions": "y = Reshape (x, copied)",
    "Squeeze and Unsqueeze": "a = Squeeze (x, zero)  b = Unsqueeze (a, zero)  y = Flatten <axis = 2> (b)",
    "computed from the shape": """s = Shape (x)  n = Gather <axis = 0> (s, first)  u = Unsqueeze (n, zero)
        k = Concat <axis = 0> (u, rest)  f = Flatten <axis = 2> (x)  y = Reshape (f, k)""",
}


@pytest.mark.parametrize("body", RESHAPES.values(), ids=RESHAPES)
def test_one_reshape_to_a_constant_shape(body: str) -> None:
    before = model(f"""g (float[N, 4, 5, 6] x) => (float[M, 30] y)
        <int64[2] copied = {{-1, 30}}, int64[1] zero = {{0}}, int64 first = {{1}}, int64[1] rest = {{-1}}>
        {{ {body} }}""")
    after = canonical(before, tolerance=EXACT)
    (node,) = after.graph
    assert node.op_type == "Reshape"
    assert node.inputs[1].const_value.numpy().tolist() == [4, 30]


CASTS = {
    "no change": ("float", "y = Cast <to = 1> (x)", "float", ["Identity"]),
    "through a wider type": ("int32", "a = Cast <to = 7> (x)  y = Cast <to = 1> (a)", "float", ["Cast"]),
    "through a narrower type": ("float", "a = Cast <to = 6> (x)  y = Cast <to = 1> (a)", "float", ["Cast", "Cast"]),
    "int64 through double": ("int64", "a = Cast <to = 11> (x)  y = Cast <to = 7> (a)", "int64", ["Cast", "Cast"]),
    "through an 8-bit float": ("uint8", "a = Cast <to = 17> (x)  y = Cast <to = 1> (a)", "float", ["Cast", "Cast"]),
    "through a string": ("float", "a = Cast <to = 8> (x)  y = Cast <to = 7> (a)", "int64", ["Cast", "Cast"]),
}


@pytest.mark.parametrize(("source", "body", "result", "expected"), CASTS.values(), ids=CASTS)
def test_casts(source: str, body: str, result: str, expected: list[str]) -> None:
    before = model(f"g ({source}[3] x) => ({result}[3] y) {{ {body} }}", opset=19)
    assert ops(canonical(before, tolerance=EXACT)) == expected


def test_merged_cast_saturates_as_before() -> None:
    before = model(
        """g (float16[3] x) => (float[3] y) {
            a = Cast <to = 1> (x)  b = Cast <to = 17, saturate = 0> (a)  y = Cast <to = 1> (b) }""",
        opset=19,
    )
    after = canonical(before, tolerance=EXACT)
    assert ops(after) == ["Cast", "Cast"]
    assert next(iter(after.graph)).attributes["saturate"].as_int() == 0


NOOPS = {
    "Dropout": "a = Dropout (x)  y = Relu (a)",
    "Identity": "a = Identity (x)  b = Identity (a)  y = Relu (b)",
    "Slice of everything": "a = Slice (x, zero, many, zero)  y = Relu (a)",
    "Concat of one": "a = Concat <axis = 0> (x)  y = Relu (a)",
    "Pad by nothing": "a = Pad (x, none)  y = Relu (a)",
    "Expand to the same shape": "s = Shape (x)  a = Expand (x, s)  y = Relu (a)",
    "times one, plus zero": "a = Mul (x, ones)  b = Add (a, nothing)  y = Relu (b)",
    "Relu twice": "a = Relu (x)  y = Relu (a)",
}


@pytest.mark.parametrize("body", NOOPS.values(), ids=NOOPS)
def test_node_without_effect(body: str) -> None:
    before = model(f"""g (float[2, 3] x) => (float[2, 3] y)
        <int64[1] zero = {{0}}, int64[1] many = {{99}}, int64[4] none = {{0, 0, 0, 0}}, float one = {{1}},
         float[3] ones = {{1, 1, 1}}, float nothing = {{0}}>
        {{ {body} }}""")
    assert ops(canonical(before, tolerance=EXACT)) == ["Relu"]


def test_identity_between_input_and_output_carries_the_name() -> None:
    before = model("g (float[2] x) => (float[2] y, float[2] z) { a = Dropout (x)  y = Identity (a)  z = Identity (y) }")
    assert ops(canonical(before, tolerance=EXACT)) == ["Identity", "Identity"]


def test_slice_that_reverses_is_left() -> None:
    before = model("""g (float[3] x) => (float[3] y)
        <int64[1] last = {-1}, int64[1] low = {-99}, int64[1] zero = {0}, int64[1] step = {-1}>
        { a = Slice (x, last, low, zero, step)  y = Relu (a) }""")
    assert ops(canonical(before, tolerance=EXACT)) == ["Slice", "Relu"]


def test_sum_becomes_add() -> None:
    before = model("g (float[2] x, float[2] y, float[2] z) => (float[2] s) { s = Sum (x, y, z) }")
    assert ops(canonical(before, tolerance=EXACT)) == ["Add", "Add"]


def test_broadcasting_constant_that_enlarges_the_result_is_no_noop() -> None:
    before = model("g (float[1, 3] x) => (float[2, 3] y) { y = Mul (x, c) }", {"c": np.ones((2, 1), np.float32)})
    assert ops(canonical(before, tolerance=EXACT)) == ["Mul"]


EMPTY = {
    "sizes": ("roi, none, sizes", 11),
    "sizes in a newer opset": ("none, none, sizes", 18),
    "scales": ("none, twice", 13),
    "scales and a region nobody looks at": ("region, twice", 13),
}


@pytest.mark.parametrize(("inputs", "opset"), EMPTY.values(), ids=EMPTY)
def test_empty_inputs_of_resize_are_left_out(inputs: str, opset: int) -> None:
    weights = {
        "none": np.zeros(0, np.float32), "roi": np.zeros(0, np.float32), "region": np.ones(8, np.float32),
        "sizes": np.array([1, 3, 8, 10]), "twice": np.array([1, 1, 2, 2], np.float32),
    }  # fmt: skip
    text = f"""g (float[1, 3, 4, 5] x) => (float[1, 3, 8, 10] y)
    {{ r = Relu (x)  y = Resize <mode = "linear"> (r, {inputs}) }}"""
    used = {name: array for name, array in weights.items() if name in inputs}
    _, resize = canonical(model(text, used, opset=opset)).graph
    assert [value is not None for value in resize.inputs] in ([True, False, True], [True, False, False, True])
