"""The pipeline's promises: the argument stays, results are reproducible, and a pass that breaks its word is named."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgec.errors import BadOption, InternalError, UnsupportedModel
from edgec.model.serialize import to_bytes
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.passes.contract import Interface
from edgec.profile import Profile
from edgec.record import Record
from tests.support.models import CONV_BN_RELU, model, ops


def run(before: ir.Model, *extra: str, verify: bool = True, feeds=None) -> tuple[ir.Model, Record]:
    record = Record()
    options = CompileOptions(target="host", verify_passes=verify, extra_passes=extra)
    return pipeline.run(before, profile=Profile(), options=options, record=record, feeds=feeds), record


def plugin(name: str) -> str:
    return f"tests.passes.test_pipeline:{name}"


class DoNothing(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        return ir.passes.PassResult(model, False)


class ScaleWeights(ir.passes.InPlacePass):
    name = "scale_weights"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        for value in model.graph.initializers.values():
            if value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT:
                value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1.001), name=value.name)
        return ir.passes.PassResult(model, True)


class ScaleWeightsTolerantly(ScaleWeights):
    tolerance = 1e-2


class RenameOutput(ir.passes.InPlacePass):
    name = "rename_output"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        model.graph.outputs[0].name = "other"
        return ir.passes.PassResult(model, True)


class BreakGraph(ir.passes.InPlacePass):
    name = "break_graph"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        next(iter(model.graph)).op_type = "NoSuchOperator"
        return ir.passes.PassResult(model, True)


class Crash(ir.passes.InPlacePass):
    name = "crash"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        raise KeyError("oops")


def not_a_pass() -> str:
    return "text"


@pytest.fixture
def before() -> ir.Model:
    return model(CONV_BN_RELU)


def test_record_tells_what_each_pass_did(before: ir.Model) -> None:
    after, record = run(before)
    assert ops(after) == ["Conv", "Relu"]
    assert [(entry.name, entry.modified) for entry in record.passes] == [
        ("raise_opset", True),
        ("expand_operators", False),
        ("canonicalize", True),
        ("decode_weights", False),
        ("fold_batchnorm", True),
        ("canonicalize", True),  # the statistics are gone
    ]
    assert record.passes[4].changes == ("Conv_c: batch norm folded",)


FOREIGN = """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
    g (float[1, 4, 4] x) => (float[1, n] y) { y = com.microsoft.Inverse (x) }"""


def test_rank_that_the_file_declares_of_an_open_output_may_turn_out_wrong() -> None:
    before = model(FOREIGN)
    after = before.clone()
    after.graph.outputs[0].shape = ir.Shape([None, 1, 4])
    Interface.of(before).check(after, "pass")
    with pytest.raises(InternalError, match="changed inputs or outputs"):
        Interface.of(after).check(model(CONV_BN_RELU), "pass")


def test_operator_of_another_domain_is_named_where_sizes_are_bounded() -> None:
    options = CompileOptions(target="host")
    with pytest.raises(UnsupportedModel, match=r"Inverse node .* of the domain 'com.microsoft'"):
        pipeline.run(model(FOREIGN), profile=Profile(bounded_sizes=True), options=options, record=Record())


def test_stages_are_announced(before: ir.Model) -> None:
    stages: list[str] = []
    options = CompileOptions(target="host")
    pipeline.run(before, profile=Profile(), options=options, record=Record(stages.append))
    order = ("raise_opset", "expand_operators", "canonicalize", "decode_weights", "fold_batchnorm", "canonicalize")
    assert stages == [f"pass {name}" for name in order]


def test_argument_stays_as_it_was(before: ir.Model) -> None:
    bytes_before = to_bytes(before)
    run(before)
    assert to_bytes(before) == bytes_before


def test_same_bytes_every_time(before: ir.Model) -> None:
    assert to_bytes(run(before)[0]) == to_bytes(run(before)[0])


def test_second_run_modifies_nothing(before: ir.Model) -> None:
    after, _ = run(before)
    again, record = run(after)
    assert not any(entry.modified for entry in record.passes)
    assert to_bytes(again) == to_bytes(after)


def test_plugin_pass_runs_last(before: ir.Model) -> None:
    _, record = run(before, plugin("DoNothing"))
    assert record.passes[-1].name == "DoNothing"


def test_pass_that_changes_outputs_is_named(before: ir.Model) -> None:
    with pytest.raises(InternalError, match=r"pass scale_weights changed the outputs \(it promises 1e-05\): y"):
        run(before, plugin("ScaleWeights"))


def test_pass_within_its_stated_tolerance_is_accepted(before: ir.Model) -> None:
    run(before, plugin("ScaleWeightsTolerantly"))


def test_outputs_are_compared_on_given_inputs_too() -> None:
    # Random inputs are 0 to 1; the weight acts on negative ones only.
    relu = model("""g (float[1, 2] x) => (float[1, 2] y) <float[2] w = {0.5, 0.25}> {
        m = Neg (x)  r = Relu (m)  y = Mul (r, w) }""")
    run(relu, plugin("ScaleWeights"))
    with pytest.raises(InternalError, match="scale_weights"):
        run(relu, plugin("ScaleWeights"), feeds={"x": np.full((1, 2), -1, np.float32)})


def test_without_verification_outputs_are_not_compared(before: ir.Model) -> None:
    run(before, plugin("ScaleWeights"), verify=False)


def test_pass_that_changes_the_interface_is_named(before: ir.Model) -> None:
    with pytest.raises(InternalError, match="pass rename_output changed inputs or outputs: y: float32"):
        run(before, plugin("RenameOutput"), verify=False)


def test_pass_that_leaves_invalid_onnx_is_named(before: ir.Model) -> None:
    with pytest.raises(InternalError, match="pass break_graph left a model that is not valid ONNX"):
        run(before, plugin("BreakGraph"), verify=False)


def test_pass_that_crashes_is_named(before: ir.Model) -> None:
    with pytest.raises(InternalError, match="pass crash failed: KeyError"):
        run(before, plugin("Crash"))


def test_plugin_that_is_no_pass_is_refused(before: ir.Model) -> None:
    with pytest.raises(BadOption, match="is a str"):
        run(before, plugin("not_a_pass"))


def test_unknown_plugin_is_refused(before: ir.Model) -> None:
    with pytest.raises(BadOption, match="no_such_pass"):
        run(before, "no_such_pass")


@pytest.mark.parametrize(
    "text",
    [
        # The constants merged are rounded to half precision, and so was each step before.
        """g (float[1, 64] x) => (float[1, 64] y) <float16 a = {15146}, float16 b = {14843}>
        { h = Cast <to = 10> (x)  s = Add (h, a)  t = Mul (s, b)  y = Cast <to = 1> (t) }""",
        # The sum loses digits that one factor and one term keep.
        """g (float[1, 64] x) => (float[1, 64] y) <float a = {4096}, float b = {0.125}, float c = {-512}>
        { s = Add (x, a)  t = Mul (s, b)  y = Add (t, c) }""",
    ],
)
def test_a_rewrite_may_differ_where_the_original_is_rounded_itself(text: str) -> None:
    before = model(text, opset=18)
    after, _ = run(before)
    assert [node.op_type for node in after.graph] != [node.op_type for node in before.graph]


def test_an_output_of_unknown_rank_is_refused() -> None:
    before = model("g (int64[4] x) => (int64[n] y) { z = NonZero (x)  y = Squeeze (z) }")
    before.graph.outputs[0].shape = None
    with pytest.raises(UnsupportedModel, match=r"output 'y' has no static shape .*NonZero node 'z'"):
        run(before, verify=False)
