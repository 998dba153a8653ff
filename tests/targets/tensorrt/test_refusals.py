"""Every node that TensorRT's parser would refuse or read wrongly is refused on the host, with its reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgec.errors import BadOption
from edgec.targets.tensorrt.check import check, refusals
from edgec.targets.tensorrt.limits import limits_for
from tests.support.models import model, proto

PICTURE = "float[1, 4, 8, 8] x"

Make = Callable[[], ir.Model]


def reason(network: ir.Model | Make, version: str = "8.2.1") -> str:
    """Return why the one refused node of `network` is refused; empty if none is."""
    found = refusals(network if isinstance(network, ir.Model) else network(), limits_for(version))
    assert len(found) <= 1
    return found[0].reason if found else ""


def one_node(call: str, output: str, inputs: str = PICTURE, *, opset: int = 13, **weights: Any) -> Make:
    """Return what makes the model; a wrong one then fails its own test only."""
    return partial(model, f"net ({inputs}) => ({output}) {{ {call} }}", weights, opset=opset)


POOL = "y = {} <kernel_shape = [3, 3], {}> (x)"
SCALE_4 = {"s": np.ones(4, np.float32), "b": np.zeros(4, np.float32)}
ZERO = np.zeros((), np.int8)
STEP = np.array(0.1, np.float32)

REFUSED = {
    "not in the table": (one_node("y = Hardmax (x)", "float[1, 4, 8, 8] y"), "does not support the operator"),
    "type of the data": (
        one_node("y = ReduceMax <axes = [1]> (x)", "int32[2, 1] y", "int32[2, 2] x"), "data of type INT32"
    ),
    "dilated max pool": (one_node(POOL.format("MaxPool", "dilations = [2, 2]"), "float[1, 4, 4, 4] y"), "dilations"),
    "pads of average pool": (
        one_node(POOL.format("AveragePool", "pads = [0, 0, 2, 2]"), "float[1, 4, 8, 8] y"), "at most one more"
    ),
    "indices of max pool": (
        one_node("y, i = MaxPool <kernel_shape = [2, 2]> (x)", "float[1, 4, 7, 7] y, int64[1, 4, 7, 7] i"), "indices",
    ),
    "4-D pool": (
        one_node(
            "y = MaxPool <kernel_shape = [1, 1, 1, 1]> (x)", "float[1, 1, 2, 2, 2, 2] y", "float[1, 1, 2, 2, 2, 2] x"
        ), "window of 4 axes",
    ),
    "computed bias": (
        one_node("y = Conv (x, w, b)", "float[1, 2, 8, 8] y", f"{PICTURE}, float[2] b", w=np.ones((2, 4, 1, 1), "f4")),
        "bias is computed",
    ),
    "computed weight": (
        one_node("y = Conv (x, w)", "float[1, 2, 8, 8] y", f"{PICTURE}, float[2, 4, 1, 1] w"), "weight is computed"
    ),
    "uneven pads of 3-D ConvTranspose": (
        one_node(
            "y = ConvTranspose <pads = [0, 0, 0, 1, 1, 1]> (x, w)", "float[1, 2, 4, 4, 4] y", "float[1, 4, 4, 4, 4] x",
            w=np.ones((4, 2, 2, 2, 2), "f4"),
        ), "both ends",
    ),
    "computed axis of CumSum": (
        one_node("y = CumSum (x, a)", "float[1, 4, 8, 8] y", f"{PICTURE}, int64 a"), "input 1 ('a') must be constant"
    ),
    "Gather of booleans": (
        one_node("y = Gather (x, i)", "bool[1] y", "bool[4] x", i=np.array([0])), "data of type BOOL"
    ),
    "Where of booleans": (
        one_node("y = Where (c, x, x)", "bool[4] y", "bool[4] c, bool[4] x"), "boolean branches"
    ),
    "computed scale of InstanceNormalization": (
        one_node("y = InstanceNormalization (x, s, s)", "float[1, 4, 8, 8] y", f"{PICTURE}, float[4] s"), "must be"
    ),
    "mode of Pad": (
        one_node('y = Pad <mode = "wrap"> (x, p)', "float[4] y", "float[2] x", opset=19, p=np.array([1, 1])),
        "mode wrap",
    ),
    "reduction of ScatterND": (
        one_node(
            'y = ScatterND <reduction = "add"> (x, i, u)', "float[4] y", "float[4] x, float[1] u", opset=16,
            i=np.array([[1]]),
        ), "reduction",
    ),
    "training Dropout": (
        partial(model, "net (float[2] x) => (float[2] y) <bool t = {1}> { y = Dropout (x, , t) }"), "training mode"
    ),
    "computed float Range": (
        one_node("y = Range (x, l, d)", "float[N] y", "float x, float l, float d"), "float bounds must be constant"
    ),
    "type that TensorRT lacks": (
        one_node("y = Cast <to = 12> (x)", "uint32[1, 4, 8, 8] y"), "'y' is uint32"
    ),
    "K of TopK": (
        one_node("y, i = TopK (x, k)", "float[4000] y, int64[4000] i", "float[5000] x", k=np.array([4000])), "3839"
    ),
    "computed K": (
        one_node("y, i = TopK (x, k)", "float[N] y, int64[N] i", "float[5] x, int64[1] k"), "K must be constant"
    ),
    "layout of LSTM": (
        one_node(
            "y = LSTM <hidden_size = 1, layout = 1> (x, w, r)", "float[1, 1, 1, 1] y", "float[1, 1, 1] x", opset=14,
            w=np.ones((1, 4, 1), "f4"), r=np.ones((1, 4, 1), "f4"),
        ), "layout",
    ),
    "input_forget of LSTM": (
        one_node(
            "y = LSTM <hidden_size = 1, input_forget = 1> (x, w, r)", "float[1, 1, 1, 1] y", "float[1, 1, 1] x",
            w=np.ones((1, 4, 1), "f4"), r=np.ones((1, 4, 1), "f4"),
        ), "input_forget",
    ),
    "activations of a bidirectional GRU": (
        one_node(
            'y = GRU <hidden_size = 1, direction = "bidirectional", activations = ["Sigmoid", "Tanh", "Sigmoid", '
            '"Relu"]> (x, w, r)', "float[1, 2, 1, 1] y", "float[1, 1, 1] x", w=np.ones((2, 3, 1), "f4"),
            r=np.ones((2, 3, 1), "f4"),
        ), "must be the same",
    ),
    "p of LpPool": (one_node(POOL.format("LpPool", "p = 3"), "float[1, 4, 6, 6] y"), "p is 3"),
    "ellipsis": (
        one_node('y = Einsum <equation = "...ij->...ji"> (x)', "float[2, 2] y", "float[2, 2] x"), "ellipsis"
    ),
    "diagonal": (one_node('y = Einsum <equation = "ii->i"> (x)', "float[2] y", "float[2, 2] x"), "repeated index"),
    "antialias": (
        one_node(
            'y = Resize <mode = "linear", antialias = 1> (x, , s)', "float[1, 4, 4, 4] y", opset=18,
            s=np.array([1, 1, 0.5, 0.5], "f4"),
        ), "'antialias'",
    ),
    "cubic": (
        one_node(
            'y = Resize <mode = "cubic"> (x, , s)', "float[1, 4, 16, 16] y", s=np.array([1, 1, 2, 2], np.float32)
        ), "cubic",
    ),
    "linear over channels": (
        one_node(
            'y = Resize <mode = "linear"> (x, , s)', "float[2, 4, 8, 8] y", s=np.array([2, 1, 1, 1], np.float32)
        ), "last 3",
    ),
    "crop and resize": (
        one_node(
            'y = Resize <coordinate_transformation_mode = "tf_crop_and_resize"> (x, r, s)', "float[1, 4, 8, 8] y",
            r=np.array([0, 0, 0, 0, 1, 1, 1, 1], "f4"), s=np.ones(4, np.float32),
        ), "tf_crop_and_resize",
    ),
    "rounding of tf_half_pixel_for_nn": (
        one_node(
            'y = Resize <coordinate_transformation_mode = "tf_half_pixel_for_nn", nearest_mode = "floor"> (x, r, s)',
            "float[1, 4, 16, 16] y", opset=11, r=np.zeros(0, np.float32), s=np.array([1, 1, 2, 2], np.float32),
        ), "does not go with",
    ),
    "computed scales": (
        one_node("y = Resize (x, , s)", "float[1, 4, 16, 16] y", f"{PICTURE}, float[4] s"), "scales are computed"
    ),
    "no zero point": (
        one_node("y = DequantizeLinear (x, s)", "float[4] y", "int8[4] x", s=STEP), "no zero point"
    ),
    "asymmetric": (
        one_node("y = DequantizeLinear (x, s, z)", "float[4] y", "int8[4] x", s=STEP, z=np.array(3, np.int8)), "point 3"
    ),
    "negative scale": (
        one_node("y = DequantizeLinear (x, s, z)", "float[4] y", "int8[4] x", s=-STEP, z=ZERO), "positive"
    ),
    "computed scale": (
        one_node("y = DequantizeLinear (x, s, z)", "float[4] y", "int8[4] x, float s", z=ZERO), "scale must be constant"
    ),
    "computed zero point": (
        one_node("y = DequantizeLinear (x, s, z)", "float[4] y", "int8[4] x, int8 z", s=STEP), "zero point must be"
    ),
    "uint8 zero point saturates": (
        one_node("y = QuantizeLinear (x, s, z)", "uint8[4] y", "float[4] x", s=STEP, z=np.zeros((), np.uint8)), "uint8"
    ),
    "axis by default": (
        one_node(
            "y = DequantizeLinear (x, s, z)", "float[2, 2] y", "int8[2, 2] x", s=np.full(2, 0.1, np.float32),
            z=np.zeros(2, np.int8),
        ), "uses axis 0",
    ),
    "channel scales on an activation": (
        one_node(
            "y = QuantizeLinear <axis = 0> (x, s, z)", "int8[2, 2] y", "float[2, 2] x", s=np.full(2, 0.1, np.float32),
            z=np.zeros(2, np.int8),
        ), "weights only",
    ),
    "fewer zero points than scales": (
        one_node("y = QuantizeLinear <axis = 0> (w, s, z)", "int8[2, 2] y", "float[1] x", w=np.ones((2, 2), np.float32),
                 s=np.full(2, 0.1, np.float32), z=np.zeros(1, np.int8)), "1 zero points for 2 scales",
    ),
    "computed axes of Slice": (
        one_node("y = Slice (x, k, k, a)", "float[4] y", "float[4] x, int64[1] a", k=np.array([1])), "axes must be",
    ),
    "seed": (one_node("y = RandomUniform <shape = [2], seed = 1.0> ()", "float[2] y", "float[1] x"), "seed"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_on_8_2(case: str) -> None:
    network, message = REFUSED[case]
    assert message in reason(network)


def test_operator_of_another_domain_is_refused() -> None:
    network = ir.from_proto(
        proto(
            '<ir_version: 8, opset_import: ["" : 13, "mine" : 1]> net (float[2] x) => (float[2] y) { y = mine.Do (x) }'
        )
    )
    assert "domain 'mine'" in reason(network)


def test_layer_normalization_with_its_mean_is_refused() -> None:
    network = one_node(
        "y, m = LayerNormalization (x, s)", "float[2, 4] y, float[2, 1] m", "float[2, 4] x", opset=17, s=SCALE_4["s"]
    )
    assert "mean" in reason(network, "8.6.2")


def test_float_mod_needs_fmod() -> None:
    network = ir.from_proto(proto("net (float[2] x) => (float[2] y) { y = Mod (x, x) }", opset=13))
    assert "fmod=1" in reason(network, "8.5.2")


def test_trilu_of_four_axes_on_8_5() -> None:
    network = one_node("y = Trilu (x)", "float[1, 1, 2, 2] y", "float[1, 1, 2, 2] x", opset=14)
    assert "2 or 3" in reason(network, "8.5.2")
    assert reason(network, "8.6.2") == ""


def test_newer_versions_take_more() -> None:
    cubic = REFUSED["cubic"][0]
    assert reason(cubic, "8.5.2") == ""
    assert reason(REFUSED["computed bias"][0], "8.5.2") == ""
    assert reason(REFUSED["no zero point"][0], "10.3.0") == ""


# check: one finding a node


def test_check_tells_supported_rewritten_refused() -> None:
    network = model("net (float[4] x) => (float[4] y) { a = Relu (x)  b = HardSwish (a)  y = Hardmax <axis = 0> (b) }")
    findings = check(network, limits_for("8.2.1"))
    assert [(finding.op_type, finding.verdict) for finding in findings] == [
        ("Relu", "supported"),
        ("HardSwish", "rewritten"),
        ("Hardmax", "refused"),
    ]
    assert findings[1].reason == "HardSwish written as x * HardSigmoid(x)"


def test_check_leaves_the_model_alone() -> None:
    network = model("net (float[4] x) => (float[4] y) { y = HardSwish (x) }")
    before = ir.to_proto(network).SerializeToString(deterministic=True)
    check(network, limits_for("8.2.1"))
    assert ir.to_proto(network).SerializeToString(deterministic=True) == before


def test_check_counts_a_rewrite_that_is_refused_still_as_refused() -> None:
    network = model("net (float16[2] x) => (float16[2] y) { y = HardSwish (x) }")
    assert [finding.verdict for finding in check(network, limits_for("8.2.1"))] == ["rewritten"]
    narrow = limits_for("8.2.1")
    only_fp32 = {**narrow.operators, "HardSigmoid": frozenset({"FP32"})}
    findings = check(network, type(narrow)(narrow.version, narrow.max_opset, only_fp32))
    assert [(finding.verdict, finding.reason) for finding in findings] == [
        ("refused", "data of type FP16, but TensorRT supports FP32")
    ]


# limits


def test_limits_are_those_of_the_newest_known_version_that_is_not_newer() -> None:
    versions = ("8.2.1", "8.4.0", "8.5.2", "8.6.2", "9.3.0", "10.3.0", "10.7.0")
    assert [limits_for(version).version for version in versions] == ["8.2", "8.2", "8.5", "8.6", "8.6", "10.3", "10.3"]


def test_the_version_of_the_debian_package_is_one_too() -> None:
    assert limits_for("8.2-1+cuda10.2") == limits_for("8.2.1-1+cuda10.2") == limits_for("8.2.1")


@pytest.mark.parametrize("version", ["JetPack 4.6", "10,3", ""])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(BadOption, match=f"software.tensorrt '{version}' is not a version"):
        limits_for(version)


def test_table_counts_are_those_of_the_parser_documents() -> None:
    """129 + Reciprocal, 142, 145, 150 operators are listed as supported."""
    assert [len(limits_for(version).operators) for version in ("8.2", "8.5", "8.6", "10.3")] == [130, 142, 145, 150]
