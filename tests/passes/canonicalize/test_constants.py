"""What depends on constants alone becomes an initializer; what is never used or written twice goes."""

from __future__ import annotations

import numpy as np
import pytest

from edgec.passes.canonicalize import Canonicalize
from tests.passes.equal import EXACT, canonical
from tests.support.models import model, ops, random_weights


def test_constant_nodes_become_initializers() -> None:
    before = model("""g (float[2, 3] x) => (float[2, 3] y) {
        c = Constant <value = float[3] {1, 2, 3}> ()  s = Constant <value_float = 2.0> ()
        a = Mul (x, c)  p = Pow (a, s)  y = Relu (p) }""")
    after = canonical(before)
    assert ops(after) == ["Mul", "Pow", "Relu"]
    assert set(after.graph.initializers) == {"c", "s"}


def test_filled_weights_take_no_memory() -> None:
    before = model("""g (float[1, 3, 8, 8] x) => (float[1, 64, 6, 6] y) <int64[4] shape = {64, 3, 3, 3}> {
        w = ConstantOfShape <value = float[1] {0.5}> (shape)  y = Conv (x, w) }""")
    after = canonical(before)
    (conv,) = after.graph
    assert conv.inputs[1].name == "w"
    assert conv.inputs[1].const_value.numpy().strides == (0, 0, 0, 0)


def test_filled_output() -> None:
    before = model("""g (float[2] x) => (float[2] y, float[3] z) <int64[1] shape = {3}> {
        y = Relu (x)  z = ConstantOfShape <value = float[1] {0.5}> (shape) }""")
    canonical(before, tolerance=EXACT)


SHAPE_CHAINS = {
    "batch and the rest": """s = Shape (x)  n = Gather <axis = 0> (s, first)  u = Unsqueeze (n, zero)
        k = Concat <axis = 0> (u, minus)  r = Reshape (x, k)  y = Relu (r)""",
    "product of height and width": """s = Shape (x)  hw = Slice (s, two, many, zero)  f = Cast <to = 1> (hw)
        p = ReduceProd <axes = [0]> (f)  i = Cast <to = 7> (p)  k = Concat <axis = 0> (minus, i)
        r = Reshape (x, k)  y = Relu (r)""",
    "expanded to its own size": """s = Shape (x)  e = ConstantOfShape <value = float[1] {1}> (s)
        m = Mul (x, e)  q = Flatten (m)  y = Relu (q)""",
}


@pytest.mark.parametrize("body", SHAPE_CHAINS.values(), ids=SHAPE_CHAINS)
def test_shape_arithmetic_vanishes_once_shapes_are_fixed(body: str) -> None:
    before = model(
        f"""g (float[N, 3, H, W] x) => (float[A, B] y)
        <int64 first = {{0}}, int64[1] zero = {{0}}, int64[1] minus = {{-1}}, int64[1] two = {{2}},
         int64[1] many = {{9}}>
        {{ {body} }}""",
        shapes={"x": (1, 3, 4, 4)},
    )
    assert ops(canonical(before, tolerance=EXACT)) == ["Reshape", "Relu"]


def test_quantized_weights_stay_quantized() -> None:
    before = model(
        """g (float[1, 4] x) => (float[1, 3] y) <float scale = {0.1}, int8 zero = {0}> {
            w = DequantizeLinear (q, scale, zero)  y = MatMul (x, w) }""",
        {"q": np.arange(12, dtype=np.int8).reshape(4, 3)},
    )
    assert ops(canonical(before)) == ["DequantizeLinear", "MatMul"]


def test_branch_that_is_always_taken_is_inlined() -> None:
    before = model("""g (float[2, 3] x) => (float[2, 3] y) <bool yes = {1}, float two = {2}> {
        z = If (yes) <
            then_branch = then () => (float[2, 3] t) { a = Mul (x, two)  t = Relu (a) },
            else_branch = otherwise () => (float[2, 3] e) { e = Sigmoid (x) }>
        y = Neg (z) }""")
    assert ops(canonical(before)) == ["Mul", "Relu", "Neg"]


