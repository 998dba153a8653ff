"""How a budget is shared among the groups: the cheapest step first, and whatever is measured to lose the least."""

from __future__ import annotations

import itertools
import math

import numpy as np
import onnx_ir as ir
import pytest

from edgec.compress.allocation import (
    STEP,
    PriceModel,
    balanced_curves,
    cheapest_path,
    first_within,
    half_uniform,
    measured_curves,
    uniform_path,
)
from edgec.compress.candidates import Candidates
from edgec.compress.pruner import Pruned, Pruner
from edgec.compress.pruning_search import prune
from edgec.compress.sensitivity_report import GroupSensitivity, SensitivityReport
from edgec.data.samples import Sample
from edgec.errors import BadOption
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.task import Task
from edgec.model.cost import layer_costs
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.channels.groups import find_groups
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.prepare import prepare
from edgec.passes.prune.rank import Ranking
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.pruning import PruneOptions
from tests.support.architectures import ARCHITECTURES

CAP = 0.7


class Measured(Pruner):
    """Prunes nothing: its results lose what it is told."""

    measures = True

    def __init__(self, ranked: RankedChannels, losses: list[float]) -> None:
        super().__init__(ranked)
        self._given = iter(losses)

    def loss(self, plan: PrunePlan) -> tuple[float, Pruned | None]:
        return next(self._given), None


def built(name: str) -> ir.Model:
    return prepare(fix_shapes(load(ARCHITECTURES[name]()).model, {}))


def macs(model: ir.Model) -> list[int]:
    return [layer.macs for layer in layer_costs(model)]


