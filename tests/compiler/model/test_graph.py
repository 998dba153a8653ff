"""The shared graph queries and edits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.graph import (
    add_constant,
    attribute,
    constant,
    is_static,
    opset,
    replace_uses,
    scalar,
    single_consumer,
    unique_name,
)
from edgec.reference.session import Reference
from tests.support.models import model, ops

X = np.array([-1, 2], np.float32)
TWO_READERS = """g (float[2] x) => (float[2] y, float[2] z) <float[2] w = {1, 2}> {
  k = Constant <value_floats = [3.0, 4.0]> ()  a = Mul (x, w)  b = Relu (a)  c = Neg (a)
  y = Add (b, c)  z = Add (y, k) }"""


def values(source: ir.Model) -> dict[str, ir.Value]:
    return ir.convenience.create_value_mapping(source.graph)


def run(source: ir.Model) -> dict[str, list[float]]:
    return {name: array.tolist() for name, array in Reference(source).run({"x": X}).items()}


def test_constants_of_initializers_and_constant_nodes() -> None:
    found = values(model(TWO_READERS))
    np.testing.assert_array_equal(constant(found["w"]), [1, 2])
    np.testing.assert_array_equal(constant(found["k"]), [3, 4])
    assert constant(found["a"]) is constant(found["x"]) is constant(None) is None


def test_scalar_is_one_element_of_any_rank() -> None:
    found = values(
        model("g (float[2] x) => (float[2] y) <float[1] w = {2.5}, float v = {3}> { a = Mul (x, w)  y = Add (a, v) }")
    )
    assert (scalar(found["w"]), scalar(found["v"]), scalar(found["x"])) == (2.5, 3.0, None)
    assert scalar(values(model(TWO_READERS))["w"]) is None


def test_attributes_and_their_defaults() -> None:
    node = model(
        "g (float[1, 1, 4, 4] x) => (float[1, 1, 2, 2] y) { y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) }"
    ).graph[0]
    assert attribute(node, "kernel_shape") == (2, 2)
    assert attribute(node, "ceil_mode", 0) == 0
    assert attribute(node, "pads") is None


def test_single_consumer() -> None:
    found = values(model(TWO_READERS))
    assert single_consumer(found["b"]) is found["y"].producer()
    assert single_consumer(found["a"]) is None, "two nodes read it"
    assert single_consumer(found["y"]) is None, "one node reads it, but it is an output"
    twice = values(model("g (float[2] x) => (float[2] y) { a = Relu (x)  y = Add (a, a) }"))
    assert single_consumer(twice["a"]) is None, "one node reads it twice"


def test_opset_and_is_static() -> None:
    source = model(TWO_READERS, opset=13)
    assert (opset(source), opset(source.graph)) == (13, 13)
    assert is_static(values(source)["a"])
    assert not is_static(ir.val("unknown"))


def test_unique_names_avoid_values_and_nodes_also_in_subgraphs() -> None:
    graph = """g (float[2] x, bool flag) => (float[2] y) { y = If (flag) <
      then_branch = a () => (float[2] p) <float[2] inner = {1, 2}> { p = Add (x, inner) },
      else_branch = b () => (float[2] q) { q = Neg (x) }> }"""
    source = model(graph)
    assert [unique_name(source.graph, stem) for stem in ("x", "p", "inner", "new")] == ["x_2", "p_2", "inner_2", "new"]


def test_added_constant_is_an_initializer() -> None:
    source = model(TWO_READERS)
    first, second = (add_constant(source.graph, "w", np.float32(value)) for value in (5, 6))
    assert (first.name, second.name, first.dtype, first.shape) == ("w_2", "w_3", ir.DataType.FLOAT, ir.Shape([]))
    transposed = add_constant(source.graph, "t", np.arange(6, dtype=np.float32).reshape(2, 3).T)
    assert transposed.const_value is not None
    assert transposed.const_value.tobytes() == np.array([0, 3, 1, 4, 2, 5], np.float32).tobytes()


def test_replacing_a_value_inside() -> None:
    source = model(TWO_READERS)
    found = values(source)
    replace_uses(found["b"], found["a"])
    assert run(source) == {"y": [0, 0], "z": [3, 4]}


def test_replacing_an_output_keeps_its_name_and_readers() -> None:
    source = model(TWO_READERS)
    found = values(source)
    replace_uses(found["y"], found["b"])
    assert [value.name for value in source.graph.outputs] == ["y", "z"]
    assert run(source) == {"y": [0, 4], "z": [3, 8]}
    assert "Identity" not in ops(source)


def test_output_replaced_by_an_input_or_a_constant_or_another_output_gets_an_identity() -> None:
    for replacement, expected in (("x", [-1, 2]), ("w", [1, 2]), ("z", [3, 4])):
        source = model(TWO_READERS)
        found = values(source)
        if replacement == "z":  # which reads y, so that it would read itself
            found["z"].producer().replace_input_with(0, found["k"])
            found["z"].producer().replace_input_with(1, add_constant(source.graph, "zero", np.float32(0)))
        replace_uses(found["y"], found[replacement])
        assert [value.name for value in source.graph.outputs] == ["y", "z"]
        assert ops(source)[-1] == "Identity"
        assert run(source)["y"] == expected


def test_type_and_shape_reach_a_replacement_without_them() -> None:
    source = model(TWO_READERS)
    old = values(source)["b"]
    node = ir.node("Relu", [values(source)["a"]])
    source.graph.insert_after(old.producer(), node)
    replace_uses(old, node.outputs[0])
    assert (node.outputs[0].dtype, node.outputs[0].shape) == (ir.DataType.FLOAT, ir.Shape([2]))
