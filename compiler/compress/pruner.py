"""`Apply`: from ratios or a plan to the pruned model, repaired and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from edgec.compress.probe import Measure
from edgec.data.metrics.base import MetricResult
from edgec.errors import BadOption
from edgec.model.cost import LayerCost, layer_costs, total_cost
from edgec.passes.channels.groups import Channels
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.prune.repair import RepairReport, repair
from edgec.passes.prune.study import Study
from edgec.pruning import PruneOptions
from edgec.reference.session import Reference
from edgec.reference.sweep import Feeds


@dataclass(frozen=True, eq=False)
class Pruned:
    """What came out. `before` and `after` are the metric of the original and of the pruned model, where measured."""

    model: ir.Model
    plan: PrunePlan
    channels: Channels = field(repr=False)
    cost_before: LayerCost
    cost_after: LayerCost
    repaired: RepairReport | None
    before: MetricResult | None
    after: MetricResult | None

    @property
    def loss(self) -> float | None:
        """Measured loss, in the metric's units."""
        return None if self.before is None or self.after is None else self.after.loss_against(self.before)


class Apply:
    """Ratios -> the pruned, repaired, measured model.

    Args:
        study: Groups and rankings.
        options: Widths that are kept, and whether to repair; goals are not looked at.
        measure: Data and metric; None: nothing is measured.
        threads: As for `Reference`.
        progress: Told what is being done.
    """

    def __init__(
        self,
        study: Study,
        options: PruneOptions,
        measure: Measure | None,
        threads: int | None,
        progress: Callable[[str], None],
    ) -> None:
        self.study = study
        self._options = options
        self._measure = measure
        self._threads = threads
        self._progress = progress
        self.cost_before = total_cost(layer_costs(study.model))
        self._originals: dict[str, Feeds] = {}
        self._before: MetricResult | None = None

    def sliced(self, ratios: Mapping[str, float]) -> ir.Model:
        """Return what is left, not repaired."""
        plan = self.study.plan(ratios, self._options.multiple)
        return SliceChannels(plan)(self.study.model.clone()).model

    def __call__(self, ratios: Mapping[str, float]) -> Pruned:
        """Prune by a ratio of each group, as far as the widths that are kept allow.

        Raises:
            BadOption: The repair has no data.
        """
        return self.with_plan(self.study.plan(ratios, self._options.multiple))

    def with_plan(self, plan: PrunePlan) -> Pruned:
        """Prune what `plan` says; errors as for ratios, and those of a plan that does not fit."""
        model = SliceChannels(plan)(self.study.model.clone()).model
        repaired = None
        if self._options.repair and plan.groups:
            if not self.study.calibration:
                raise BadOption("the repair needs data", remedy="Give --data, or --no-repair.")
            self._progress("repair")
            repaired = repair(self.study.model, model, plan, self.study.calibration, threads=self._threads)
        after = None
        if self._measure is not None:
            self._progress("measure")
            self._before = self._before or self._result(self.study.model)
            after = self._result(model)
        cost = total_cost(layer_costs(model))
        return Pruned(model, plan, self.study.channels, self.cost_before, cost, repaired, self._before, after)

    def _result(self, model: ir.Model) -> MetricResult:
        if self._measure is None:
            raise ValueError("nothing to measure")
        run = Reference(model, threads=self._threads).run
        metric = self._measure.fresh(lambda sample: self._originals[sample.name])
        for sample in self._measure.samples:
            outputs = run(sample.inputs)
            if model is self.study.model:
                self._originals[sample.name] = outputs
            metric.update(outputs, sample)
        return metric.result()
