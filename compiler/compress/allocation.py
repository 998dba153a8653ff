"""Pruning ratios of the groups: paths of allocations in which each step loses the least for what it saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.compress.sensitivity_report import SensitivityReport
from edgec.evaluation.task import UNLABELLED
from edgec.model.cost import layer_costs
from edgec.model.graph import label
from edgec.passes.channels.groups import NO_UNIT, Group
from edgec.passes.prune.rank import Ranking

Array = np.ndarray[Any, Any]
Ratios = dict[str, float]
Path = list[Ratios]
"""Allocations (group -> ratio), each of which removes more than the one before."""

STEP = 0.02
"""Step of a group's ratio."""


class PriceModel:
    """Predicts the cost of a network at given ratios without pruning it.

    The cost of a layer is its price times the fraction of its weights that stays, a product over their axes.

    Args:
        model: Model with static shapes.
        groups: Groups that may be pruned.
        prices: Price of each layer, in the order of `layer_costs`.
    """

    def __init__(self, model: ir.Model, groups: Sequence[Group], prices: Sequence[float]) -> None:
        costs = {layer.name: price for layer, price in zip(layer_costs(model), prices, strict=True)}
        names = {label(node): node.name or node.outputs[0].name or "" for node in model.graph}
        shares: dict[str, dict[str, dict[int, dict[int, float]]]] = {}
        for number, group in enumerate(groups):
            for member in group.members:
                axes = shares.setdefault(member.node, {}).setdefault(member.tensor, {})
                axes.setdefault(member.axis, {})[number] = float((member.units != NO_UNIT).mean())
        total = sum(costs.values()) or 1.0
        self._layers: list[list[tuple[float, list[dict[int, float]]]]] = [[] for _ in groups]
        for node, tensors in shares.items():
            axes = max(tensors.values(), key=len)  # those of the weights; a bias has one axis
            layer = (costs.get(names[node], 0.0) / total, list(axes.values()))
            for number in {number for axis in axes.values() for number in axis}:
                self._layers[number].append(layer)

    def related(self, group: int) -> set[int]:
        """Return the groups that share a layer with `group`, including itself: their savings depend on its ratio."""
        return {group, *(number for _, axes in self._layers[group] for axis in axes for number in axis)}

    def saved(self, group: int, ratios: Array, step: float) -> float:
        """Return the fraction of the total price that is saved by removing `step` more of a group at `ratios`."""
        result = 0.0
        for price, axes in self._layers[group]:
            before = after = price
            for axis in axes:
                left = max(1 - sum(share * ratios[number] for number, share in axis.items()), 0.0)
                before *= left
                after *= max(left - axis.get(group, 0.0) * step, 0.0)
            result += before - after
        return result


def uniform_path(groups: Sequence[Group], cap: float) -> Path:
    """Return the allocations with the same ratio for every group."""
    return [dict.fromkeys((group.name for group in groups), float(ratio)) for ratio in _steps(cap)[1:]]


def cheapest_path(curves: Mapping[str, Array], prices: PriceModel, cap: float) -> Path:
    """Return the allocations in which each step loses the least for what it saves.

    Args:
        curves: Group -> loss at each of the first steps, as `measured_curves` returns it, in the order of
            `prices`; a group is pruned no further than its curve.
        prices: Model of the savings.
        cap: Maximum ratio of a group.
    """
    names, steps = list(curves), _steps(cap)
    slopes = [np.diff(_convex(curve)) for curve in curves.values()]
    ends = np.array([len(slope) for slope in slopes])
    at, ratios = np.zeros(len(names), int), np.zeros(len(names))
    worth = np.full(len(names), np.inf)
    result: Path = []
    changed = set(range(len(names)))
    while (at < ends).any():
        for number in changed:
            saved = prices.saved(number, ratios, STEP)
            further = at[number] < ends[number]
            worth[number] = slopes[number][at[number]] / max(saved, np.finfo(float).tiny) if further else np.inf
        chosen = int(np.argmin(worth))
        at[chosen] += 1
        ratios[chosen] = steps[at[chosen]]
        changed = prices.related(chosen)
        result.append(dict(zip(names, ratios.tolist(), strict=True)))
    return result


def half_uniform(path: Path) -> Path:
    """Return the allocations halfway between those of `path` and the uniform ones."""
    means = [sum(ratios.values()) / len(ratios) for ratios in path]
    return [
        {name: (ratio + mean) / 2 for name, ratio in ratios.items()} for ratios, mean in zip(path, means, strict=True)
    ]


def measured_curves(report: SensitivityReport, groups: Sequence[Group], cap: float) -> dict[str, Array]:
    """Return group -> loss of the whole network at each measured step, in units that add up over groups."""
    # Errors of independent groups add up as squares.
    power = 2 if report.metric == UNLABELLED else 1
    known = {group.name: report.groups[group.name] for group in groups if group.name in report.groups}
    reach = {name: max(entry.ratios, default=0.0) + STEP / 2 for name, entry in known.items()}
    curves = {
        name: np.array([entry.loss(r) ** power for r in _steps(cap) if r <= reach[name]])
        for name, entry in known.items()
    }
    # A curve ends where the outputs of the network are no longer finite.
    return {name: curve[: np.append(np.isfinite(curve), False).argmin()] for name, curve in curves.items()}


def balanced_curves(measured: Mapping[str, Array], rankings: Mapping[str, Ranking], cap: float) -> dict[str, Array]:
    """Return `measured` plus an equally weighted loss that the ranking predicts for the following layers.

    A measurement covers the whole network, but few samples and one group alone; the second-order cost of a
    ranking covers many more rows, but only the next layers. Neither is reliable by itself.
    """
    local = {
        name: _local_curve(rankings[name], cap)[: len(curve)]
        for name, curve in measured.items()
        if rankings[name].is_cost
    }
    both = sum(measured[name].sum() for name in local)
    scale = both / max(sum(curve.sum() for curve in local.values()), np.finfo(float).tiny)
    return {name: curve + (scale * local[name] if name in local else curve) for name, curve in measured.items()}


def _local_curve(ranking: Ranking, cap: float) -> Array:
    units = len(ranking.scores)
    lost = np.concatenate([[0.0], np.cumsum(np.maximum(ranking.scores, 0.0))])
    curve: Array = np.interp(_steps(cap) * units, np.arange(units + 1), lost)
    return curve


def _steps(cap: float) -> Array:
    steps: Array = np.append(np.arange(0, cap, STEP), cap)
    return steps


def _convex(curve: Array) -> Array:
    """Return the largest convex function below `curve`: an expensive first step may pay if more steps follow."""
    corners = [0]
    for place in range(1, len(curve)):
        while len(corners) > 1:
            first, last = corners[-2], corners[-1]
            if (curve[last] - curve[first]) * (place - last) <= (curve[place] - curve[last]) * (last - first):
                break
            corners.pop()
        corners.append(place)
    hull: Array = np.interp(np.arange(len(curve)), corners, curve[corners])
    return hull


def first_within(path: Path, cost: Callable[[Ratios], float], target: float) -> Ratios | None:
    """Return the first allocation of `path` whose cost is at most `target`, or None if there is none."""
    low, high = 0, len(path)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(path[middle]) <= target else (middle + 1, high)
    return path[low] if low < len(path) else None