def report_of(
    ranked: RankedChannels, losses: dict[str, tuple[float, ...]], metric: str = "output-error"
) -> SensitivityReport:
    groups = {
        g.name: GroupSensitivity(
            units=g.units,
            order=ranked.rankings[g.name].order,
            ratios=(0.35, 0.7),
            losses=losses.get(g.name, (0.1, 0.2)),
        )
        for g in ranked.groups
    }
    return SensitivityReport(
        model="", criterion="l1", compensated=False, metric=metric, samples=1, baseline=0.0,
        higher_is_better=False, groups=groups,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet", "densenet"])
def test_the_price_of_the_pruned_network_is_foreseen(name: str) -> None:
    model = built(name)
    ranked = RankedChannels.of(model, PruneOptions(ratio=0.5, criterion="l1"), None)
    plan = ranked.plan({group.name: 0.5 for group in ranked.groups}, 1)
    pruned = SliceChannels(plan)(model.clone()).model
    prices = PriceModel(model, ranked.groups, macs(model))
    ratios, left = np.zeros(len(ranked.groups)), 1.0
    for number, group in enumerate(ranked.groups):
        share = len(plan.groups[group.name].removed) / group.units
        left -= prices.saved(number, ratios, share)
        ratios[number] = share
    assert left == pytest.approx(sum(macs(pruned)) / sum(macs(model)), rel=0.01)


def test_the_group_that_loses_nothing_goes_first() -> None:
    model = built("resnet")
    ranked = RankedChannels.of(model, PruneOptions(ratio=0.5, criterion="l1"), None)
    free = ranked.groups[1].name
    curves = measured_curves(report_of(ranked, {free: (0.0, 0.0)}), ranked.groups, CAP)
    path = cheapest_path(curves, PriceModel(model, ranked.groups, macs(model)), CAP)
    first = path[round(CAP / STEP) - 1]
    assert first[free] == CAP
    assert sum(first.values()) == CAP
    assert set(path[-1].values()) == {CAP}
    for before, after in itertools.pairwise(path):
        assert all(after[name] >= ratio for name, ratio in before.items())


def test_a_dear_start_counts_with_what_comes_free_behind_it() -> None:
    model = built("resnet")
    ranked = RankedChannels.of(model, PruneOptions(ratio=0.5, criterion="l1"), None)
    prices, name = PriceModel(model, ranked.groups, macs(model)), ranked.groups[0].name
    sudden, even = (
        cheapest_path(measured_curves(report_of(ranked, {name: losses}, "top1"), ranked.groups, CAP), prices, CAP)
        for losses in ((0.1, 0.1), (0.05, 0.1))
    )
    assert sudden == even


def test_a_group_goes_no_further_than_it_was_measured() -> None:
    model = built("resnet")
    ranked = RankedChannels.of(model, PruneOptions(ratio=0.5, criterion="l1"), None)
    curves = measured_curves(report_of(ranked, {}), ranked.groups, 0.9)
    path = cheapest_path(
        balanced_curves(curves, ranked.rankings, 0.9), PriceModel(model, ranked.groups, macs(model)), 0.9
    )
    assert list(path[-1].values()) == pytest.approx([0.7] * len(ranked.groups))


@pytest.mark.parametrize(
    ("losses", "accepted", "taken"),
    [
        ([math.nan, 0.1, 0.2, 0.3], None, 0.1),
        ([math.nan, 0.005, 0.0, 0.0], 0.01, 0.005),
        ([0.001, 0.0, 0.0, 0.0], 0.0, 0.0),
        ([0.5, 0.0, 0.0, 0.0], 0.01, 0.5),  # hopeless: the others are not tried
    ],
)
def test_which_candidate_is_taken(losses: list[float], accepted: float | None, taken: float) -> None:
    ranked = RankedChannels.of(built("resnet"), PruneOptions(ratio=0.5, criterion="l1"), None)
    candidates = Candidates(
        Measured(ranked, losses), report_of(ranked, {}), lambda layers: [c.macs for c in layers], CAP
    )
    found = candidates.within(0.8, accepted)
    assert found is not None
    assert found.loss == taken


def test_measured_and_local_losses_have_an_equal_say() -> None:
    measured = {"a": np.array([0.0, 1.0, 3.0]), "b": np.array([0.0, 0.0, 0.0]), "c": np.array([0.0, 1.0, 1.0])}
    rankings = {
        "a": Ranking((0, 1), (0.0, 0.0), is_cost=True),
        "b": Ranking((0, 1), (1.0, 1.0), is_cost=True),
        "c": Ranking((0, 1), (9.0, 9.0)),  # norms of filters: nothing that could be added
    }
    balanced = balanced_curves(measured, rankings, 0.04)
    assert balanced["a"].tolist() == measured["a"].tolist()
    assert balanced["b"].sum() == pytest.approx(measured["a"].sum())
    assert balanced["c"].tolist() == (2 * measured["c"]).tolist()


def test_first_within_is_the_least_that_fits() -> None:
    path = [{"a": ratio} for ratio in (0.1, 0.2, 0.3, 0.4)]
    assert first_within(path, lambda ratios: 1 - ratios["a"], 0.75) == {"a": 0.3}
    assert first_within(path, lambda ratios: 1 - ratios["a"], 0.5) is None


def test_tempered_is_halfway_to_the_same_for_all() -> None:
    (middle,) = half_uniform([{"a": 0.6, "b": 0.2}])
    assert middle == pytest.approx({"a": 0.5, "b": 0.3})


def test_a_misleading_report_is_no_worse_than_the_same_for_all() -> None:
    model = built("mobilenet_v2")
    rng = np.random.default_rng(0)
    (value,) = model.graph.inputs
    data = [Sample(str(n), {value.name: rng.standard_normal(value.shape.numpy(), dtype=np.float32)}) for n in range(4)]
    options = PruneOptions(target_macs=0.7, criterion="l1", repair=False)
    ranked = RankedChannels.of(model, options, None)
    losses = {group.name: (0.0, 0.0) for group in find_groups(model).groups[:4]}
    pruner = Pruner(ranked, Evaluator(model, Task(data)), refit=False)
    found = prune(pruner, options, sensitivity=report_of(ranked, losses))
    assert found.cost_after.macs <= 0.7 * found.cost_before.macs

    def cost(ratios: dict[str, float]) -> float:
        return sum(macs(SliceChannels(ranked.plan(ratios, 1))(model.clone()).model)) / found.cost_before.macs

    same = first_within(uniform_path(ranked.groups, CAP), cost, 0.7)
    assert same is not None
    ratio = same[ranked.groups[0].name]
    uniform = prune(pruner, PruneOptions(ratio=ratio, repair=False))
    assert uniform.loss is not None
    assert found.loss is not None
    assert found.loss <= uniform.loss


def test_each_layer_gets_the_largest_ratio_that_it_alone_affords() -> None:
    ranked = RankedChannels.of(built("mobilenet_v2"), PruneOptions(criterion="l1", repair=False), None)
    first, second, *others = [group.name for group in ranked.groups]
    report = report_of(ranked, {first: (0.01, 0.02), second: (0.01, 0.05)})
    options = PruneOptions(max_loss=0.02, allocation="each-layer", criterion="l1", repair=False)
    plan = prune(Pruner(ranked, refit=False), options, sensitivity=report).plan
    removed = {name: len(group.removed) / group.units for name, group in plan.groups.items()}
    assert removed[first] == pytest.approx(0.7, abs=0.06)
    assert removed[second] == pytest.approx(0.35, abs=0.06)
    assert not set(others) & set(removed)
    below = prune(Pruner(ranked, refit=False), options.model_copy(update={"cap": 0.5}), sensitivity=report).plan
    assert len(below.groups[first].removed) / below.groups[first].units == pytest.approx(0.35, abs=0.06)


def test_each_layer_knows_no_goal_but_an_accepted_loss() -> None:
    with pytest.raises(BadOption, match="each-layer"):
        _ = PruneOptions(target_macs=0.5, allocation="each-layer").goal
