"""From a sensitivity report to the ratio of each group: for an accepted loss, or for a budget at the least loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from edgec.model.cost import layer_costs
from edgec.passes.canonicalize.rule import label
from edgec.passes.prune.groups import NO_UNIT, Channels
from edgec.passes.prune.report import SensitivityReport

STEPS_OUT = 3
"""How often the accepted loss of a single group is doubled beyond that of the whole, while the whole allows it."""
STEPS_IN = 8
"""How often it is halved before giving up."""
REFINEMENTS = 2
BISECTIONS = 40

Ratios = dict[str, float]


def ratios_for_loss(report: SensitivityReport, accepted: float, cap: float) -> Ratios:
    """Return for each group the largest ratio, at most `cap`, whose loss alone stays at or below `accepted`."""
    return {name: group.largest_ratio(accepted, cap) for name, group in report.groups.items()}


def ratios_for_price(report: SensitivityReport, savings: Mapping[str, float], price: float, cap: float) -> Ratios:
    """Return for each group the ratio that makes loss - price * saving least.

    Over all prices these are the allocations of which none with the same sum of losses saves more.

    Args:
        report: Losses by group and ratio.
        savings: Group -> what removing all of it would save, as a share of the whole.
        price: Accepted loss for saving everything.
        cap: Largest ratio.
    """
    result = {}
    for name, group in report.groups.items():
        candidates = [0.0, *(ratio for ratio in group.ratios if ratio < cap), cap]
        saving = savings.get(name, 0.0)
        result[name] = min(candidates, key=lambda ratio: group.loss(ratio) - price * saving * ratio)
    return result


def search_loss(measure: Callable[[float], float], accepted: float) -> float | None:
    """Return the largest limit for single groups at which the joint loss stays accepted, or None if none was found.

    Starts at `accepted` itself; a repair often leaves room for more, accumulated losses often ask for less.

    Args:
        measure: Limit for each single group -> measured loss of all together.
        accepted: Largest joint loss.
    """
    limit, good, bad = accepted, None, None
    if measure(limit) <= accepted:
        good = limit
        for _ in range(STEPS_OUT):
            limit *= 2
            if measure(limit) > accepted:
                bad = limit
                break
            good = limit
    else:
        bad = limit
        for _ in range(STEPS_IN):
            limit /= 2
            if measure(limit) <= accepted:
                good = limit
                break
            bad = limit
    if good is None or bad is None:
        return good
    for _ in range(REFINEMENTS):
        middle = (good * bad) ** 0.5
        good, bad = (middle, bad) if measure(middle) <= accepted else (good, middle)
    return good


def search_budget(cost: Callable[[float], float], target: float) -> float | None:
    """Return about the least price at which `cost(price)`, a share of the whole, is at most `target`; None: none is.

    Args:
        cost: Price -> cost of the pruned model.
        target: Largest cost.
    """
    low, high = 0.0, 1e-6
    while cost(high) > target:
        low, high = high, high * 8
        if high > 1e9:
            return None
    for _ in range(BISECTIONS):
        if high - low < 1e-3 * high:
            break
        middle = (low * high) ** 0.5 if low else high / 8
        low, high = (low, middle) if cost(middle) <= target else (middle, high)
    return high


def savings(model: ir.Model, channels: Channels, prices: Sequence[float]) -> dict[str, float]:
    """Return for each group the share of the model's price that goes with all its units.

    Layers between two pruned groups are counted for both: a first-order estimate.

    Args:
        model: Static shapes.
        channels: Its groups.
        prices: What each layer costs, in the order of `layer_costs`: multiply-accumulates, bytes or seconds.
    """
    costs = {layer.name: price for layer, price in zip(layer_costs(model), prices, strict=True)}
    names = {label(node): node.name or node.outputs[0].name or "" for node in model.graph}
    total = sum(costs.values()) or 1
    result = {}
    for group in channels.groups:
        shares = 0.0
        for member in group.members:
            axis_share = float((member.units != NO_UNIT).mean())
            if member.role in ("reads", "filters") or member.op.startswith("Conv"):
                shares += axis_share * costs.get(names[member.node], 0) / total
        result[group.name] = shares
    return result
