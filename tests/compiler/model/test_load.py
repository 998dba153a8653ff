"""Loading: every way to give a model, every age of ONNX, and every way a file can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.errors import BadModel, EdgecError, UnsupportedModel
from edgec.model import serialize
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import outputs_of
from edgec.reference.compare import compare
from edgec.reference.session import Reference
from tests.support.models import CONV_BN_RELU, ops, proto, saved

VALID = proto(CONV_BN_RELU).SerializeToString(deterministic=True)
FEEDS = {"image": np.linspace(0, 1, 192, dtype=np.float32).reshape(1, 3, 8, 8)}
RELU = "{ y = Relu (x) }"


def test_path_bytes_proto_and_ir_give_the_same_model(tmp_path: Path) -> None:
    expected = Reference(VALID).run(FEEDS)
    path = saved(proto(CONV_BN_RELU), tmp_path / "my net.onnx")
    for source in (path, str(path), VALID, proto(CONV_BN_RELU), ir.from_proto(proto(CONV_BN_RELU))):
        assert compare(expected, Reference(load(source).model).run(FEEDS)).within(0)


def test_name_is_the_files_or_the_graphs(tmp_path: Path) -> None:
    assert load(saved(proto(CONV_BN_RELU), tmp_path / "my net.onnx")).name == "my net"
    assert load(VALID).name == "net"
    source = proto(CONV_BN_RELU)
    source.graph.name = "../torch graph/1"
    assert load(source).name == "torch-graph-1"


def test_hash_is_the_files_and_tells_models_apart(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(VALID)
    assert load(path).sha256 == load(VALID).sha256
    assert load(proto(CONV_BN_RELU)).sha256 == load(proto(CONV_BN_RELU)).sha256
    assert load(proto(CONV_BN_RELU)).sha256 != load(proto(CONV_BN_RELU.replace("0.25", "0.5"))).sha256


def test_source_is_not_altered() -> None:
    as_proto, as_ir = proto(CONV_BN_RELU), ir.from_proto(proto(CONV_BN_RELU))
    for source in (as_proto, as_ir):
        model = fix_shapes(load(source).model, {})
        for value in list(model.graph.initializers.values()):
            value.name = f"renamed_{value.name}"
    assert as_proto.SerializeToString(deterministic=True) == VALID
    assert ir.to_proto(as_ir).SerializeToString(deterministic=True) == ir.to_proto(
        ir.from_proto(proto(CONV_BN_RELU))
    ).SerializeToString(deterministic=True)


@pytest.mark.parametrize("opset", range(7, onnx.defs.onnx_opset_version() + 1))
def test_every_opset_from_7_on_loads(opset: int) -> None:
    source = proto(CONV_BN_RELU, opset=opset, ir_version=3 if opset < 9 else 8)
    if source.ir_version == 3:  # which wants initializers among the inputs
        source.graph.input.extend(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            for tensor in source.graph.initializer
        )
    model = fix_shapes(load(source).model, {})
    assert [value.name for value in model.graph.inputs] == ["image"]
    assert len(model.graph.initializers) == 5
    assert model.graph.outputs[0].shape == ir.Shape([1, 4, 8, 8])


def test_initializer_among_the_inputs_becomes_a_plain_one() -> None:
    source = proto("g (float[2] x, float[2] w) => (float[2] y) { y = Add (x, w) }")
    source.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(2, np.float32), "w"))
    assert [value.name for value in load(source).model.graph.inputs] == ["x"]


def test_functions_are_inlined() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "mine" : 1]>
    g (float[1, 3] x) => (float[1, 3] y) { y = mine.twice (x) }
    <domain: "mine", opset_import: ["" : 17]> twice (a) => (b) { c = Add (a, a)  b = Identity (c) }"""
    model = load(proto(text)).model
    assert ops(model) == ["Add", "Identity"]
    assert not model.functions


