"""Output error without labels, and a metric of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgec.data.metrics.base import MetricContext, make_metric
from edgec.data.samples import Sample
from edgec.errors import BadOption
from edgec.evaluation.run_metrics import run_metrics

RNG = np.random.default_rng(0)
REFERENCE = {str(k): {"a": RNG.standard_normal((1, 4)), "b": RNG.standard_normal((1, 2, 3)) * 100} for k in range(5)}
CONTEXT = MetricContext(reference=lambda sample: REFERENCE[sample.name])


def measure(change: Mapping[str, np.ndarray], context: MetricContext = CONTEXT) -> tuple[float, dict[str, float]]:
    """Outputs are the reference plus `change`."""
    metric = make_metric("output-error", context)
    for name, outputs in REFERENCE.items():
        metric.update({key: array + change[key] for key, array in outputs.items()}, Sample(name, {}))
    result = metric.result()
    assert not result.higher_is_better
    return result.value, result.details["per output"]


def test_is_the_relative_norm_of_each_output() -> None:
    change = {"a": RNG.standard_normal((1, 4)), "b": np.ones((1, 2, 3))}
    value, each = measure(change)
    for key, expected in change.items():
        all_outputs = np.concatenate([outputs[key].ravel() for outputs in REFERENCE.values()])
        error = np.tile(expected.ravel(), 5)
        assert each[key] == pytest.approx(np.linalg.norm(error) / np.linalg.norm(all_outputs), rel=1e-12)
    assert value == pytest.approx((each["a"] + each["b"]) / 2)


def test_unchanged_outputs_have_no_error() -> None:
    assert measure({"a": np.zeros(1), "b": np.zeros(1)})[0] == 0


def test_outputs_that_are_not_finite_are_infinitely_wrong() -> None:
    assert measure({"a": np.full(1, np.nan), "b": np.zeros(1)})[0] == np.inf


@pytest.mark.parametrize(("change", "error"), [(0.0, 0.0), (1.0, np.inf)])
def test_a_reference_of_zeros(change: float, error: float) -> None:
    metric = make_metric("output-error", MetricContext(reference=lambda sample: {"a": np.zeros(3)}))
    metric.update({"a": np.zeros(3) + change}, Sample("x", {}))
    assert metric.result().value == error


def test_refusals() -> None:
    with pytest.raises(BadOption, match="--reference"):
        make_metric("output-error")
    metric = make_metric("output-error", CONTEXT)
    with pytest.raises(BadOption, match="no output 'b'"):
        metric.update({"a": np.zeros((1, 4))}, Sample("0", {}))
    with pytest.raises(BadOption, match=r"'a' has shape \(4,\)"):
        metric.update({"a": np.zeros(4)}, Sample("0", {}))
    broken = make_metric("output-error", MetricContext(reference=lambda sample: {"a": np.array([np.inf])}))
    with pytest.raises(BadOption, match="not finite for x"):
        broken.update({"a": np.zeros(1)}, Sample("x", {}))


OWN = """
from edgec.data.metrics.base import MetricResult

class Largest:
    def __init__(self, context):
        self.largest = 0.0

    def update(self, outputs, sample):
        self.largest = max(self.largest, float(outputs["y"].max()))

    def result(self):
        return MetricResult(self.largest, higher_is_better=False)
"""


def test_a_metric_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_metric.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    samples = [Sample(str(k), {"x": np.full(2, k)}) for k in range(4)]
    results = run_metrics(
        lambda inputs: {"y": inputs["x"] * 2}, samples, {"largest": make_metric("own_metric:Largest")}
    )
    assert results["largest"].value == 6
    sys.modules.pop("own_metric")
