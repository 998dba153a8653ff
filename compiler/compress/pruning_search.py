"""`prune`: finds the ratio of each group that reaches a goal with the least loss, and prunes the model."""

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
"""Number of bisection steps for the budget within an accepted loss."""


def prune(
    pruner: Pruner,
    options: PruneOptions,
    *,
    sensitivity: SensitivityReport | None = None,
    estimate: Estimate | None = None,
) -> Pruned:
    """Choose ratios for the goal in `options`, remove channels, repair the weights, and measure the result.

    Several ways to distribute a budget over the groups are tried; the one with the least measured loss is kept.
    Within an accepted loss, as much time as possible is saved by the board's estimate, or without an estimate as many
    multiply-accumulates and weights as possible. With the allocation `each-layer`, nothing is tried: each group gets
    the largest measured ratio at which it alone loses no more than accepted.

    Args:
        pruner: Ranked channels, data and metric.
        options: The goal and its limits.
        sensitivity: Needed for every goal except `ratio`.
        estimate: Estimated time of layers on the board; needed for `target_latency`.

    Raises:
        BadOption: The goal needs something that is not given, or cannot be reached.
    """
    goal, value = options.goal
    if goal == "ratio":
        return pruner.prune(pruner.plan(dict.fromkeys((group.name for group in pruner.ranked.groups), value)))
    if sensitivity is None:
        raise BadOption(f"goal {goal} needs a sensitivity report", remedy="Run `edgec sensitivity` first.")
    _check_report(sensitivity, pruner, options)
    if options.allocation == "each-layer":
        return pruner.prune(pruner.plan(largest_ratios(sensitivity, value, options.cap)))
    if goal == "max_loss":
        found = _within_loss(pruner, sensitivity, value, options, estimate)
    else:
        found = _within_budget(pruner, sensitivity, value, options, _prices(goal, estimate))
    return found.pruned or pruner.prune(found.plan)


def largest_ratios(report: SensitivityReport, accepted: float, cap: float) -> dict[str, float]:
    """Return for each group the largest measured ratio, at most `cap`, at which it alone loses at most `accepted`."""
    return {
        name: max(
            (r for r, loss in zip(entry.ratios, entry.losses, strict=True) if r <= cap and loss <= accepted),
            default=0.0,
        )
        for name, entry in report.groups.items()
    }


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
    """Return the price of each layer if no board is given: its fraction of all MACs and of all weights of `whole`."""
    macs, size = max(whole.macs, 1), max(whole.weight_bytes, 1)
    return lambda layers: [layer.macs / macs + layer.weight_bytes / size for layer in layers]


def _within_loss(
    pruner: Pruner, report: SensitivityReport, accepted: float, options: PruneOptions, estimate: Estimate | None
) -> Candidate:
    if not pruner.measures:
        raise BadOption("an accepted loss needs data on which it is measured", remedy="Give --data.")
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
    """Raise an error for a report of another model, of some groups only, of another criterion or repair setting."""
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
        problem = f"the sensitivity report lacks {len(missing)} of {len(known)} groups, e.g. {missing[0]!r}"
        raise BadOption(problem, remedy="Give the report's own --include and --exclude, or measure it again.")
    if report.criterion != options.criterion:
        problem = f"the sensitivity report was measured by criterion {report.criterion}, not {options.criterion}"
        raise BadOption(problem, remedy=f"Give --criterion {report.criterion}, or measure the sensitivity again.")
    if report.compensated != pruner.refit:
        measured, wanted = ("with", "without") if report.compensated else ("without", "with")
        problem = f"the sensitivity report was measured {measured} repair, but the model is pruned {wanted}"
        raise BadOption(problem, remedy="Measure it with the same setting (edgec sensitivity --no-compensate).")
