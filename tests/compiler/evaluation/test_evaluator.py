"""Measuring networks: the original runs once, and a change is measured without running what lies before it."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest

from edgec.data.kept import KeptSamples
from edgec.data.metrics.base import MetricContext, make_metric
from edgec.data.samples import Sample, Samples
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.run_metrics import run_metrics
from edgec.evaluation.suffix import Suffix, dependents, from_node
from edgec.evaluation.task import Task
from edgec.model.graph import constant
from edgec.reference.session import Reference
from tests.support.models import model, random_weights

NETWORK = """
net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] late, float[1, 2, 8, 8] early) {
  a = Conv (x, u)
  r = Relu (a)
  early = Conv (r, v)
  s = Sigmoid (early)
  m = Conv (r, w)
  both = Concat <axis = 1> (s, m)
  late = Conv (both, z)
}
"""


class Counted(Samples):
    """Noise; counts how often each sample is read."""

    def __init__(self, count: int = 3) -> None:
        rng = np.random.default_rng(0)
        self.read: Counter[int] = Counter()
        self._arrays = [rng.standard_normal((1, 3, 8, 8), dtype=np.float32) for _ in range(count)]

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, index: int) -> Sample:
        self.read[index] += 1
        return Sample(f"sample {index}", {"x": self._arrays[index]})


def network() -> ir.Model:
    shapes = {"u": (4, 3, 1, 1), "v": (2, 4, 1, 1), "w": (3, 4, 1, 1), "z": (4, 5, 1, 1)}
    return model(NETWORK, random_weights(**shapes), opset=18)


def changed(name: str, factor: float = 1.5) -> ir.Model:
    other = network()
    array = constant(other.graph.initializers[name])
    assert array is not None
    other.graph.initializers[name].const_value = ir.tensor(factor * array, name=name)
    return other


def test_a_loss_is_that_of_a_plain_evaluation() -> None:
    original, other, samples = network(), changed("w"), Counted()
    context = MetricContext(reference=lambda sample: Reference(original).run(sample.inputs))
    plain = run_metrics(Reference(other).run, samples, {"e": make_metric("output-error", context)})["e"]
    evaluator = Evaluator(original, Task(samples))
    assert evaluator.baseline.value == 0
    assert evaluator.loss(evaluator.evaluate(other)) == plain.value > 0


def test_the_original_runs_once_for_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    run = Reference.run
    monkeypatch.setattr(Reference, "run", lambda self, feeds: (runs.append(1), run(self, feeds))[1])
    evaluator = Evaluator(network(), Task(Counted(3)))
    other = changed("w")
    for _ in range(4):
        evaluator.loss(evaluator.evaluate(other))
    assert len(runs) == 3 + 4 * 3


MACS = {"u": 768, "v": 512, "w": 768, "z": 1280}
"""Multiply-accumulates of the layer with these weights."""


@pytest.mark.parametrize(
    ("weights", "all_behind", "again"),
    [("v", True, "vwz"), ("v", False, "vz"), ("w", True, "wz"), ("w", False, "wz"), ("z", True, "z")],
)
def test_the_suffix_gives_what_the_whole_network_gives(weights: str, all_behind: bool, again: str) -> None:
    original, other, samples = network(), changed(weights), Counted()
    evaluator = Evaluator(original, Task(samples))
    value = original.graph.initializers[weights]
    (reader,) = (use.node for use in value.uses())
    suffix = Suffix(original, evaluator)
    suffix.cut(from_node(original, reader) if all_behind else dependents(original, [reader]), [value])
    new = {weights: constant(other.graph.initializers[weights])}
    found = suffix.outputs(new, 0, len(samples))
    expected = list(evaluator.outputs(other))
    for one, two in zip(found, expected, strict=True):
        assert list(one) == list(two) == ["late", "early"]
        for name in two:
            np.testing.assert_array_equal(one[name], two[name])
    assert suffix.evaluate(new) == evaluator.measure(expected)
    assert suffix.work == pytest.approx(2 * sum(MACS[layer] for layer in again) / sum(MACS.values()))
    assert suffix.evaluations == 1


def test_only_what_depends_on_a_change_runs_again() -> None:
    original = network()
    nodes = {node.outputs[0].name: node for node in original.graph}
    assert [node.op_type for node in dependents(original, [nodes["m"]])] == ["Conv", "Concat", "Conv"]
    assert [node.op_type for node in from_node(original, nodes["s"])] == ["Sigmoid", "Conv", "Concat", "Conv"]


def test_kept_samples_are_read_once_and_anew_in_another_process() -> None:
    samples = Counted()
    kept = KeptSamples(samples)
    for _ in range(3):
        for index, sample in enumerate(kept):
            np.testing.assert_array_equal(sample.inputs["x"], samples._arrays[index])
    assert set(samples.read.values()) == {1}
    copy = pickle.loads(pickle.dumps(kept))
    np.testing.assert_array_equal(copy[2].inputs["x"], samples._arrays[2])
    assert len(copy) == 3
