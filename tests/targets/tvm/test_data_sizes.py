"""Networks whose sizes depend on the data, lowered for a CPU and run: ONNX Runtime's results, in their true sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tvm")

import edgec
from edgec.errors import UnsupportedModel
from edgec.reference.compare import compare
from edgec.reference.session import Reference
from tests.support.data_sizes import CASES, network, samples
from tests.support.lowered import lowered_network
from tests.support.models import proto

TOLERANCE = 1e-5


@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_onnx_runtime(name: str) -> None:
    made = network(name)
    run, reference = lowered_network(made), Reference(made)
    for feeds in samples(made):
        result = compare(reference.run(feeds), run(feeds))
        assert result.within(TOLERANCE), str(result)


def test_a_size_that_only_the_file_gives_may_depend_on_the_data(tmp_path: Path) -> None:
    window = proto("g (int32 size) => (float[10] y) { y = HannWindow (size) }")
    with pytest.raises(UnsupportedModel, match=r"Range node .* takes a size from .*, of which nothing says how large"):
        edgec.compile(window.SerializeToString(), target="host", output=tmp_path / "window")
