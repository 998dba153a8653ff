"""`Evaluator`: evaluates networks on a task relative to the original, which runs once over the samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

import onnx_ir as ir

from edgec.array_store import ArrayStore
from edgec.data.metrics.base import MetricResult, make_metric
from edgec.data.samples import Sample
from edgec.evaluation.task import UNLABELLED, Outputs, Task
from edgec.reference.session import Reference


class Evaluator:
    """Evaluates the metric of networks on the samples of a task.

    Args:
        original: The network relative to which losses are computed.
        task: Samples and metric. The samples are read again for each network that runs.
        threads: Number of threads, as for `Reference`.
    """

    def __init__(self, original: ir.Model, task: Task, *, threads: int | None = None) -> None:
        self.task = task
        self._threads = threads
        self._original = _Original(original, task, threads)

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.task.samples)

    @cached_property
    def baseline(self) -> MetricResult:
        """The metric of the original."""
        metric = self.task.make(self._original.outputs)
        for sample in self.task.samples:
            metric.update(self._original.run(sample), sample)
        return metric.result()

    def outputs(self, model: ir.Model) -> Iterator[Outputs]:
        """Run a network; yield its outputs for one sample after the other."""
        run = Reference(model, threads=self._threads).run
        return (run(sample.inputs) for sample in self.task.samples)

    def evaluate(self, model: ir.Model) -> MetricResult:
        """Return the metric of a network."""
        return self.measure(self.outputs(model))

    def measure(self, outputs: Iterable[Outputs]) -> MetricResult:
        """Return the metric for the outputs of a network, one mapping per sample in their order."""
        metric = self.task.make(self._original.outputs)
        for sample, each in zip(self._original.samples, outputs, strict=True):
            metric.update(each, sample)
        return metric.result()

    def error(self, outputs: Iterable[Outputs]) -> float:
        """Return the error of the outputs for the first samples, as the metric output-error defines it."""
        metric = make_metric(UNLABELLED, replace(self.task.context, reference=self._original.outputs))
        for sample, each in zip(self._original.samples, outputs, strict=False):
            metric.update(each, sample)
        return metric.result().value

    def loss(self, result: MetricResult) -> float:
        """Return how much worse `result` is than that of the original, in the metric's units."""
        return result.loss_against(self.baseline)


class _Original:
    """Runs the original; its outputs are stored only for the samples for which a metric needs them."""

    def __init__(self, model: ir.Model, task: Task, threads: int | None) -> None:
        self._model, self._task, self._threads = model, task, threads
        self._store = ArrayStore()
        self._kept: set[str] = set()
        self._last: tuple[str, Outputs] | None = None

    @cached_property
    def samples(self) -> list[Sample]:
        """The parts of each sample that metrics read: all but the inputs."""
        return [replace(sample, inputs={}) for sample in self._task.samples]

    def run(self, sample: Sample) -> Outputs:
        """Return the outputs for a sample with inputs, and keep them until the next run."""
        if sample.name in self._kept:
            return self.outputs(sample)
        if self._last is None or self._last[0] != sample.name:
            self._last = sample.name, self._reference.run(sample.inputs)
        return self._last[1]

    def outputs(self, sample: Sample) -> Outputs:
        """Return the outputs for a sample, with or without inputs, and store them for later calls."""
        name = sample.name
        if name not in self._kept:
            outputs = self.run(sample if sample.inputs else self._task.samples[self._numbers[name]])
            for output, array in outputs.items():
                self._store.put((output, name), array)
            self._kept.add(name)
        return {output: self._store.get((output, name)) for output in self._reference.output_names}

    @cached_property
    def _reference(self) -> Reference:
        return Reference(self._model, threads=self._threads)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {sample.name: number for number, sample in enumerate(self.samples)}
