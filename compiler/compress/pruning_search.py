"""`prune`: how much of each group goes, so that a goal is reached and the least is lost, and the model without it."""

from __future__ import annotations

from edgec.compress.candidates import Candidate, Candidates, Prices
from edgec.compress.pruner import Pruned, Pruner
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.errors import BadOption
from edgec.model.cost import LayerCost
from edgec.passes.channels.plan import PrunePlan
from edgec.profile import Estimate
from edgec.pruning import PruneOptions

LEVELS = 6
"""Halvings of the budget within an accepted loss."""


def prune(
    pruner: Pruner,
    options: PruneOptions,
    *,
    sensitivity: SensitivityReport | None = None,
    estimate: Estimate | None = None,
) -> Pruned:
    """Choose ratios for the goal in `options`, remove, repair, and measure what came out.

    Several ways to share a budget among the groups are tried; the one that is measured to lose the least is kept.
    Within an accepted loss the most time is saved that the board's estimate promises, or where there is none, the most
    of multiply-accumulates and weights.

    Args:
        pruner: Ranked channels, data and metric.
        options: The goal and its limits.
        sensitivity: Needed for every goal but `ratio`.
        estimate: Time of layers on the board; needed for `target_latency`.

    Raises:
        BadOption: The goal needs something not given, or cannot be reached.
    """
    goal, value = options.goal
    if goal == "ratio":
        return pruner.prune(pruner.plan(dict.fromkeys((group.name for group in pruner.ranked.groups), value)))
    if sensitivity is None:
        raise BadOption(f"goal {goal} needs a sensitivity report", remedy="Measure it first.")
    _check_report(sensitivity, pruner, options)
    if goal == "max_loss":
        found = _within_loss(pruner, sensitivity, value, options, estimate)
    else:
        found = _within_budget(pruner, sensitivity, value, options, _prices(goal, estimate))
    return found.pruned or pruner.prune(found.plan)


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


def _within_loss(
    pruner: Pruner, report: SensitivityReport, accepted: float, options: PruneOptions, estimate: Estimate | None
) -> Candidate:
    if not pruner.measures:
        raise BadOption("an accepted loss needs data to measure it on", remedy="Give --data.")
    prices = _work_and_size(pruner.cost_before) if estimate is None else _time(estimate)
    candidates = Candidates(pruner, report, prices, options.cap)
    best, enough, too_much = Candidate(PrunePlan()), 1.0, candidates.least
    for _ in range(LEVELS):
        target = (enough + too_much) / 2
        found = candidates.within(target, accepted)
        if found is not None and found.loss is not None and found.loss <= accepted:
            best, enough = found, target
        else:
            too_much = target
    return best


def _within_budget(
    pruner: Pruner, report: SensitivityReport, target: float, options: PruneOptions, prices: Prices
) -> Candidate:
    candidates = Candidates(pruner, report, prices, options.cap)
    found = candidates.within(target)
    if found is None:
        what = options.goal[0].removeprefix("target_")
        raise BadOption(
            f"the {what} cannot be reduced to {target:.0%}: {candidates.least:.0%} is the smallest that can be reached",
            remedy=f"Raise --cap (now {options.cap}), or exclude less.",
        )
    return found


def _check_report(report: SensitivityReport, pruner: Pruner, options: PruneOptions) -> None:
    """Refuse a report of another model, of part of the groups, of another criterion, or measured without the repair."""
    known = {group.name: group for group in pruner.ranked.groups}
    for name, entry in report.groups.items():
        if name in known and known[name].units != entry.units:
            raise BadOption(
                f"sensitivity: group {name!r} has {known[name].units} units, the report says {entry.units}",
                remedy="Measure the sensitivity of this model.",
            )
    missing = [name for name in known if name not in report.groups]
    if len(missing) == len(known):
        raise BadOption(
            "the sensitivity report belongs to another model", remedy="Measure the sensitivity of this model."
        )
    if missing:
        problem = f"the sensitivity report lacks {len(missing)} of {len(known)} groups, {missing[0]!r} for one"
        raise BadOption(problem, remedy="Give the same --include and --exclude as for it, or measure it anew.")
    if report.criterion != options.criterion:
        problem = f"the sensitivity report was measured by criterion {report.criterion}, not {options.criterion}"
        raise BadOption(problem, remedy=f"Give --criterion {report.criterion}, or measure it anew.")
    if report.compensated != pruner.refit:
        measured, wanted = ("with", "without") if report.compensated else ("without", "with")
        problem = f"the sensitivity report was measured {measured} repair, and it is pruned {wanted}"
        raise BadOption(problem, remedy="Measure it as it will be pruned (edgec sensitivity --no-compensate).")
