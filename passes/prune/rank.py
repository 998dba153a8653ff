"""`rank`: the order in which a group's units are removed, by a criterion, combined over all layers of the group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec import registry
from edgec.errors import BadOption
from edgec.model.traits import LINEAR
from edgec.passes.channels.groups import NO_UNIT, Group, Member, weights_of
from edgec.passes.layerwise.moments import LayerMoments
from edgec.passes.prune.optimal_brain_surgeon import OptimalBrainSurgeon
from edgec.pruning import FORMER_NAMES
from edgec.registry import suggest

Array = np.ndarray[Any, Any]

DATA_DRIVEN = ("obs", "reconstruction")
"""Criteria that need samples: loss of the layers that read the group, with compensation (`obs`) or without."""

SCALES = frozenset({"Div", "Mul", "PRelu"})
"""Operators by whose constants zero stays zero."""


@dataclass(frozen=True)
class Ranking:
    """All units of a group in the order in which they are removed, and the score of each at that moment.

    `is_cost`: the scores are lost fractions of the outputs of the following layers, and add up.
    """

    order: tuple[int, ...]
    scores: tuple[float, ...]
    is_cost: bool = False


def criteria() -> list[str]:
    """Return the names of all criteria."""
    return sorted([*DATA_DRIVEN, *registry.names("criteria")])


def rank(model: ir.Model, group: Group, criterion: str, moments: Mapping[str, LayerMoments] | None = None) -> Ranking:
    """Rank the units of `group`; by `l2` if a data-driven criterion has moments of none of its readers.

    Args:
        model: Model with the weights.
        group: Group of this model.
        criterion: `obs`, `reconstruction`, a name registered in `edgec.criteria`, or `module:function`.
        moments: Moments as `layer_moments` returns them, for the data-driven criteria.

    Raises:
        BadOption: The criterion is unknown, needs data, or did not return a score for each filter.
    """
    criterion = FORMER_NAMES.get(criterion, criterion)
    if criterion in DATA_DRIVEN:
        if moments is None:
            raise BadOption(f"criterion {criterion} needs data", remedy="Give --data, or use l1 or fpgm.")
        return _by_output(model, group, moments, compensate=criterion == "obs")
    if ":" not in criterion and criterion not in registry.names("criteria"):
        raise BadOption(f"unknown criterion {criterion!r}", remedy=suggest(criterion, criteria()))
    return _by_filters(model, group, criterion)


def _by_filters(model: ir.Model, group: Group, criterion: str) -> Ranking:
    """Rank by scores of the filters that compute the channels, as published: depthwise layers behind them follow.

    Where several layers compute a channel, the scores of each are divided by their mean, so that layers count equally.
    Units whose filters and biases are all zero are first, whatever the criterion: they can be removed without a loss.
    """
    score: Callable[[Array], Array] = registry.load("criteria", criterion)
    total = np.zeros(group.units)
    for member in group.makers:
        rows = _rows(member, weights_of(model, member))
        if not np.isfinite(rows).all():
            problem = f"layer {member.node} has weights that are infinite or NaN"
            raise BadOption(problem, remedy="Train or export the model again.")
        try:
            scores = np.asarray(score(rows), np.float64)
        except Exception as error:  # a user's function may raise anything
            problem = f"criterion {criterion} failed on the filters of {member.node}: {type(error).__name__}: {error}"
            raise BadOption(problem, remedy="It must map filters [channels, k] to finite scores [channels].") from error
        if scores.shape != (len(rows),) or not np.isfinite(scores).all():
            raise BadOption(
                f"criterion {criterion} gave {scores.shape} for {len(rows)} filters of {member.node}, or no numbers",
                remedy="A criterion maps filters [channels, k] to finite scores [channels].",
            )
        own = member.units != NO_UNIT
        share = np.bincount(member.units[own], scores[own], minlength=group.units)
        total += share / (np.abs(share).mean() or 1.0)
    total[_zero(model, group)] = min(total.min(), 0.0)
    order = np.argsort(total, kind="stable")
    return Ranking(tuple(order.tolist()), tuple(total[order].tolist()))


def _zero(model: ir.Model, group: Group) -> Array:
    """Return which units are zero before and after every activation that maps 0 to 0; bool [units]."""
    zero = np.ones(group.units, bool)
    for member in group.members:
        array = weights_of(model, member)
        if member.role == "reads" or member.op in SCALES or _is_depthwise(member, array):
            continue
        zero[member.units[(member.units != NO_UNIT) & _rows(member, array).any(axis=1)]] = False
    return zero


def _is_depthwise(member: Member, array: Array) -> bool:
    """Return whether a member is the weights of a depthwise layer: they follow the channels that others compute."""
    return member.role == "follows" and member.op in LINEAR and array.ndim > 2


def _rows(member: Member, array: Array) -> Array:
    """Return the weights of a member as [channels, k]."""
    return np.moveaxis(array, member.axis, 0).reshape(array.shape[member.axis], -1)


def _by_output(model: ir.Model, group: Group, moments: Mapping[str, LayerMoments], *, compensate: bool) -> Ranking:
    surgeons = [
        surgeon
        for member in group.readers
        if member.node in moments
        for surgeon in _surgeons(member, moments[member.node], group.units, compensate=compensate)
    ]
    if not surgeons:
        return _by_filters(model, group, "l2")
    alive = np.ones(group.units, bool)
    order, scores = [], []
    fallback = np.zeros(group.units)
    fallback[list(_by_filters(model, group, "l2").order)] = np.linspace(0, 1e-12, group.units)
    for _ in range(group.units):
        costs = np.where(alive, sum((surgeon.costs() for surgeon in surgeons), fallback), np.inf)
        unit = int(costs.argmin())
        order.append(unit)
        scores.append(float(costs[unit]))
        alive[unit] = False
        for surgeon in surgeons:
            surgeon.remove(unit)
    return Ranking(tuple(order), tuple(scores), is_cost=True)


def _surgeons(member: Member, moments: LayerMoments, units: int, *, compensate: bool) -> list[OptimalBrainSurgeon]:
    """Return one solver for each group of the layer."""
    layer = moments.layer
    channels = np.arange(len(member.units))
    by_unit = [channels[member.units == unit] for unit in range(units)]
    # A tensor that reaches a Concat twice gives its units more channels than others have.
    columns = np.full((units, max(map(len, by_unit)) * layer.per_channel), -1, np.int64)
    for unit, own in enumerate(by_unit):
        block = (own[:, None] * layer.per_channel + np.arange(layer.per_channel)).reshape(-1)
        columns[unit, : len(block)] = block
    return [
        OptimalBrainSurgeon(weights, h, columns, compensate=compensate)
        for weights, h in zip(layer.weights, moments.h, strict=True)
        if h.any()  # otherwise all inputs were zero, and removing any of them costs nothing
    ]


def choose(group: Group, ranking: Ranking, ratio: float, multiple: int = 1) -> Sequence[int]:
    """Return the units that are removed at this ratio of the group.

    Args:
        group: The group.
        ranking: Order of its units.
        ratio: Fraction of the units, 0 to 1; rounded down so that the rest is a multiple of `multiple` channels.
        multiple: Channel multiple of the target; a group that is not wider is not pruned.
    """
    per_unit = group.width / group.units
    kept = max(group.width - int(ratio * group.units + 1e-9) * per_unit, 1)
    kept = -(-kept // multiple) * multiple
    count = int((group.width - kept) // per_unit) if kept < group.width else 0
    chosen: list[int] = []
    gone: set[int] = set()
    for unit in ranking.order:
        if len(chosen) == count:
            break
        if not any(floor <= gone | {unit} for floor in group.floors):
            chosen.append(unit)
            gone.add(unit)
    return chosen
