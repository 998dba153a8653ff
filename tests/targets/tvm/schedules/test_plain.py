"""Matrix products and work along rows, against TVM's own unscheduled operators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tvm")
import tvm
from tvm import relax

from edgec.targets.board import load_board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import cpu_model, model_of_target
from edgec.targets.tvm.pipeline import lower_with_report
from tests.support.lowered import HOST, MODEL, SMALL_MODELS, build_module, check

OPS = relax.op
models = pytest.mark.parametrize("model", SMALL_MODELS, ids=lambda model: model.isa)


def dense(x, rng, depth, columns):
    return OPS.matmul(x, relax.const(rng.standard_normal((depth, columns)).astype("float32") / np.sqrt(depth)))


@models
@pytest.mark.parametrize("rows", [1, 2, 7, 40, 53])
@pytest.mark.parametrize("columns", [1, 10, 16, 48, 77])
def test_dense_with_bias_and_activation(rows, columns, model):
    def build(x, rng):
        bias = relax.const(rng.standard_normal(columns).astype("float32"))
        return OPS.nn.relu(OPS.add(dense(x, rng, 24, columns), bias))

    report = check(build, [(rows, 24)], model)
    assert report.counts() == {"matmul": 1}


def test_dense_over_leading_axes_with_residual():
    def build(x, rng):
        y = OPS.reshape(dense(OPS.reshape(x, (10, 32)), rng, 32, 32), (2, 5, 32))
        return OPS.add(y, x)

    assert not check(build, [(2, 5, 32)]).fallbacks()


@models
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3, 8, 15), (2, 3, 15, 8)),
        ((2, 3, 7, 16), (2, 3, 16, 40)),
        ((4, 5, 8), (8, 24)),
        ((1, 5, 8), (6, 8, 16)),
        ((3, 1, 5, 8), (2, 8, 16)),
        ((5, 8), (8, 7)),
    ],
)
def test_product_of_two_activations(left, right, model):
    report = check(lambda x, y, rng: OPS.multiply(OPS.matmul(x, y), relax.const(0.5, "float32")), [left, right], model)
    assert report.counts() == {"matmul": 1}


@models
@pytest.mark.parametrize("shape", [(4, 16), (2, 3, 40), (1, 77), (5, 3), (3, 1000), (6, 197), (40, 6625)])
def test_softmax(shape, model):
    report = check(lambda x, rng: OPS.nn.softmax(x, axis=-1), [shape], model)
    assert report.counts() == {"rows": 1}


@models
@pytest.mark.parametrize("columns", [150, 120, 64, 33, 7])
def test_layer_norm(columns, model):
    def build(x, rng):
        scale, shift = (relax.const(rng.standard_normal(columns).astype("float32")) for _ in range(2))
        return OPS.nn.layer_norm(x, scale, shift, axes=[-1])

    assert check(build, [(2, 5, columns)], model).counts() == {"rows": 1}


def test_layer_norm_spelled_out_is_one_kernel():
    def build(x, rng):
        mean = OPS.mean(x, [-1], keepdims=True)
        centred = rng.emit(OPS.subtract(x, mean))
        variance = OPS.mean(OPS.power(centred, relax.const(2.0, "float32")), [-1], keepdims=True)
        y = OPS.divide(centred, OPS.sqrt(OPS.add(variance, relax.const(1e-5, "float32"))))
        y = OPS.multiply(y, relax.const(rng.standard_normal(48).astype("float32")))
        return OPS.add(y, relax.const(rng.standard_normal(48).astype("float32")))

    assert check(build, [(2, 5, 48)]).counts() == {"rows": 1}


@models
@pytest.mark.parametrize("op", [OPS.mean, OPS.sum, OPS.max, OPS.min])
@pytest.mark.parametrize("columns", [3, 16, 50])
def test_reduction_of_the_last_axis(op, columns, model):
    assert not check(lambda x, rng: op(x, [-1], keepdims=True), [(3, 4, columns)], model).fallbacks()


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axes", [None, [1], [-1], [2, 3], [1, 2, 3], [0, 2], [0, 2, 3]])
@pytest.mark.parametrize("op", [OPS.mean, OPS.max])
def test_reductions_over_any_neighbouring_axes(op, axes, keepdims):
    report = check(lambda x, rng: OPS.abs(op(x, axes, keepdims=keepdims)), [(1, 4, 6, 10)])
    assert not report.fallbacks()


def test_a_large_reduction_over_an_axis_before_the_last():
    assert check(lambda x, rng: OPS.sum(x, [1]), [(1, 197, 192)]).counts()["columns"] == 1


def test_what_no_rule_takes_is_counted():
    report = check(lambda x, rng: OPS.mean(x, [1, 3]), [(2, 5, 4, 8)])
    assert report.fallbacks()


def test_attention():
    def build(q, k, v, rng):
        scores = OPS.matmul(q, OPS.permute_dims(k, [0, 1, 3, 2]))
        return OPS.matmul(OPS.nn.softmax(OPS.multiply(scores, relax.const(0.3, "float32")), axis=-1), v)

    assert not check(build, [(1, 4, 10, 15)] * 3).fallbacks()


def test_registered_pipeline():
    target = llvm_target(resolve(HOST))
    module = build_module(lambda x, rng: OPS.nn.softmax(x), [(4, 16)])
    pipeline = relax.get_pipeline("edgec", target=target)
    lowered = pipeline(module)
    assert any(function.attrs and "tirx.is_scheduled" in function.attrs for _, function in lowered.functions_items())
    machine = relax.VirtualMachine(tvm.compile(module, target, relax_pipeline=pipeline), tvm.cpu())
    x = np.random.default_rng(0).standard_normal((4, 16)).astype("float32")
    expected = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(machine["main"](tvm.runtime.tensor(x)).numpy(), expected, rtol=1e-5)


def test_the_target_says_what_a_board_says():
    for name in ("host", "rpi5", "x86-64-v3"):
        board = resolve(load_board(name))
        model = cpu_model(load_board(name))
        assert replace(model_of_target(llvm_target(board)), l1=model.l1, l2=model.l2) == model


def test_shape_known_only_at_run_time_is_left_to_tvm():
    extent = tvm.tirx.Var("n", "int64")
    x = relax.Var("x", relax.TensorType([extent, 4], "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(OPS.nn.relu(x))
        builder.emit_func_output(result)
    lowered = lower_with_report(builder.finalize(), MODEL, llvm_target(resolve(HOST)))
    assert lowered.report.refusals and not lowered.report.rules


def layer_norm_over_channels(x, rng):
    emit = rng.emit
    centred = emit(OPS.subtract(x, emit(OPS.mean(x, [1], keepdims=True))))
    variance = emit(OPS.mean(emit(OPS.square(centred)), [1], keepdims=True))
    deviation = emit(OPS.sqrt(emit(OPS.add(variance, relax.const(1e-5, "float32")))))
    scale = relax.const(rng.standard_normal((1, 120, 1)).astype("float32"))
    return OPS.add(emit(OPS.multiply(emit(OPS.divide(centred, deviation)), scale)), x)


COLUMNS = {
    "layer norm over channels, and a residual": (layer_norm_over_channels, (2, 120, 40)),
    "softmax over channels": (lambda x, rng: OPS.nn.softmax(x, axis=1), (2, 5, 6, 12)),
    "odd columns": (lambda x, rng: OPS.max(x, [1], keepdims=True), (2, 5, 7)),
    "two axes": (lambda x, rng: OPS.sum(x, [1, 2], keepdims=True), (2, 5, 6, 24)),
}


@pytest.mark.parametrize("model", SMALL_MODELS[::2], ids=lambda model: model.isa)
@pytest.mark.parametrize("case", COLUMNS.values(), ids=COLUMNS.keys())
def test_work_along_an_axis_before_the_last(case, model):
    build, shape = case
    report = check(build, [shape], model)
    assert report.counts() == {"columns": 1} and not report.left_out()