def test_branch_on_an_input_stays() -> None:
    before = model("""g (float[2, 3] x, bool[1] yes) => (float[2, 3] y) {
        y = If (yes) <
            then_branch = then () => (float[2, 3] t) { i = Identity (x)  t = Relu (i) },
            else_branch = otherwise () => (float[2, 3] e) { e = Sigmoid (x) }> }""")
    assert ops(canonical(before)) == ["If"]


def test_branch_not_taken_no_longer_counts_as_reader() -> None:
    before = model(
        """g (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y) <bool yes = {1}, float two = {2}> {
        c = Conv (x, w)
        z = If (yes) <
            then_branch = then () => (float[1, 3, 4, 4] t) { t = Mul (c, two) },
            else_branch = otherwise () => (float[1, 3, 4, 4] e) { e = Sigmoid (c) }>
        y = Relu (z) }""",
        random_weights(w=(3, 3, 1, 1)),
    )
    assert ops(canonical(before)) == ["Conv", "Relu"]


def test_unused_nodes_and_initializers_go() -> None:
    before = model(
        "g (float[2, 3] x) => (float[2, 3] y) { dead = MatMul (x, w)  y = Relu (x) }", random_weights(w=(3, 3), v=(2,))
    )
    after = canonical(before, tolerance=EXACT)
    assert ops(after) == ["Relu"]
    assert not after.graph.initializers


def test_equal_nodes_are_merged() -> None:
    before = model("""g (float[2, 3] x) => (float[2, 3] y) <float two = {2}, float zwei = {2}> {
        a = Pow (x, two)  b = Pow (x, zwei)  y = Add (a, b) }""")
    assert ops(canonical(before, tolerance=EXACT)) == ["Pow", "Add"]


def test_random_nodes_are_not_merged() -> None:
    before = model("""g (float[2, 3] x) => (float[2, 3] y) {
        a = RandomNormalLike (x)  b = RandomNormalLike (x)  c = Add (a, b)  y = Add (c, x) }""")
    assert ops(Canonicalize()(before).model).count("RandomNormalLike") == 2


def test_equal_small_weights_of_two_layers_stay_apart() -> None:
    zeros = np.zeros(4, np.float32)
    before = model(
        "g (float[1, 4, 2, 2] x) => (float[1, 4, 2, 2] y) { a = Conv (x, v, b)  r = Relu (a)  y = Conv (r, w, c) }",
        random_weights(v=(4, 4, 1, 1), w=(4, 4, 1, 1)) | {"b": zeros, "c": zeros},
    )
    assert list(canonical(before).graph.initializers) == ["v", "b", "w", "c"]


def test_large_equal_weights_are_stored_once() -> None:
    table = np.random.default_rng(0).standard_normal((256, 128), dtype=np.float32)
    before = model(
        """g (float[1, 256] x) => (float[1, 128] y) {
            a = MatMul (x, v)  b = Relu (x)  c = MatMul (b, w)  y = Add (a, c) }""",
        {"v": table, "w": table.copy()},
    )
    assert list(canonical(before).graph.initializers) == ["v"]


def test_every_node_has_a_unique_name_and_every_value_a_static_shape() -> None:
    before = model(
        """g (float[N, 3] x) => (float[N, 3] y) { a = Relu (x)  b = Sigmoid (a)  c = Add (a, b)  y = Softmax (c) }"""
    )
    after = canonical(before)
    names = [node.name for node in after.graph]
    assert names == ["Relu_a", "Sigmoid_b", "Add_c", "Softmax_y"]
    assert all(node.outputs[0].shape.is_static() for node in after.graph)


def test_filled_scalar() -> None:
    before = model("""g (float[2] x) => (float[2] y) <int64[0] shape = {}> {
        s = ConstantOfShape <value = float[1] {0.5}> (shape)  y = Mul (x, s) }""")
    after = canonical(before, tolerance=EXACT)
    assert ops(after) == ["Mul"]
