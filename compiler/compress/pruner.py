"""`Pruner`: from ratios or a plan to the pruned model, repaired and measured."""

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
    """What came out.

    Attributes:
        model: The pruned model.
        plan: What was removed: which units of which group.
        channels: The groups there are, and the layers that stay whole with the reason.
        cost_before: Multiply-accumulates, parameters and bytes of the original.
        cost_after: The same of the pruned model.
        repaired: What the repair did; None where nothing was repaired.
        before: Metric of the original; None where nothing was measured.
        after: Metric of the pruned model; None where nothing was measured.
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
        """Write the pruned model as an ONNX file; BadOption where it cannot be written."""
        save(self.model, path)

    def __repr__(self) -> str:
        macs = self.cost_after.macs / max(self.cost_before.macs, 1) - 1
        weights = self.cost_after.parameters / max(self.cost_before.parameters, 1) - 1
        loss = "not measured" if self.loss is None else f"{self.loss:.4g}"
        return f"<Pruned: {len(self.plan.groups)} groups, MACs {macs:+.1%}, parameters {weights:+.1%}, loss {loss}>"


class Pruner:
    """Prunes one model in many ways. What a plan loses is measured once, however often it comes up.

    Args:
        ranked: What may go, and in which order.
        evaluator: Measures losses against that model; None: nothing is measured.
        multiple: Widths stay multiples of this.
        refit: Whether the layers behind are refitted to make up for what goes.
        threads: As for `Reference`.
        progress: Told what is being done: `repair`, `measure`.
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
        """Return what goes at a ratio of each group, as far as the widths that are kept allow."""
        return self.ranked.plan(ratios, self._multiple)

    def sliced(self, plan: PrunePlan) -> ir.Model:
        """Return what is left, not repaired; errors as for `SliceChannels`."""
        return SliceChannels(plan)(self.ranked.model.clone()).model

    def loss(self, plan: PrunePlan) -> tuple[float, Pruned | None]:
        """Return what `plan` loses, and the pruned model if it was made for that now; errors as for `prune`."""
        key = plan.model_dump_json()
        if key in self._losses:
            return self._losses[key], None
        pruned = self.prune(plan)
        if pruned.loss is None:
            raise ValueError("nothing is measured")
        self._losses[key] = pruned.loss
        return pruned.loss, pruned

    def prune(self, plan: PrunePlan) -> Pruned:
        """Return the model without what `plan` says, refitted and measured.

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
