"""ONNX Runtime as the reference, and the golden inputs it is fed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgec.errors import BadModel, BadOption, UnsupportedModel
from edgec.model import serialize
from edgec.model.load import load
from edgec.model.signature import TensorSpec, inputs_of
from edgec.reference import session
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from tests.support.models import CONV_BN_RELU, model, proto, saved

X = np.array([[-1, 0, 2]], np.float32)
CHAIN = "g (float[1, 3] x) => (float[1, 3] y) <float[1] two = {2}> { a = Mul (x, two)  b = Relu (a)  y = Neg (b) }"


def test_runs_a_model_and_bytes_alike() -> None:
    for source in (model(CHAIN), proto(CHAIN).SerializeToString()):
        np.testing.assert_array_equal(Reference(source).run({"x": X})["y"], [[0, 0, -4]])


def test_taps_read_values_inside() -> None:
    source = model(CHAIN)
    results = Reference(source, taps=["a", "b", "a", "y"], threads=1).run({"x": X})
    assert list(results) == ["y", "a", "b"]
    np.testing.assert_array_equal(results["a"], [[-2, 0, 4]])
    assert [value.name for value in source.graph.outputs] == ["y"]


def test_unknown_tap() -> None:
    with pytest.raises(BadOption, match="computes no value 'x'"):
        Reference(model(CHAIN), taps=["x"])


def test_model_of_the_newest_format() -> None:
    source = model(CHAIN)
    source.ir_version = onnx.IR_VERSION
    assert Reference(source).run({"x": X})["y"].shape == (1, 3)


def test_weights_beyond_the_protobuf_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"w": np.arange(9, dtype=np.float32).reshape(3, 3)}
    source = model("g (float[1, 3] x) => (float[1, 3] y) { y = MatMul (x, w) }", weights)
    monkeypatch.setattr(serialize, "PROTOBUF_LIMIT_BYTES", serialize.ROOM_FOR_GRAPH_BYTES)
    assert not serialize.fits_one_file(source)
    np.testing.assert_array_equal(Reference(source).run({"x": X})["y"], X @ weights["w"])
    assert source.graph.initializers["w"].const_value.numpy() is not None


@pytest.mark.parametrize("domain", ["com.mine", "com.microsoft"])
def test_operator_without_a_kernel_is_named(domain: str) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17, "{domain}" : 1]>
    g (float[1, 3] x) => (float[1, 3] y) {{ y = {domain}.Frobnicate (x) }}"""
    with pytest.raises(UnsupportedModel, match=r"cannot run .*Frobnicate"):
        Reference(proto(text).SerializeToString())


def test_standard_operator_without_a_kernel_names_op_and_node() -> None:
    source = proto("g (bfloat16[1, 3] x) => (bfloat16[1, 3] y) { y = Softplus (x) }", opset=22, ir_version=10)
    source.graph.node[0].name = "soft"
    with pytest.raises(UnsupportedModel, match=r"Softplus \(node 'soft'\)"):
        Reference(source.SerializeToString())


