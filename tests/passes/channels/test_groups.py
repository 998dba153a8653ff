"""Which channels belong together, told on graphs small enough to see it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgec.errors import BadModel, UnsupportedModel
from edgec.passes.channels.groups import find_groups
from edgec.passes.channels.operators.reshape import regroup
from edgec.passes.channels.propagation import Propagation
from edgec.passes.prepare import prepare
from tests.support.models import model, random_weights


def groups(text: str, **shapes: tuple[int, ...]) -> dict[str, tuple[int, list[str], list[str]]]:
    """Return group -> (units, layers that make its channels, layers that read them)."""
    found = find_groups(model(text, random_weights(**shapes), opset=18)).groups
    return {g.name: (g.units, [m.node for m in g.makers], [m.node for m in g.readers]) for g in found}


def blocked(text: str, **shapes: tuple[int, ...]) -> dict[str, str]:
    """Return layer -> why it stays whole."""
    return {b.layer: b.reason for b in find_groups(model(text, random_weights(**shapes), opset=18)).blocked}


def test_filters_go_with_what_reads_them_and_outputs_stay() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v)  r = Relu (a)  y = Conv (r, w) }"""
    assert groups(text, v=(4, 3, 1, 1), w=(5, 4, 1, 1)) == {"a": (4, ["a"], ["y"])}
    assert blocked(text, v=(4, 3, 1, 1), w=(5, 4, 1, 1)) == {"y": "they are the model's output 'y'"}


def test_addition_ties_two_layers() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v)  b = Conv (x, u)  s = Add (a, b)  y = Conv (s, w) }"""
    assert groups(text, v=(4, 3, 1, 1), u=(4, 3, 1, 1), w=(5, 4, 1, 1)) == {"a": (4, ["a", "b"], ["y"])}


def test_addition_of_one_channel_ties_nothing() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v)  b = Conv (x, u)  s = Mul (a, b)  y = Conv (s, w) }"""
    assert groups(text, v=(4, 3, 1, 1), u=(1, 3, 1, 1), w=(5, 4, 1, 1)) == {"a": (4, ["a"], ["y"])}


def test_depthwise_layer_follows() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v)  d = Conv <group = 4> (a, u)  y = Conv (d, w) }"""
    found = find_groups(model(text, random_weights(v=(4, 3, 1, 1), u=(4, 1, 1, 1), w=(5, 4, 1, 1)), opset=18)).groups
    assert [(m.node, m.role) for m in found[0].members] == [("a", "filters"), ("d", "follows"), ("y", "reads")]


def test_many_narrow_groups_go_whole() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v)  b = Conv <group = 4> (a, u)  y = Conv (b, w) }"""
    assert groups(text, v=(8, 3, 1, 1), u=(8, 2, 1, 1), w=(5, 8, 1, 1)) == {"a": (4, ["a", "b"], ["y"])}


def test_few_wide_groups_lose_the_same_channels_each() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v)  b = Conv <group = 2> (a, u)  y = Conv (b, w) }"""
    assert groups(text, v=(8, 3, 1, 1), u=(8, 4, 1, 1), w=(5, 8, 1, 1)) == {
        "a": (4, ["a"], ["b"]),
        "b": (4, ["b"], ["y"]),
    }


def test_concatenated_layers_are_pruned_apart() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v)  b = Conv (x, u)  c = Concat <axis = 1> (a, b)  y = Conv (c, w) }"""
    assert groups(text, v=(4, 3, 1, 1), u=(2, 3, 1, 1), w=(5, 6, 1, 1)) == {
        "a": (4, ["a"], ["y"]),
        "b": (2, ["b"], ["y"]),
    }


def test_neither_part_of_a_split_may_become_empty() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v)  p, q = Split <axis = 1, num_outputs = 2> (a)
        b = Conv (p, u)  c = Conv (q, t)  y = Add (b, c) }"""
    (group,) = find_groups(model(text, random_weights(v=(4, 3, 1, 1), u=(5, 2, 1, 1), t=(5, 2, 1, 1)), opset=18)).groups
    assert set(group.floors) == {frozenset({0, 1}), frozenset({2, 3})}


def test_flattened_channel_takes_all_its_columns() -> None:
    text = """g (float[1, 3, 2, 2] x) => (float[1, 5] y) {
        a = Conv (x, v)  f = Flatten (a)  y = Gemm <transB = 1> (f, w) }"""
    (group,) = find_groups(model(text, random_weights(v=(3, 3, 1, 1), w=(5, 12)), opset=18)).groups
    assert group.readers[0].units.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("s = Softmax <axis = 1> (a)", "normalizes over them"),
        ("s = LRN <size = 3> (a)", "normalizes over neighbours among them"),
        ("s = CumSum (a, k)", "is an operator whose channels cannot be followed"),
        ("s = MatMul (a, a)", None),
    ],
)
def test_what_mixes_channels_keeps_them_whole(body: str, reason: str | None) -> None:
    text = f"""g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) <int64 k = {{1}}> {{
        a = Conv (x, v)  {body}  y = Conv (s, w) }}"""
    found = blocked(text, v=(4, 3, 1, 1), w=(5, 4, 1, 1))
    assert (reason is None) == ("a" not in found)
    assert reason is None or reason in found["a"]


def test_control_flow_is_refused() -> None:
    text = """g (bool c, float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = If (c) <then_branch = t () => (float[1, 3, 8, 8] p) { p = Relu (x) },
                    else_branch = e () => (float[1, 3, 8, 8] q) { q = Neg (x) }>
        y = Conv (a, w) }"""
    with pytest.raises(UnsupportedModel, match="If node"):
        prepare(model(text, random_weights(w=(5, 3, 1, 1)), opset=18))


def test_preparing_names_nodes_and_parts_shared_biases() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) {
        a = Conv (x, w, b)  r = Relu (a)  y = Conv (r, v, b) }"""
    prepared = prepare(model(text, random_weights(w=(3, 3, 1, 1), v=(3, 3, 1, 1), b=(3,)), opset=18))
    assert len({node.name for node in prepared.graph if node.name}) == 3
    biases = [node.inputs[2] for node in prepared.graph if node.op_type == "Conv"]
    assert biases[0] is not biases[1]


def test_older_opsets_are_refused() -> None:
    with pytest.raises(ValueError, match="opset 17"):
        find_groups(model("g (float[1, 3] x) => (float[1, 3] y) { y = Relu (x) }"))


def test_networks_that_contradict_themselves_are_refused() -> None:
    node, found = ir.node("Reshape", [None], name="r"), Propagation.__new__(Propagation)
    with pytest.raises(BadModel, match=r"r \(Reshape\) has another number of elements"):
        regroup(found, node, [np.arange(3)], (2,))
    with pytest.raises(BadModel, match=r"r \(Reshape\) combines 1 with 5 channels"):
        found.tie(node, np.zeros(1, np.int64), np.zeros(5, np.int64))


def test_elements_that_do_not_exist_are_no_crash() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 2, 8, 8] y) <int64[2] i = {0, 7}> {
        a = Conv (x, v)  y = Gather <axis = 1> (a, i) }"""
    assert blocked(text, v=(4, 3, 1, 1)) == {"a": "y (Gather) takes elements beyond the end"}
