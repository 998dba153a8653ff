"""A plan is data: it is saved, read, edited, and refused where it does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgec.errors import BadOption
from edgec.passes.channels.groups import Channels, find_groups
from edgec.passes.channels.plan import GroupPlan, PrunePlan
from edgec.passes.channels.slice import SliceChannels
from tests.support.models import model, random_weights

TEXT = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) { a = Conv (x, v)  r = Relu (a)  y = Conv (r, w) }"""


def channels() -> Channels:
    return find_groups(model(TEXT, random_weights(v=(4, 3, 1, 1), w=(5, 4, 1, 1)), opset=18))


def plan(units: int = 4, removed: tuple[int, ...] = (1,), name: str = "a") -> PrunePlan:
    return PrunePlan(groups={name: GroupPlan(units=units, removed=removed)})


def test_a_plan_survives_a_file(tmp_path: Path) -> None:
    plan().save(tmp_path / "plan.json")
    assert PrunePlan.load(tmp_path / "plan.json") == plan()


def test_an_empty_plan_changes_nothing() -> None:
    small = model(TEXT, random_weights(v=(4, 3, 1, 1), w=(5, 4, 1, 1)), opset=18)
    assert not SliceChannels(PrunePlan())(small).modified


def test_weights_shrink_and_keep_their_names() -> None:
    small = model(TEXT, random_weights(v=(4, 3, 1, 1), w=(5, 4, 1, 1)), opset=18)
    result = SliceChannels(plan(removed=(0, 2)))(small)
    assert result.changes == ("a: 2 of 4 channels kept",)
    assert {n: list(v.shape.numpy()) for n, v in small.graph.initializers.items()} == {
        "v": [2, 3, 1, 1],
        "w": [5, 2, 1, 1],
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (plan(name="b"), "no prunable group 'b'"),
        (plan(units=5), "has 4 units, but the plan says 5"),
        (plan(removed=(4,)), "has units 0 to 3"),
        (plan(removed=(0, 1, 2, 3)), "without channels"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(wrong: PrunePlan, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        wrong.check(channels())


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("[]")
    with pytest.raises(BadOption, match="prune plan"):
        PrunePlan.load(tmp_path / "plan.json")
    (tmp_path / "plan.json").write_text('{"format": 2}')
    with pytest.raises(BadOption, match="format 2"):
        PrunePlan.load(tmp_path / "plan.json")