def test_operators_of_other_domains_are_the_targets_business() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "com.example" : 1]>
    g (float[1, 3] x) => (float[1, 3] y) { y = com.example.Swirl (x) }"""
    assert ops(fix_shapes(load(proto(text)).model, {})) == ["Swirl"]


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"nothing\.onnx: No such file"):
        load(tmp_path / "nothing.onnx")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"# a readme\nwith lines\n", "is a text file"),
        (b"PK\x03\x04rest", r"zip file \(a PyTorch checkpoint"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
        (VALID[:-40], "is truncated"),
        (VALID[: len(VALID) // 2], "is truncated"),
        (b"\xff" * 64, "is truncated, or is not an ONNX"),
        (b"\x08\x08", "it has no graph"),
    ],
)
def test_file_that_is_no_model(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(BadModel, match=message) as caught:
        load(path)
    assert str(path) in caught.value.problem
    assert caught.value.remedy


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(EdgecError):
        load(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(VALID) - 1), st.binary(min_size=1, max_size=3), st.integers(0, 3))
def test_damaged_file_loads_or_is_refused_in_words(at: int, new: bytes, drop: int) -> None:
    try:
        fix_shapes(load(VALID[:at] + new + VALID[at + drop :]).model, {})
    except EdgecError as error:
        assert error.problem


def test_old_opset() -> None:
    with pytest.raises(UnsupportedModel, match="opset 6; edgec supports 7 to"):
        load(proto(f"g (float[1] x) => (float[1] y) {RELU}", opset=6))


def test_newer_opset_or_format_than_onnx_knows() -> None:
    newest = onnx.defs.onnx_opset_version()
    with pytest.raises(UnsupportedModel, match=f"opset {newest + 1} .* up to {newest}"):
        load(proto(f"g (float[1] x) => (float[1] y) {RELU}", opset=newest + 1))
    source = proto(f"g (float[1] x) => (float[1] y) {RELU}")
    source.ir_version = onnx.IR_VERSION + 1
    with pytest.raises(UnsupportedModel, match="pip install -U onnx"):
        load(source)


def test_no_opset() -> None:
    source = proto(f"g (float[1] x) => (float[1] y) {RELU}")
    del source.opset_import[:]
    with pytest.raises(BadModel, match="does not say which ONNX opset"):
        load(source)


def test_unknown_operator_is_named_with_its_node() -> None:
    source = proto("g (float[1] x) => (float[1] y) { y = Frobnicate (x) }")
    source.graph.node[0].name = "stage3/frob"
    with pytest.raises(BadModel, match=r"Frobnicate.*stage3/frob"):
        load(source)


def test_undefined_input_of_a_node() -> None:
    with pytest.raises(BadModel, match="ghost"):
        load(proto("g (float[1] x) => (float[1] y) { y = Add (x, ghost) }"))


def test_no_outputs() -> None:
    source = proto(f"g (float[1] x) => (float[1] y) {RELU}")
    del source.graph.output[:]
    with pytest.raises(BadModel, match="has no outputs"):
        load(source)


def test_weights_shorter_than_their_shape() -> None:
    source = proto(CONV_BN_RELU)
    tensor = next(tensor for tensor in source.graph.initializer if tensor.name == "w")
    short = np.ones(5, np.float32).tobytes()
    tensor.ClearField("float_data")
    tensor.raw_data = short
    with pytest.raises(BadModel, match=r"tensor name: w\).*48 bytes required"):
        load(source)


def test_sparse_initializer() -> None:
    source = proto(f"g (float[1] x) => (float[1] y) {RELU}")
    values = onnx.helper.make_tensor("thin", onnx.TensorProto.FLOAT, [1], [2.0])
    indices = onnx.helper.make_tensor("indices", onnx.TensorProto.INT64, [1], [3])
    source.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, indices, [10]))
    with pytest.raises(UnsupportedModel, match="'thin' is sparse"):
        load(source)


@pytest.mark.parametrize("kind", ["sequence", "optional"])
def test_input_that_is_no_tensor(kind: str) -> None:
    source = proto("g (float[1] x) => (float[1] y) { y = Relu (x) }")
    element = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [1])
    make = {"sequence": onnx.helper.make_sequence_type_proto, "optional": onnx.helper.make_optional_type_proto}[kind]
    source.graph.input.append(onnx.helper.make_value_info("boxes", make(element)))
    with pytest.raises(UnsupportedModel, match=f"input 'boxes' is a {kind}"):
        load(source)


@pytest.mark.parametrize("missing", ["shape", "type"])
@pytest.mark.parametrize("how", [lambda source: source, ir.from_proto], ids=["proto", "ir"])
def test_outputs_need_no_type_and_no_shape(missing: str, how: Any) -> None:
    source = proto("g (float[N, 3] x) => (float[N, 3] y) { a = Relu (x)  y = Neg (a) }")
    if missing == "shape":
        source.graph.output[0].type.tensor_type.ClearField("shape")
    else:
        source.graph.output[0].ClearField("type")
    source.graph.output.append(onnx.ValueInfoProto(name="a"))  # as one marks a value inside as an output
    model = fix_shapes(load(how(source)).model, {"x": (2, 3)})
    assert [str(spec) for spec in outputs_of(model)] == ["y: float32[2x3]", "a: float32[2x3]"]


def test_input_without_a_type() -> None:
    source = proto(f"g (float[1] x) => (float[1] y) {RELU}")
    source.graph.input[0].ClearField("type")
    with pytest.raises(BadModel, match="input 'x' has no element type"):
        load(source)


UNSORTED = {
    "a chain": ["y = Neg (c)", "c = Add (b, a)", "b = Abs (a)", "a = Relu (x)"],
    "a value that a branch takes from outside": [
        """y = If (flag) <then_branch = yes () => (float[1, 3] t) { t = Mul (a, x) },
                          else_branch = no () => (float[1, 3] e) { e = Neg (a) }>""",
        "a = Relu (x)",
    ],
}


@pytest.mark.parametrize("how", [lambda source: source, ir.from_proto], ids=["proto", "ir"])
@pytest.mark.parametrize("nodes", UNSORTED.values(), ids=UNSORTED)
def test_nodes_are_sorted(nodes: list[str], how: Any) -> None:
    def graph(order: list[str]) -> onnx.ModelProto:
        return proto(f"g (float[1, 3] x, bool flag) => (float[1, 3] y) {{ {'  '.join(order)} }}")

    source = graph(nodes)
    feeds = {"x": np.array([[-1, 2, 3]], np.float32), "flag": np.array(True)}
    expected = Reference(graph(nodes[::-1]).SerializeToString()).run(feeds)
    assert compare(expected, Reference(load(how(source)).model).run(feeds)).within(0)
    assert source == graph(nodes)


def test_nodes_of_a_branch_are_sorted() -> None:
    branches = [f"""y = If (flag) <then_branch = yes () => (float[3] t) {{ {body} }},
                                   else_branch = no () => (float[3] e) {{ e = Neg (x) }}>"""
                for body in ("t = Mul (u, x)  u = Abs (x)", "u = Abs (x)  t = Mul (u, x)")]  # fmt: skip
    unsorted, expected = (load(proto(f"g (float[3] x, bool flag) => (float[3] y) {{ {y} }}")).model for y in branches)
    assert serialize.to_bytes(unsorted) == serialize.to_bytes(expected)


def test_sorted_nodes_keep_their_order() -> None:
    body = "a = Relu (x)  d = Abs (x)  y = Add (b, d)  b = Neg (a)  c = Exp (d)"
    assert ops(load(proto(f"g (float[3] x) => (float[3] y, float[3] c) {{ {body} }}")).model) == [
        "Relu", "Abs", "Neg", "Add", "Exp",
    ]  # fmt: skip


@pytest.mark.parametrize("how", [lambda source: source, ir.from_proto], ids=["proto", "ir"])
def test_nodes_in_a_cycle(how: Any) -> None:
    source = proto("g (float[3] x) => (float[3] y) { a = Add (x, b)  b = Neg (a)  y = Relu (b) }")
    source.graph.node[1].name = "back"
    with pytest.raises(BadModel, match="Add node 'a' depends on its own output"):
        load(how(source))


def test_strings() -> None:
    source = proto(f"g (float[1] x) => (float[1] y) {RELU}")
    source.graph.input.append(onnx.helper.make_tensor_value_info("label", onnx.TensorProto.STRING, [1]))
    with pytest.raises(UnsupportedModel, match="input 'label' holds strings"):
        load(source)
    del source.graph.input[1]
    source.graph.initializer.append(onnx.helper.make_tensor("names", onnx.TensorProto.STRING, [1], [b"cat"]))
    with pytest.raises(UnsupportedModel, match="initializer 'names' holds strings"):
        load(source)