def test_bytes_that_are_no_model() -> None:
    with pytest.raises(BadModel, match="ONNX Runtime rejects"):
        Reference(b"\x08\x08nonsense")


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "input 'x' is missing"),
        ({"x": X, "z": X}, "no input 'z'"),
        ({"x": X[:, :2]}, "wrong input"),
        ({"x": X.astype(np.float64)}, "wrong input"),
    ],
)
def test_wrong_feeds(feeds: dict[str, np.ndarray[Any, Any]], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        Reference(model(CHAIN)).run(feeds)


NODES_THAT_FAIL = {
    "Reshape node 'y': .*Input shape:.2,3., requested shape:.4,4.": (
        "g (float[n, 3] x) => (float[a, b] y) <int64[2] s = {4, 4}> { y = Reshape (x, s) }"
    ),
    "Gather node 'y': indices element out of data bounds": (
        "g (float[n, 3] x) => (float[a] y) <int64 i = {7}> { y = Gather (x, i) }"
    ),
    "Add node 'y': .*2 by 3": "g (float[n, 3] x, float[k] b) => (float[n, m] y) { y = Add (x, b) }",
    "MaxPool node 'p': padding values": """g (float[n, 3] x) => (float[a, b, c, d] y)
        <int64[4] s = {1, 1, 2, 3}> {
        r = Reshape (x, s)  p = MaxPool <kernel_shape = [1, 1], strides = [2, 2], auto_pad = "SAME_UPPER"> (r)
        y = Relu (p) }""",
    "Gather node 'q'": """g (float[n, 3] x, bool flag) => (float[a] y) <int64 i = {7}> {
        y = If (flag) <then_branch = then () => (float[a] p) { p = Relu (x) },
                       else_branch = other () => (float[a] q) { q = Gather (x, i) }> }""",
}


@pytest.mark.parametrize("message", NODES_THAT_FAIL)
def test_a_node_that_fails_while_running_is_named(message: str) -> None:
    feeds = {"x": np.ones((2, 3), np.float32), "b": np.ones(2, np.float32), "flag": np.array(False)}
    reference = Reference(load(proto(NODES_THAT_FAIL[message])).model)
    with pytest.raises(BadModel, match=message):
        reference.run({name: feeds[name] for name in reference.input_names})


def test_a_loop_without_end_is_stopped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOOP_SECONDS", 0.1)
    endless = """g (float[1, 3] x) => (float[1, 3] y) <int64 trips = {1099511627776}, bool yes = {1}> {
        y = Loop (trips, yes, x) <
            body = body (int64 i, bool go, float[1, 3] v) => (bool still, float[1, 3] w) {
                still = Identity (go)  w = Neg (v) }> }"""
    for source in (load(proto(endless)).model, proto(endless).SerializeToString()):
        with pytest.raises(BadModel, match=r"had not finished Loop node .*after 0\.1 seconds"):
            Reference(source).run({"x": X})


def test_onnx_runtime_keeps_no_traces(tmp_path: Path) -> None:
    hidden = {"CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    home = {name: value for name, value in os.environ.items() if name not in hidden} | {"HOME": str(tmp_path)}
    file = saved(proto(CHAIN), tmp_path / "chain.onnx")
    code = "import sys; from pathlib import Path; from edgec.reference.session import Reference;"
    code += "Reference(Path(sys.argv[1]).read_bytes())"
    subprocess.run([sys.executable, "-c", code, str(file)], env=home, check=True)
    assert list(tmp_path.rglob("*")) == [file]


def spec(dtype: str, *shape: int, name: str = "x") -> TensorSpec:
    return TensorSpec(name=name, shape=shape, dtype=dtype)


def test_golden_inputs_are_the_same_everywhere_and_for_ever() -> None:
    array = random_inputs([spec("float32", 2, 3)], seed=0)["x"]
    assert hashlib.sha256(array.tobytes()).hexdigest()[:16] == "ed01e946d13da27a"
    np.testing.assert_array_equal(array, random_inputs([spec("float32", 2, 3)], seed=0)["x"])


def test_golden_inputs_depend_on_name_and_seed_not_on_the_other_inputs() -> None:
    a, b = spec("float32", 4, name="a"), spec("float32", 4, name="b")
    both = random_inputs([a, b], seed=3)
    assert (both["a"] != both["b"]).all()
    np.testing.assert_array_equal(both["b"], random_inputs([b], seed=3)["b"])
    assert (both["b"] != random_inputs([b], seed=4)["b"]).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_golden_floats_fill_zero_to_one(dtype: str) -> None:
    array = random_inputs([spec(dtype, 50, 20)], seed=0)["x"]
    assert array.dtype.name == dtype
    values = array.astype(np.float64)
    # The two narrow types round the last values below 1 up to it.
    assert 0 <= values.min() < 0.01
    assert 0.99 < values.max() <= 1
    assert abs(values.mean() - 0.5) < 0.03


@pytest.mark.parametrize(
    ("dtype", "largest"), [("uint8", 255), ("int8", 127), ("int32", 9), ("int64", 9), ("uint16", 9), ("bool", 1)]
)
def test_golden_integers_are_small(dtype: str, largest: int) -> None:
    array = random_inputs([spec(dtype, 60, 60)], seed=0)["x"]
    assert array.dtype.name == dtype
    assert (array.min(), array.max()) == (0, largest)


def test_golden_scalars_and_empty_arrays() -> None:
    arrays = random_inputs([spec("float32", name="scalar"), spec("float32", 0, 3, name="empty")], seed=0)
    assert (arrays["scalar"].shape, arrays["empty"].shape) == ((), (0, 3))


def test_golden_inputs_of_a_type_without_random_values() -> None:
    with pytest.raises(UnsupportedModel, match="x: complex64"):
        random_inputs([spec("complex64", 1)], seed=0)


def test_golden_inputs_feed_a_model() -> None:
    source = model(CONV_BN_RELU)
    assert Reference(source).run(random_inputs(inputs_of(source), seed=0))["y"].shape == (1, 4, 8, 8)


def test_sums_of_products_of_integers_do_not_saturate() -> None:
    weights = "<float s = {1}, uint8 z = {0}, float t = {8192}, int8 v = {0}, int8[64, 1] w>"
    body = (
        "{ q = QuantizeLinear (x, s, z)  p = QLinearMatMul (q, s, z, w, s, v, t, z)  y = DequantizeLinear (p, t, z) }"
    )
    network = model(f"g (float[1, 64] x) => (float[1, 1] y) {weights} {body}", {"w": np.full((64, 1), 127, np.int8)})
    (y,) = Reference(network).run({"x": np.full((1, 64), 255, np.float32)}).values()
    assert y.item() == round(255 * 127 * 64 / 8192) * 8192  # two products of 255 and 127 do not fit 16 bits


def test_weights_with_a_scale_per_channel_are_run_optimized() -> None:
    weights = "<float s = {1}, uint8 z = {0}, float[2] t = {0.5, 1}, int8[2, 1, 1, 1] w = {127, -3}>"
    body = (
        "{ q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z)  k = DequantizeLinear <axis = 0> (w, t)"
        "  c = Conv (d, k)  y = Relu (c) }"
    )
    network = model(f"g (float[1, 1, 2, 2] x) => (float[1, 2, 2, 2] y) {weights} {body}")
    feeds = {"x": np.full((1, 1, 2, 2), 255, np.float32)}
    (y,) = Reference(network, optimize=True).run(feeds).values()
    np.testing.assert_array_equal(y[0, :, 0, 0], [255 * 63.5, 0])
