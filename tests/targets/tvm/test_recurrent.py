"""LSTM, GRU and RNN on CPU boards: all that their attributes say, against ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("tvm")

import edgec
from edgec.errors import UnsupportedModel
from edgec.reference.session import Reference
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.from_onnx import check, to_relax
from edgec.targets.tvm.pipeline import lower_with_report
from edgec.targets.tvm.recurrence import DEFAULTS, GATES
from tests.support.lowered import HOST, MODEL, SMALL_MODELS, execute

KINDS = tuple(GATES)
OPTIONAL = ("lengths", "state", "cell")


def layer(
    kind: str, *, steps=5, batch=2, inputs=3, hidden=6, given=(), fed=(), used=("y", "state", "cell"), **attributes
):  # fmt: skip
    """Return a model of one recurrent layer, and arrays for its inputs.

    Args:
        kind: Operator.
        steps, batch, inputs, hidden: Sizes.
        given: Optional operands, of `OPTIONAL` and `peepholes`.
        fed: Those of them that are inputs of the model; others are constants.
        used: Results that are outputs.
        attributes: Of the node.
    """
    rng, gates = np.random.default_rng(0), GATES[kind]
    directions = 2 if attributes.get("direction") == "bidirectional" else 1

    def random(*shape):
        return (rng.standard_normal(shape) * 0.5).astype(np.float32)

    arrays = {
        "x": random(steps, batch, inputs),
        "w": random(directions, gates * hidden, inputs),
        "r": random(directions, gates * hidden, hidden),
        "b": random(directions, 2 * gates * hidden),
        "lengths": np.array([steps - row * 2 % steps for row in range(batch)], np.int32),
        "state": random(directions, batch, hidden),
        "cell": random(directions, batch, hidden),
        "peepholes": random(directions, 3 * hidden),
    }
    if attributes.get("layout"):
        arrays |= {name: np.ascontiguousarray(arrays[name].transpose(1, 0, 2)) for name in ("x", "state", "cell")}
    names = ["x", "w", "r", "b", *(name if name in given else "" for name in (*OPTIONAL, "peepholes"))]
    names = names if kind == "LSTM" else names[:6]
    results = [f"{name}_out" if name in used else "" for name in ("y", "state", "cell")][: 3 if kind == "LSTM" else 2]
    node = helper.make_node(kind, names, results, name="layer", hidden_size=hidden, **attributes)
    inputs_of_model = ("x", *fed)

    def described(name):
        return helper.make_tensor_value_info(
            name, TensorProto.INT32 if name == "lengths" else TensorProto.FLOAT, arrays[name].shape
        )

    graph = helper.make_graph(
        [node],
        "recurrent",
        [described(name) for name in inputs_of_model],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results if name],
        [numpy_helper.from_array(arrays[name], name) for name in names if name and name not in inputs_of_model],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(built), {name: arrays[name] for name in inputs_of_model}


def compare(built: onnx.ModelProto, feeds, model=MODEL, tolerance=1e-5):
    """Compare what is lowered for `model` with ONNX Runtime; return what is lowered."""
    target = llvm_target(resolve(HOST))
    expected = Reference(built.SerializeToString()).run(feeds)
    lowered = lower_with_report(to_relax(ir.from_proto(built)), model, target)
    results = execute(lowered.module, target, list(feeds.values()))
    for got, want in zip(results, expected.values(), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    assert lowered.report.counts()["recurrent"] == 1
    return lowered


@pytest.mark.parametrize("model", SMALL_MODELS, ids=lambda model: model.isa)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("hidden", "batch", "steps"), [(6, 1, 7), (64, 1, 1), (20, 5, 3), (33, 3, 2)])
def test_sizes(kind, hidden, batch, steps, model):
    compare(*layer(kind, hidden=hidden, batch=batch, steps=steps), model)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
def test_directions_with_lengths_and_initial_states(kind, direction):
    given = OPTIONAL if kind == "LSTM" else OPTIONAL[:2]
    compare(*layer(kind, direction=direction, given=given))
    compare(*layer(kind, direction=direction, given=given, fed=given))


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("LSTM", {"input_forget": 1}),
        ("LSTM", {"clip": 0.2}),
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"linear_before_reset": 1, "clip": 0.2, "direction": "bidirectional"}),
        ("RNN", {"clip": 0.2}),
    ],
)
def test_attributes(kind, attributes):
    compare(*layer(kind, **attributes))


@pytest.mark.parametrize(
    "name",
    ("Affine", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "ScaledTanh", "Softplus", "Softsign", "ThresholdedRelu"),
)
def test_activations_with_and_without_their_parameters(name):
    compare(*layer("RNN", activations=[name]))
    compare(*layer("RNN", activations=[name], activation_alpha=[0.3], activation_beta=[0.4]))


def test_each_direction_has_its_activations_and_takes_the_next_parameters():
    names = ["HardSigmoid", "Tanh", "LeakyRelu", "Sigmoid", "Elu", "Affine"]
    parameters = {"activation_alpha": [0.25, 0.1, 0.7, 0.9], "activation_beta": [0.45, 0.2]}
    compare(*layer("LSTM", direction="bidirectional", activations=names, **parameters))


@pytest.mark.parametrize("used", [("y",), ("state",), ("cell",), ("y", "cell")])
def test_only_some_results_are_used(used):
    compare(*layer("LSTM", used=used))


def quantized(built: onnx.ModelProto, per_row: bool) -> onnx.ModelProto:
    """Return the layer with W and R as int8 behind DequantizeLinear, and its input quantized."""
    graph = built.graph
    x_scale = numpy_helper.from_array(np.float32(0.02), "x_scale")
    x_zero = numpy_helper.from_array(np.uint8(110), "x_zero")
    graph.initializer.extend([x_scale, x_zero])
    graph.node.insert(0, helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["x_codes"]))
    graph.node.insert(1, helper.make_node("DequantizeLinear", ["x_codes", "x_scale", "x_zero"], ["x_back"]))
    layer_node = graph.node[-1]
    layer_node.input[0] = "x_back"
    for at, name in ((1, "w"), (2, "r")):
        held = next(each for each in graph.initializer if each.name == name)
        floats = numpy_helper.to_array(held)
        scale = np.abs(floats).max(axis=(0, 2) if per_row else None) / 127
        codes = np.round(floats / (scale[None, :, None] if per_row else scale)).astype(np.int8)
        graph.initializer.remove(held)
        graph.initializer.extend(
            [
                numpy_helper.from_array(codes, name),
                numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"),
                numpy_helper.from_array(np.zeros(scale.shape, np.int8), f"{name}_zero"),
            ]
        )
        codes_of = [name, f"{name}_scale", f"{name}_zero"]
        graph.node.insert(2, helper.make_node("DequantizeLinear", codes_of, [f"{name}_back"], axis=1))
        layer_node = graph.node[-1]
        layer_node.input[at] = f"{name}_back"
    return onnx.shape_inference.infer_shapes(built)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_int8_weights_stay_int8(kind, per_row):
    built, feeds = layer(kind, inputs=16, hidden=24, direction="bidirectional")
    lowered = compare(quantized(built, per_row), feeds)
    assert MODEL.dot_product == "none" or "dense_int8" in lowered.report.counts()
    (steps,) = (function for name, function in lowered.module.functions_items() if "recurrent" in name.name_hint)
    assert "int8" in {str(each.ty.dtype) for each in steps.params}


def test_half_precision_stores_weights_in_half():
    built, feeds = layer("LSTM", hidden=32)
    compare(built, feeds, replace(MODEL, storage="float16"), tolerance=3e-3)


def text_recognizer(batch: int) -> onnx.ModelProto:
    """Return what a CRNN is exported as: columns of a picture as steps, two layers, directions side by side."""
    rng = np.random.default_rng(0)

    def weights(name, *shape):
        return numpy_helper.from_array((rng.standard_normal(shape) * 0.3).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["features"]),
        helper.make_node("Relu", ["features"], ["active"]),
        helper.make_node("Squeeze", ["active", "two"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["steps0"], perm=[2, 0, 1]),
    ]
    for at in range(2):
        names = [f"steps{at}", *(f"{name}{at}" for name in "wrb")]
        nodes += [
            helper.make_node("LSTM", names, [f"y{at}"], hidden_size=12, direction="bidirectional"),
            helper.make_node("Transpose", [f"y{at}"], [f"turned{at}"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"turned{at}", "joined"], [f"steps{at + 1}"]),
        ]
    nodes.append(helper.make_node("MatMul", ["steps2", "head"], ["letters"]))
    constants = [
        weights("kernel", 8, 1, 8, 3),
        numpy_helper.from_array(np.array([2]), "two"),
        numpy_helper.from_array(np.array([0, 0, -1]), "joined"),
        *(weights(f"w{at}", 2, 48, (8, 24)[at]) for at in range(2)),
        *(weights(f"r{at}", 2, 48, 12) for at in range(2)),
        *(weights(f"b{at}", 2, 96) for at in range(2)),
        weights("head", 24, 11),
    ]
    graph = helper.make_graph(
        nodes,
        "crnn",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 8, 22])],
        [helper.make_tensor_value_info("letters", TensorProto.FLOAT, [20, batch, 11])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("batch", [1, 3])
def test_text_recognizer(batch, tmp_path):
    artefact = edgec.compile(text_recognizer(batch), target="host", output=tmp_path / "crnn")
    assert artefact.verify().worst < 1e-5
    assert "recurrent" in artefact.manifest.runtime["kernels"]
    assert "fallback" not in artefact.manifest.runtime["kernels"]


@pytest.mark.parametrize("kind", KINDS)
def test_batch_first_is_batch_second_turned(kind, tmp_path):
    sizes = {"steps": 4, "batch": 3, "direction": "bidirectional", "given": ("state",), "fed": ("state",)}
    built, feeds = layer(kind, **sizes)
    expected = Reference(built.SerializeToString()).run(feeds)
    built, turned = layer(kind, layout=1, **sizes)
    np.testing.assert_array_equal(turned["x"], feeds["x"].transpose(1, 0, 2))
    artefact = edgec.compile(built, target="host", output=tmp_path / "layer")
    got = edgec.load(artefact.folder).run(turned)
    np.testing.assert_allclose(got["y_out"].transpose(1, 2, 0, 3), expected["y_out"], atol=1e-5)
    np.testing.assert_allclose(got["state_out"].transpose(1, 0, 2), expected["state_out"], atol=1e-5)


def test_peepholes():
    compare(*layer("LSTM", direction="bidirectional", given=("peepholes",)))
    compare(*layer("LSTM", batch=3, given=(*OPTIONAL, "peepholes"), hidden=9))


def test_computed_peepholes_and_weights_are_refused_by_name():
    for name, what in (("peepholes", "LSTM with computed peepholes"), ("w", "LSTM with weights that are computed")):
        built, _ = layer("LSTM", given=("peepholes",), fed=(name,))
        findings = [each for each in check(ir.from_proto(built)) if each.verdict == "refused"]
        assert [each.op_type for each in findings] == [what]
        with pytest.raises(UnsupportedModel, match=rf"{what} .*layer"):
            to_relax(ir.from_proto(built))


def test_every_kind_has_default_activations():
    assert {kind: len(names) for kind, names in DEFAULTS.items()} == {"LSTM": 3, "GRU": 2, "RNN": 1}
