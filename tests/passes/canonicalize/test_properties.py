"""The passes on random networks, drawn and shrunk by hypothesis: outputs stay, and the result is at rest."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgec.model.graph import constant
from edgec.model.load import load
from edgec.model.serialize import to_bytes
from edgec.model.shapes import fix_shapes
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.profile import Profile
from edgec.record import Record
from tests.support.models import ops
from tests.support.random_graphs.grow import random_graph
from tests.support.random_graphs.judge import REWRITE, agree, case_of, runner

OPTIONS = CompileOptions(target="host", verify_passes=True)
REPLACED = {"BatchNormalization", "Sum", "Flatten", "Dropout", "Constant", "Shape", "Range"}


@st.composite
def networks(draw: Callable[..., int]) -> onnx.ModelProto:
    return random_graph(lambda low, high: draw(st.integers(low, high)))


def compiled(model: ir.Model) -> tuple[ir.Model, Record]:
    record = Record()
    return pipeline.run(model, profile=Profile(), options=OPTIONS, record=record), record


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(networks())
def test_outputs_stay_and_the_result_is_at_rest(proto: onnx.ModelProto) -> None:
    model = fix_shapes(load(proto).model, {})
    before = to_bytes(model)
    after, _ = compiled(model)
    agree(case_of(proto), runner(after), REWRITE)
    assert to_bytes(model) == before, "the argument was modified"
    assert not REPLACED & set(ops(after))
    assert all(constant(node.inputs[1]) is None for node in after.graph if node.op_type == "Div")
    for node in after.graph:  # an Identity is left only where a name of the interface asks for it
        source = node.inputs[0]
        constant_output = source.const_value is not None and node.outputs[0].is_graph_output()
        assert node.op_type != "Identity" or source.is_graph_input() or source.is_graph_output() or constant_output
    again, record = compiled(after)
    assert [entry.name for entry in record.passes if entry.modified] == []
    assert to_bytes(again) == to_bytes(after)
    assert to_bytes(compiled(model)[0]) == to_bytes(after), "two runs differ"
