"""`prune`: the whole of pruning, from a model and data to a smaller model that is repaired and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import onnx_ir as ir

from edgec.data.metrics.base import MetricResult
from edgec.errors import BadOption
from edgec.model.cost import LayerCost, layer_costs, total_cost
from edgec.passes.prune.allocate import Ratios, ratios_for_loss, ratios_for_price, savings, search_budget, search_loss
from edgec.passes.prune.groups import Channels
from edgec.passes.prune.plan import PrunePlan
from edgec.passes.prune.probe import Measure
from edgec.passes.prune.repair import RepairReport, repair
from edgec.passes.prune.report import SensitivityReport
from edgec.passes.prune.slice import SliceChannels
from edgec.passes.prune.study import Study
from edgec.passes.statistics.sweep import Feeds
from edgec.profile import Estimate
from edgec.pruning import PruneOptions
from edgec.reference.session import Reference

Prices = Callable[[Sequence[LayerCost]], Sequence[float]]
"""What each layer costs: what a budget is of, and what the most is to be saved of within an accepted loss."""


@dataclass(frozen=True, eq=False)
class Pruned:
    """What came out. `before` and `after` are the metric of the original and of the pruned model, where measured."""

    model: ir.Model
    plan: PrunePlan
    channels: Channels = field(repr=False)
    cost_before: LayerCost
    cost_after: LayerCost
    repaired: RepairReport | None
    before: MetricResult | None
    after: MetricResult | None

    @property
    def loss(self) -> float | None:
        """Measured loss, in the metric's units."""
        return None if self.before is None or self.after is None else self.after.loss_against(self.before)


