"""Compress by a constant condition has a size that is known."""

from __future__ import annotations

from edgec.model.signature import outputs_of
from tests.passes.equal import EXACT, canonical
from tests.support.models import model, ops

CHOSEN = "bool[5] chosen = {1, 0, 1, 1, 0}"


def test_a_constant_condition_is_a_gather() -> None:
    after = canonical(
        model(f"g (float[2, 6] x) => (float[2, n] y) <{CHOSEN}> {{ y = Compress <axis = 1> (x, chosen) }}"),
        tolerance=EXACT,
    )
    assert ops(after) == ["Gather"]
    assert outputs_of(after)[0].shape == (2, 3)


def test_a_computed_condition_stays() -> None:
    text = "g (float[2] x, float[2, 6] z) => (float[n, 6] y) <float one = {1}>"
    after = canonical(model(f"{text} {{ c = Greater (x, one)  y = Compress <axis = 0> (z, c) }}"), tolerance=EXACT)
    assert ops(after) == ["Greater", "Compress"]
