"""`Candidates`: several ways to share a budget among the groups, tried and measured."""

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
"""What each layer costs: what a budget is of, and what the most is to be saved of within an accepted loss."""
HOPELESS = 2.0
"""Multiple of the accepted loss beyond which the other candidates are not tried at the same budget."""


@dataclass(frozen=True)
class Candidate:
    """What may be removed, what that was measured to lose (None: nothing is measured), and the model, if it is there.

    A loss that is no number, of a network that computes none any more, is infinite.
    """

    plan: PrunePlan
    loss: float | None = None
    pruned: Pruned | None = None


class Candidates:
    """Ways to share a budget among the groups: by several measures of what is lost, and the same for all.

    None of them is best everywhere, for what groups lose alone says little of what they lose together. So each is
    tried, and what was measured with everything removed decides.

    Args:
        pruner: Prunes, repairs and measures.
        report: What groups lose alone.
        prices: What the budget is of.
        cap: Largest ratio of a group.

    Attributes:
        least: The smallest price that any of them reaches, as a share of the whole.
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
        """Return the price of the pruned network as a share of the whole."""
        key = tuple(ratios.values())
        if key not in self._costs:
            layers = layer_costs(self._pruner.sliced(self._pruner.plan(ratios)))
            self._costs[key] = sum(self._prices(layers)) / self._whole
        return self._costs[key]

    def within(self, target: float, accepted: float | None = None) -> Candidate | None:
        """Return the candidate that loses the least at a cost of at most `target`; None: none gets there.

        With `accepted` the first that loses no more is taken, and none is tried after one that loses far more. Where
        nothing is measured, it is the first that gets there.
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
        self._paths.sort(key=lambda path: path is not best[2])  # tried first the next time
        return best[1]
