"""Ranges that are moved one by one: towards the best ones from bad ones, and never to worse ones."""

from __future__ import annotations

import pytest

from edgec.compress.refine_ranges import Refined, refine_ranges
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


def refined(table: CalibrationTable) -> Refined:
    made = quantize(NETWORK, table, None, LayerOptions(repair=False))
    return refine_ranges(made.simulated, made.placement, table, EVALUATOR)


@pytest.mark.parametrize("kind", ["asymmetric", "power-of-two"])
@pytest.mark.parametrize("factor", [64.0, 1 / 8])
def test_a_range_that_was_spoilt_is_found_again(kind: str, factor: float) -> None:
    good = found(kind)
    image = good.tensors["image"]
    worse = image.model_copy(update={"low": image.low * factor, "high": image.high * factor})
    done = refined(good.with_ranges({"image": worse}))
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
