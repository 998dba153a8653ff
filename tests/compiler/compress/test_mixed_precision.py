"""Layers that stay in float: ranked by what each gains alone, and as few as an accepted loss takes."""

from __future__ import annotations

import pytest

from edgec.compress.mixed_precision import MixedPrecision
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.task import Task
from edgec.passes.prepare import prepare
from edgec.passes.quantize.calibrate import calibrate_model
from edgec.passes.quantize.quantize import LayerOptions, Quantized, quantize
from tests.passes.quantize_support import pictures, small

NETWORK = prepare(small())
SAMPLES = pictures(6)
EVALUATOR = Evaluator(NETWORK, Task(SAMPLES))
TABLE = calibrate_model(NETWORK, SAMPLES, equalize=False)


class Maker:
    """Quantizes all but some layers, rounding to nearest; keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[frozenset[str]] = []

    def __call__(self, in_float: frozenset[str]) -> Quantized:
        self.asked.append(in_float)
        return quantize(NETWORK, TABLE, None, LayerOptions(weight_bits=4, repair=False, exclude=in_float))


def loss(quantized: Quantized) -> float:
    return EVALUATOR.loss(EVALUATOR.evaluate(quantized.simulated))


def test_the_gain_of_a_layer_is_that_of_the_network_with_this_layer_in_float() -> None:
    make = Maker()
    ranking = MixedPrecision(NETWORK, make, EVALUATOR).ranking
    assert make.asked == [frozenset()]  # one network for all the gains
    assert sorted(layer.name for layer in ranking) == sorted(make(frozenset()).placement.layers)
    whole = loss(make(frozenset()))
    dense = next(layer for layer in ranking if "MatMul" in layer.name)
    # Not to the digit: there, the pool in front of it has no pair either.
    assert dense.gain == pytest.approx(whole - loss(make(frozenset({dense.name}))), rel=0.02)
    assert [layer.gain for layer in ranking] == sorted((layer.gain for layer in ranking), reverse=True)
    assert sum(layer.macs for layer in ranking) == pytest.approx(1)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_as_few_layers_as_the_accepted_loss_takes(share: float) -> None:
    make = Maker()
    mixed = MixedPrecision(NETWORK, make, EVALUATOR)
    accepted = share * loss(make(frozenset()))
    found = mixed.within(accepted)
    assert found.loss == loss(found.quantized) <= accepted
    names = [layer.name for layer in found.float_layers]
    assert names == [layer.name for layer in mixed.ranking][: len(names)]
    assert loss(make(frozenset(names[:-1]))) > accepted
    assert not set(names) & set(found.quantized.placement.layers)


def test_no_network_is_made_twice_for_one_loss_after_the_other() -> None:
    make = Maker()
    mixed = MixedPrecision(NETWORK, make, EVALUATOR)
    for accepted in (0.05, 0.02, 0.05, 0.01):
        mixed.within(accepted)
    assert len(make.asked) == len(set(make.asked))


def test_no_loss_at_all_leaves_every_layer_in_float() -> None:
    found = MixedPrecision(NETWORK, Maker(), EVALUATOR).within(0.0)
    assert (found.loss, list(found.quantized.placement.layers)) == (0.0, [])
