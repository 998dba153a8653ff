"""`Judge`: the task's metric on labelled samples or, without labels, the error against the original's outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.metrics.base import MetricContext, MetricResult, make_metric
from edgec.data.samples import Sample
from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]

UNLABELLED = "output-error"


class Judge:
    """Metric and data; what the original gives for each sample is computed once, if the metric needs it.

    Args:
        original: The float network.
        samples: The data; kept in memory.
        metric: Name of the metric; None: the relative error of the outputs.
        context: What the metric needs besides the original's outputs.
        threads: As for `Reference`.
    """

    def __init__(
        self,
        original: ir.Model,
        samples: Iterable[Sample],
        metric: str | None = None,
        context: MetricContext | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        self.samples = tuple(samples)
        self._metric = metric or UNLABELLED
        self._threads = threads
        run = Reference(original, threads=threads, optimize=True).run
        self._expected = [run(sample.inputs) for sample in self.samples]
        by_name = {sample.name: outputs for sample, outputs in zip(self.samples, self._expected, strict=True)}
        self._context = replace(context or MetricContext(), reference=lambda sample: by_name[sample.name])
        self.original = self.of(self._expected)

    def of(self, outputs: Sequence[Outputs]) -> MetricResult:
        """Return the metric of a network's outputs, one for each sample in their order."""
        metric = make_metric(self._metric, self._context)
        for sample, each in zip(self.samples, outputs, strict=True):
            metric.update(each, sample)
        return metric.result()

    def error(self, outputs: Sequence[Outputs]) -> float:
        """Return the relative error of the outputs of the first samples, as the metric output-error defines it."""
        metric = make_metric(UNLABELLED, self._context)
        for sample, each in zip(self.samples, outputs, strict=False):
            metric.update(each, sample)
        return metric.result().value

    def run(self, model: ir.Model) -> tuple[MetricResult, list[Outputs]]:
        """Run a network on all samples; return its metric and its outputs."""
        reference = Reference(model, threads=self._threads)
        outputs: list[Outputs] = [reference.run(sample.inputs) for sample in self.samples]
        return self.of(outputs), outputs

    def loss(self, result: MetricResult) -> float:
        """Return by how much `result` is worse than the original's."""
        return result.loss_against(self.original)


Progress = Callable[[str], None]
