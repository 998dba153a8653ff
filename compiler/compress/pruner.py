"""`Pruner`: turns ratios or a plan into a pruned model, with repaired weights and a measured loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgec.data.metrics.base import MetricResult
from edgec.errors import BadOption
from edgec.evaluation.evaluator import Evaluator
from edgec.model.cost import LayerCost, layer_costs, total_cost
from edgec.model.serialize import save
from edgec.passes.channels.groups import Channels
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.passes.prune.repair import RepairReport, repair


@dataclass(frozen=True, eq=False, repr=False)
class Pruned:
    """Result of pruning.

    Attributes:
        model: The pruned model.
        plan: The units that were removed from each group.
        channels: All groups, and the layers that cannot be pruned, with the reason.
        cost_before: Multiply-accumulates, parameters and bytes of the original.
        cost_after: The same numbers of the pruned model.
        repaired: What the repair did; None if nothing was repaired.
        before: Metric of the original; None if nothing was measured.
        after: Metric of the pruned model; None if nothing was measured.
    """

    model: ir.Model
    plan: PrunePlan
    channels: Channels
    cost_before: LayerCost
    cost_after: LayerCost
    repaired: RepairReport | None
    before: MetricResult | None
    after: MetricResult | None

    @property
    def loss(self) -> float | None:
        """Measured loss, in the metric's units."""
        return None if self.before is None or self.after is None else self.after.loss_against(self.before)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the pruned model as an ONNX file; raises BadOption if it cannot be written."""
        save(self.model, path)

    def __repr__(self) -> str:
        macs = self.cost_after.macs / max(self.cost_before.macs, 1) - 1
        weights = self.cost_after.parameters / max(self.cost_before.parameters, 1) - 1
        loss = "not measured" if self.loss is None else f"{self.loss:.4g}"
        return f"<Pruned: {len(self.plan.groups)} groups, MACs {macs:+.1%}, parameters {weights:+.1%}, loss {loss}>"


class Pruner:
    """Prunes one model in many ways. The loss of each plan is measured only once.

    Args:
        ranked: Units that may be removed, and their order.
        evaluator: Measures losses relative to the original; None: nothing is measured.
        multiple: Channel counts stay multiples of this.
        refit: Whether the weights of the following layers are refitted to compensate for removed channels.
        threads: Number of threads, as for `Reference`.
        progress: Called with the name of each stage: `repair`, `measure`.
    """

    def __init__(
        self,
        ranked: RankedChannels,
        evaluator: Evaluator | None = None,
        *,
        multiple: int = 1,
        refit: bool = True,
        threads: int | None = None,
        progress: Callable[[str], None] = lambda what: None,
    ) -> None:
        self.ranked = ranked
        self.refit = refit
        self.cost_before = total_cost(layer_costs(ranked.model))
        self._evaluator = evaluator
        self._multiple = multiple
        self._threads = threads
        self._progress = progress
        self._losses: dict[str, float] = {}

    @property
    def measures(self) -> bool:
        """Whether losses are measured."""
        return self._evaluator is not None

    def plan(self, ratios: Mapping[str, float]) -> PrunePlan:
        """Return the units to remove at a ratio of each group, as far as the channel multiple allows."""
        return self.ranked.plan(ratios, self._multiple)

    def sliced(self, plan: PrunePlan) -> ir.Model:
        """Return the pruned model without repair; errors as for `SliceChannels`."""
        return SliceChannels(plan)(self.ranked.model.clone()).model

    def loss(self, plan: PrunePlan) -> tuple[float, Pruned | None]:
        """Return the loss of `plan`, and the pruned model if it had to be made; errors as for `prune`."""
        key = plan.model_dump_json()
        if key in self._losses:
            return self._losses[key], None
        pruned = self.prune(plan)
        if pruned.loss is None:
            raise ValueError("a pruner without an evaluator cannot measure losses")
        self._losses[key] = pruned.loss
        return pruned.loss, pruned

    def prune(self, plan: PrunePlan) -> Pruned:
        """Return the model without the units in `plan`, refitted and measured.

        Raises:
            BadOption: The refit has no data, or the plan does not fit the model.
        """
        model = self.sliced(plan)
        repaired = None
        if self.refit and plan.groups:
            if not self.ranked.calibration:
                raise BadOption("the repair needs data", remedy="Give --data, or --no-repair.")
            self._progress("repair")
            repaired = repair(self.ranked.model, model, plan, self.ranked.calibration, threads=self._threads)
        before = after = None
        if self._evaluator is not None:
            self._progress("measure")
            before, after = self._evaluator.baseline, self._evaluator.evaluate(model)
        cost = total_cost(layer_costs(model))
        return Pruned(model, plan, self.ranked.channels, self.cost_before, cost, repaired, before, after)
