"""Networks whose sizes depend on the data, lowered for a CPU and run: ONNX Runtime's results, in their true sizes."""

from __future__ import annotations

import pytest

pytest.importorskip("tvm")

from edgec.reference.compare import compare
from edgec.reference.session import Reference
from tests.support.data_sizes import CASES, network, samples
from tests.support.lowered import lowered_network

TOLERANCE = 1e-5


@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_onnx_runtime(name: str) -> None:
    made = network(name)
    run, reference = lowered_network(made), Reference(made)
    for feeds in samples(made):
        result = compare(reference.run(feeds), run(feeds))
        assert result.within(TOLERANCE), str(result)
