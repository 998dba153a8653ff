"""Writing models: deterministic, and beyond protobuf's limit with the weights beside the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgec.errors import BadOption
from edgec.model import serialize
from edgec.model.load import load
from edgec.model.serialize import save, sha256, skeleton, to_bytes, weight_bytes
from tests.support.models import CONV_BN_RELU, model, random_weights

GRAPH = "g (float[1, 40] x) => (float[1, 40] y) <float[1] two = {2}> { a = MatMul (x, w)  y = Mul (a, two) }"


def linear() -> ir.Model:
    return model(GRAPH, random_weights(w=(40, 40)))


@pytest.fixture
def tiny_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialize, "PROTOBUF_LIMIT_BYTES", serialize.ROOM_FOR_GRAPH_BYTES)


def test_same_model_same_bytes(tmp_path: Path) -> None:
    assert to_bytes(linear()) == to_bytes(linear())
    assert sha256(linear()) == sha256(linear()) != sha256(model(CONV_BN_RELU))
    save(linear(), tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == to_bytes(linear())
    assert to_bytes(load(tmp_path / "a.onnx").model) == to_bytes(linear())


def test_weight_bytes_count_constants_and_initializers() -> None:
    assert weight_bytes(linear()) == 40 * 40 * 4 + 4
    constant = "g (float[2] x) => (float[2] y) { k = Constant <value = float[2] {1, 2}> ()  y = Add (x, k) }"
    assert weight_bytes(model(constant)) == 8


@pytest.mark.usefixtures("tiny_limit")
def test_beyond_the_limit_weights_lie_beside_the_graph(tmp_path: Path) -> None:
    source = linear()
    save(source, tmp_path / "big.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.onnx", "big.onnx.data"]
    assert not isinstance(source.graph.initializers["w"].const_value, ir.ExternalTensor)
    again = load(tmp_path / "big.onnx").model
    expected = source.graph.initializers["w"].const_value
    np.testing.assert_array_equal(again.graph.initializers["w"].const_value.numpy(), expected.numpy())
    assert sha256(again) == sha256(source) != sha256(model(GRAPH, random_weights(seed=1, w=(40, 40))))


@pytest.mark.usefixtures("tiny_limit")
def test_beyond_the_limit_there_are_no_bytes() -> None:
    with pytest.raises(ValueError, match="limit of 2 GB"):
        to_bytes(linear())


def test_skeleton_has_the_small_tensors_and_is_valid() -> None:
    source = linear()
    bare = skeleton(source)
    onnx.checker.check_model(bare)
    assert [tensor.name for tensor in bare.graph.initializer] == ["two"]
    assert [value.name for value in bare.graph.input] == ["x", "w"]
    assert set(source.graph.initializers) == {"two", "w"}


def test_unwritable_place(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"cannot write .*missing") as caught:
        save(linear(), tmp_path / "missing" / "a.onnx")
    assert caught.value.remedy