def prune(
    study: Study,
    options: PruneOptions,
    *,
    sensitivity: SensitivityReport | None = None,
    measure: Measure | None = None,
    estimate: Estimate | None = None,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> Pruned:
    """Choose ratios for the goal in `options`, remove, repair, and measure what came out.

    Within an accepted loss the most time is saved that the board's estimate promises, or where there is none, every
    group loses alike.

    Args:
        study: Groups and rankings.
        options: The goal and its limits.
        sensitivity: Needed for every goal but `ratio`.
        measure: Data and metric; needed for `max_loss`.
        estimate: Time of layers on the board; needed for `target_latency`.
        threads: As for `Reference`.
        progress: Told what is being done.

    Raises:
        BadOption: The goal needs something not given, or cannot be reached.
    """
    goal, value = options.goal
    apply = _Apply(study, options, measure, threads, progress)
    if goal == "ratio":
        return apply(dict.fromkeys((group.name for group in study.groups), value))
    if sensitivity is None:
        raise BadOption(f"goal {goal} needs a sensitivity report", remedy="Measure it first.")
    _check_report(sensitivity, study)
    if goal == "max_loss":
        return _within_loss(apply, sensitivity, value, options, estimate)
    return _within_budget(apply, sensitivity, value, options, _prices(goal, estimate))


def _prices(goal: str, estimate: Estimate | None) -> Prices:
    if goal == "target_macs":
        return lambda layers: [layer.macs for layer in layers]
    if goal == "target_size":
        return lambda layers: [layer.weight_bytes for layer in layers]
    if estimate is None:
        raise BadOption("a target latency needs a board whose time can be estimated", remedy="Give --target.")
    return lambda layers: estimate(layers, "fp32")


def apply_plan(
    study: Study,
    options: PruneOptions,
    plan: PrunePlan,
    *,
    measure: Measure | None = None,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> Pruned:
    """Remove what `plan` says, repair, and measure; arguments and errors as for `prune`, goals are not looked at."""
    return _Apply(study, options, measure, threads, progress).with_plan(plan)


class _Apply:
    """Ratios -> the pruned, repaired, measured model."""

    def __init__(
        self,
        study: Study,
        options: PruneOptions,
        measure: Measure | None,
        threads: int | None,
        progress: Callable[[str], None],
    ) -> None:
        self.study = study
        self._options = options
        self._measure = measure
        self._threads = threads
        self._progress = progress
        self.cost_before = total_cost(layer_costs(study.model))
        self._originals: dict[str, Feeds] = {}
        self._before: MetricResult | None = None

    def sliced(self, ratios: Mapping[str, float]) -> ir.Model:
        plan = self.study.plan(ratios, self._options.multiple)
        return SliceChannels(plan)(self.study.model.clone()).model

    def __call__(self, ratios: Mapping[str, float]) -> Pruned:
        return self.with_plan(self.study.plan(ratios, self._options.multiple))

    def with_plan(self, plan: PrunePlan) -> Pruned:
        model = SliceChannels(plan)(self.study.model.clone()).model
        repaired = None
        if self._options.repair and plan.groups:
            if not self.study.calibration:
                raise BadOption("the repair needs data", remedy="Give --data, or --no-repair.")
            self._progress("repair")
            repaired = repair(self.study.model, model, plan, self.study.calibration, threads=self._threads)
        after = None
        if self._measure is not None:
            self._progress("measure")
            self._before = self._before or self._result(self.study.model)
            after = self._result(model)
        cost = total_cost(layer_costs(model))
        return Pruned(model, plan, self.study.channels, self.cost_before, cost, repaired, self._before, after)

    def _result(self, model: ir.Model) -> MetricResult:
        if self._measure is None:
            raise ValueError("nothing to measure")
        run = Reference(model, threads=self._threads).run
        metric = self._measure.fresh(lambda sample: self._originals[sample.name])
        for sample in self._measure.samples:
            outputs = run(sample.inputs)
            if model is self.study.model:
                self._originals[sample.name] = outputs
            metric.update(outputs, sample)
        return metric.result()


def _within_loss(
    apply: _Apply, report: SensitivityReport, accepted: float, options: PruneOptions, estimate: Estimate | None
) -> Pruned:
    best: dict[float, Pruned] = {}
    share = None
    if estimate is not None:
        prices = estimate(layer_costs(apply.study.model), "fp32")
        share = savings(apply.study.model, apply.study.channels, prices)

    @cache
    def loss(limit: float) -> float:
        ratios = (
            ratios_for_loss(report, limit, options.cap)
            if share is None
            else ratios_for_price(report, share, limit, options.cap)
        )
        result = apply(ratios)
        if result.loss is None:
            raise BadOption("an accepted loss needs data to measure it on", remedy="Give --data.")
        if result.loss <= accepted:
            best[limit] = result
        return float(result.loss)

    limit = search_loss(loss, accepted)
    return apply({}) if limit is None else best[limit]


def _within_budget(
    apply: _Apply, report: SensitivityReport, target: float, options: PruneOptions, prices: Prices
) -> Pruned:
    layers = layer_costs(apply.study.model)
    whole = float(sum(prices(layers)))
    share = savings(apply.study.model, apply.study.channels, prices(layers))

    def ratios(price: float) -> Ratios:
        return ratios_for_price(report, share, price, options.cap)

    @cache
    def cost_of(key: tuple[tuple[str, float], ...]) -> float:
        return sum(prices(layer_costs(apply.sliced(dict(key))))) / whole

    price = search_budget(lambda price: cost_of(tuple(ratios(price).items())), target)
    if price is None:
        least = cost_of(tuple((name, options.cap) for name in report.groups))
        what = options.goal[0].removeprefix("target_")
        raise BadOption(
            f"the {what} cannot be brought to {target:.0%}: {least:.0%} is the least",
            remedy=f"Raise --cap (now {options.cap}), or exclude less.",
        )
    return apply(ratios(price))


def _check_report(report: SensitivityReport, study: Study) -> None:
    known = {group.name: group for group in study.groups}
    for name, entry in report.groups.items():
        if name in known and known[name].units != entry.units:
            raise BadOption(
                f"sensitivity: group {name!r} has {known[name].units} units, the report says {entry.units}",
                remedy="Measure the sensitivity of this model.",
            )
    missing = [name for name in known if name not in report.groups]
    if len(missing) == len(known):
        raise BadOption("the sensitivity report is of another model", remedy="Measure it anew.")
