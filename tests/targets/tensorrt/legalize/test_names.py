"""Names that TensorRT's tools cannot take are replaced; inputs, outputs and results stay what they are."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from edgec.targets.tensorrt.legalize.names import plain_names
from tests.support.models import model

RELU_TWICE = "net (float[2] x) => (float[2] y) { h = Relu (x)  y = Relu (h) }"


def test_plain_names_stay() -> None:
    network = model(RELU_TWICE)
    for node, name in zip(network.graph, ("/layer.0/relu", "out-2"), strict=True):
        node.name = name
    assert plain_names(network) == {}
    assert [node.name for node in network.graph] == ["/layer.0/relu", "out-2"]


@pytest.mark.parametrize("odd", ["h:0", "a b", "größe", "h\t1", "p@q"])
def test_odd_characters_are_replaced(odd: str) -> None:
    network = model(RELU_TWICE)
    network.graph.node(0).outputs[0].name = odd
    changed = plain_names(network)
    assert set(changed) == {odd}
    assert changed[odd].isascii()
    assert not set(changed[odd]) & set(": \t@")
    onnx.checker.check_model(ir.to_proto(network), full_check=True)


def test_names_that_would_collide_are_told_apart() -> None:
    network = model(RELU_TWICE)
    network.graph.node(0).outputs[0].name = "x:0"
    network.graph.inputs[0].name = "x_0"
    assert plain_names(network) == {"x:0": "x_0_2"}


def test_nodes_without_a_name_get_one() -> None:
    network = model(RELU_TWICE)
    plain_names(network)
    assert [node.name for node in network.graph] == ["Relu_h", "Relu_y"]


def test_nodes_of_one_name_are_told_apart() -> None:
    network = model(RELU_TWICE)
    for node in network.graph:
        node.name = "relu"
    plain_names(network)
    assert [node.name for node in network.graph] == ["relu", "relu_2"]
