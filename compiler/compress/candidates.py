"""`Candidates`: several ways to distribute a budget over the groups, which are tried and measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgec.compress.allocation import (
    Path,
    PriceModel,
    Ratios,
    balanced_curves,
    cheapest_path,
    first_within,
    half_uniform,
    measured_curves,
    uniform_path,
)
from edgec.compress.pruner import Pruned, Pruner
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.model.cost import LayerCost, layer_costs
from edgec.passes.channels.plan import PrunePlan

Prices = Callable[[Sequence[LayerCost]], Sequence[float]]
"""Price of each layer: a budget is a fraction of their sum, and an accepted loss is spent to save the most of it."""
HOPELESS = 2.0
"""Multiple of the accepted loss above which the other candidates are not tried at the same budget."""


@dataclass(frozen=True)
class Candidate:
    """A plan, its measured loss (None: nothing is measured), and the pruned model, if it was made.

    A loss that is not finite or NaN, because the network's outputs are, is infinite.
    """

    plan: PrunePlan
    loss: float | None = None
    pruned: Pruned | None = None


class Candidates:
    """Ways to distribute a budget over the groups: by several measures of the loss, and uniformly.

    None of them is best for every network, because the losses of single groups say little about their common loss.
    So each one is tried, and the loss measured with all groups pruned decides.

    Args:
        pruner: Prunes, repairs and measures.
        report: Loss of each group alone.
        prices: Prices of which the budget is a fraction.
        cap: Maximum ratio of a group.

    Attributes:
        least: The smallest price that any of them reaches, as a fraction of the total.
    """

    def __init__(self, pruner: Pruner, report: SensitivityReport, prices: Prices, cap: float) -> None:
        ranked = pruner.ranked
        groups = [group for group in ranked.groups if group.name in report.groups]
        self._pruner = pruner
        self._prices = prices
        layers = prices(layer_costs(ranked.model))
        self._whole = float(sum(layers))
        model = PriceModel(ranked.model, groups, layers)
        measured = measured_curves(report, groups, cap)
        balanced = cheapest_path(balanced_curves(measured, ranked.rankings, cap), model, cap)
        by_measure = cheapest_path(measured, model, cap)
        self._paths = [balanced, half_uniform(balanced), by_measure, uniform_path(groups, cap)]
        self._costs: dict[tuple[float, ...], float] = {}
        self.least = min(self.cost(path[-1]) for path in self._paths if path)

    def cost(self, ratios: Ratios) -> float:
        """Return the price of the pruned network as a fraction of the total."""
        key = tuple(ratios.values())
        if key not in self._costs:
            layers = layer_costs(self._pruner.sliced(self._pruner.plan(ratios)))
            self._costs[key] = sum(self._prices(layers)) / self._whole
        return self._costs[key]

    def within(self, target: float, accepted: float | None = None) -> Candidate | None:
        """Return the candidate with the least loss at a cost of at most `target`, or None if none reaches it.

        With `accepted`, the first one that loses no more is returned, and after one that loses far more no other is
        tried. If nothing is measured, the first one that reaches the target is returned.
        """
        best: tuple[float, Candidate, Path] | None = None
        for path in self._paths:
            ratios = first_within(path, self.cost, target)
            if ratios is None:
                continue
            plan = self._pruner.plan(ratios)
            if not self._pruner.measures:
                return Candidate(plan)
            loss, pruned = self._pruner.loss(plan)
            loss = math.inf if math.isnan(loss) else loss
            if best is None or loss < best[0]:
                best = loss, Candidate(plan, loss, pruned), path
            if accepted is not None and (loss <= accepted or 0 < HOPELESS * accepted < loss < math.inf):
                break
        if best is None:
            return None
        if accepted is not None:
            self._paths.sort(key=lambda path: path is not best[2])  # the best one is tried first the next time
        return best[1]
