"""Sizes that depend on the data become bounds with counts beside: what lies before the count is what it was."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from edgec.model.graph import is_static
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.profile import Profile
from edgec.record import Record
from edgec.reference.compare import compare
from edgec.reference.session import Reference
from tests.support.data_sizes import CASES, network, samples


def bounded(before: ir.Model) -> ir.Model:
    options = CompileOptions(target="host")
    return pipeline.run(before, profile=Profile(bounded_sizes=True), options=options, record=Record())


@pytest.mark.parametrize("name", CASES)
def test_results_are_what_they_were(name: str) -> None:
    before = network(name)
    after = bounded(before)
    assert all(is_static(value) for node in after.graph for value in node.outputs)
    reference, made = Reference(before), Reference(after)
    for feeds in samples(before):
        want = reference.run(feeds)
        result = compare(want, made.run(feeds))
        assert result.within(1e-6), f"{[want[name].shape for name in want]}: {result}"
