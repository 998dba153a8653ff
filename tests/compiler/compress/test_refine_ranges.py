"""Ranges that are moved one by one: towards the best ones from bad ones, and never to worse ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edgec.compress.refine_ranges import OPENS, SEARCHES, Refined, by_metric, refine_ranges
from edgec.data.metrics.base import MetricResult
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.task import Task
from edgec.passes.prepare import prepare
from edgec.passes.quantize.calibrate import calibrate_model
from edgec.passes.quantize.quantize import LayerOptions, quantize
from edgec.quantization import CalibrationTable, Scheme
from tests.passes.quantize_support import pictures, small

NETWORK = prepare(small())
SAMPLES = pictures(10)
EVALUATOR = Evaluator(NETWORK, Task(SAMPLES))


def found(kind: str) -> CalibrationTable:
    return calibrate_model(NETWORK, SAMPLES, scheme=Scheme(kind=kind), equalize=False)


def refined(table: CalibrationTable, search: str = "outputs") -> Refined:
    made = quantize(NETWORK, table, None, LayerOptions(repair=False))
    return refine_ranges(made.simulated, made.placement, table, EVALUATOR, SEARCHES[search])


@pytest.mark.parametrize(
    ("kind", "search"), [("asymmetric", "outputs"), ("power-of-two", "outputs"), ("power-of-two", "metric")]
)
@pytest.mark.parametrize("factor", [64.0, 1 / 8])
def test_a_range_that_was_spoilt_is_found_again(kind: str, search: str, factor: float) -> None:
    good = found(kind)
    image = good.tensors["image"]
    worse = image.model_copy(update={"low": image.low * factor, "high": image.high * factor})
    done = refined(good.with_ranges({"image": worse}), search)
    assert done.after.value < 0.7 * done.before.value
    again = done.table.tensors["image"]
    assert again.method.endswith("+refine")
    assert (again.high < worse.high) is (factor > 1)


def test_the_metric_is_that_of_a_network_made_from_the_table() -> None:
    done = refined(found("asymmetric"))
    made = quantize(NETWORK, done.table, None, LayerOptions(repair=False))
    assert EVALUATOR.evaluate(made.simulated).value == pytest.approx(done.after.value, rel=1e-5)
    assert done.after.value <= done.before.value


def test_only_what_lies_behind_a_range_is_run_again() -> None:
    done = refined(found("asymmetric"))
    assert 0 < done.work < done.evaluations + 10 * len(done.table.tensors)


class Accuracies:
    """Stands for a network whose metric at each position is given; says which positions were asked for."""

    def __init__(self, *accuracies: float, first: int) -> None:
        self.values = dict(enumerate(accuracies, first))
        self.asked: list[int] = []

    def metric(self, position: int) -> MetricResult:
        self.asked.append(position)
        return MetricResult(self.values[position], True)


@pytest.mark.parametrize(
    ("accuracies", "kept", "asked"),
    [
        # Neither neighbour gains more than the threshold: the tensor is left alone.
        ([0, 0, 0, 0.5, 0.5, 0.5 + OPENS / 2, 0.9, 0.9], 0, [-1, 1]),
        # One direction is open: it is searched to its end, past a position that is worse.
        ([0, 0, 0, 0.4, 0.5, 0.6, 0.3, 0.7], 3, [-1, 1, 2, 3]),
        ([0.5, 0.9, 0.6, 0.8, 0.5, 0.4, 1.0, 1.0], -3, [-1, 1, -2, -3, -4]),
        # Both are open: the larger gain wins, even if the other direction ends better.
        ([0, 0, 0.95, 0.6, 0.5, 0.7, 0.6, 0.6], 1, [-1, 1, 2, 3]),
    ],
)
def test_the_published_rule_of_directions(accuracies: list[float], kept: int, asked: list[int]) -> None:
    moves: Any = Accuracies(*accuracies, first=-4)
    start: Any = SimpleNamespace(metric=MetricResult(accuracies[4], True), errors=())
    position, state = by_metric(moves, EVALUATOR, start)
    assert (position, moves.asked) == (kept, asked)
    assert state.metric.value == accuracies[4 + kept]
