"""`prune`: the whole of pruning, from a model and data to a smaller model that is repaired and measured."""

from __future__ import annotations

from collections.abc import Callable

from edgec.compress.candidates import Candidates, Prices
from edgec.compress.probe import Measure
from edgec.compress.pruner import Apply, Pruned
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.errors import BadOption
from edgec.model.cost import LayerCost
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.prune.study import Study
from edgec.profile import Estimate
from edgec.pruning import PruneOptions

LEVELS = 6
"""Halvings of the budget within an accepted loss."""


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

    Several ways to share a budget among the groups are tried; the one that is measured to lose the least is kept.
    Within an accepted loss the most time is saved that the board's estimate promises, or where there is none, the most
    of multiply-accumulates and weights.

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
    apply = Apply(study, options, measure, threads, progress)
    if goal == "ratio":
        return apply(dict.fromkeys((group.name for group in study.groups), value))
    if sensitivity is None:
        raise BadOption(f"goal {goal} needs a sensitivity report", remedy="Measure it first.")
    _check_report(sensitivity, study, options)
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
    return _time(estimate)


def _time(estimate: Estimate) -> Prices:
    return lambda layers: estimate(layers, "fp32")


def _work_and_size(whole: LayerCost) -> Prices:
    """Return what each layer costs where no board is given: its share of all work, and of all weights, of `whole`."""
    macs, size = max(whole.macs, 1), max(whole.weight_bytes, 1)
    return lambda layers: [layer.macs / macs + layer.weight_bytes / size for layer in layers]


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
    return Apply(study, options, measure, threads, progress).with_plan(plan)


def _within_loss(
    apply: Apply, report: SensitivityReport, accepted: float, options: PruneOptions, estimate: Estimate | None
) -> Pruned:
    candidates = Candidates(
        apply, report, _work_and_size(apply.cost_before) if estimate is None else _time(estimate), options.cap
    )
    best, enough, too_much = None, 1.0, candidates.least
    for _ in range(LEVELS):
        target = (enough + too_much) / 2
        found = candidates.within(target, accepted)
        if found is not None and found.loss is None:
            raise BadOption("an accepted loss needs data to measure it on", remedy="Give --data.")
        if found is not None and found.loss is not None and found.loss <= accepted:
            best, enough = found, target
        else:
            too_much = target
    return apply({}) if best is None else best


def _within_budget(
    apply: Apply, report: SensitivityReport, target: float, options: PruneOptions, prices: Prices
) -> Pruned:
    candidates = Candidates(apply, report, prices, options.cap)
    found = candidates.within(target)
    if found is None:
        what = options.goal[0].removeprefix("target_")
        raise BadOption(
            f"the {what} cannot be brought to {target:.0%}: {candidates.least:.0%} is the least",
            remedy=f"Raise --cap (now {options.cap}), or exclude less.",
        )
    return found


def _check_report(report: SensitivityReport, study: Study, options: PruneOptions) -> None:
    """Refuse a report of another model, of part of the groups, of another criterion, or measured without the repair."""
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
    if missing:
        problem = f"the sensitivity report lacks {len(missing)} of {len(known)} groups, {missing[0]!r} for one"
        raise BadOption(problem, remedy="Give the same --include and --exclude as for it, or measure it anew.")
    if report.criterion != options.criterion:
        problem = f"the sensitivity report is of criterion {report.criterion}, not {options.criterion}"
        raise BadOption(problem, remedy=f"Give --criterion {report.criterion}, or measure it anew.")
    if report.compensated != options.repair:
        measured, wanted = ("with", "without") if report.compensated else ("without", "with")
        problem = f"the sensitivity report was measured {measured} repair, and it is pruned {wanted}"
        raise BadOption(problem, remedy="Measure it as it will be pruned (edgec sensitivity --no-compensate).")
