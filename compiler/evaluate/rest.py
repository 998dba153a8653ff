"""`Rest`: a network cut in two, so that a change behind the cut is judged without running what lies before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.metrics.base import MetricResult
from edgec.evaluate.judge import Judge, Outputs
from edgec.model.cost import layer_costs
from edgec.model.graph import constant
from edgec.reference.frontier import Frontier, segment
from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]


class Rest:
    """Cuts a model in the order of its nodes and runs what is behind, with some constants given anew each time.

    The cut only moves forward. What lies before it runs once for each sample and is kept; so a change there, made in
    the model, must be made before the cut passes it.

    Args:
        model: Is read anew at each cut.
        judge: Samples and metric.
        threads: As for `Reference`.
    """

    def __init__(self, model: ir.Model, judge: Judge, *, threads: int | None = None) -> None:
        self._model, self._judge, self._threads = model, judge, threads
        self._frontier = Frontier(model, (sample.inputs for sample in judge.samples), threads=threads)
        self._nodes = list(model.graph)
        self._order = {node: place for place, node in enumerate(self._nodes)}
        costs = {cost.name: cost.macs for cost in layer_costs(model)}
        self._macs = np.array([costs.get(node.name or "", 0) for node in self._nodes], float)
        self._cut = 0
        self._reference: Reference | None = None
        self._live: list[ir.Value] = []
        self._done: list[ir.Value] = []
        self.evaluations = 0
        """How often the metric was asked for, over all samples."""
        self.work = 0.0
        """Runs of the whole network over all samples that would have had as many MACs."""

    def cut(self, node: ir.Node, changing: Sequence[ir.Value]) -> None:
        """Move the cut to just before `node`; the constants `changing` are given to `judge` from now on."""
        self._cut = self._order[node]
        before = set(self._nodes[: self._cut])
        inputs = {value for value in self._model.graph.inputs if not value.is_initializer()}
        reads = dict.fromkeys(value for each in self._nodes[self._cut :] for value in each.inputs if value is not None)
        self._live = [
            value
            for value in reads
            if value not in changing and constant(value) is None and (value in inputs or value.producer() in before)
        ]
        outputs = [value for value in self._model.graph.outputs if value.producer() not in before]
        self._done = [value for value in self._model.graph.outputs if value.producer() in before]
        self._frontier.advance([*self._live, *self._done])
        file = segment(self._model, self._nodes[self._cut :], [*self._live, *changing], outputs)
        self._reference = Reference(file, threads=self._threads)

    def reserve(self, values: Iterable[ir.Value]) -> None:
        """Keep these values when the cut passes them, until the next call."""
        self._frontier.reserve(values)

    def judge(self, constants: Mapping[str, Array]) -> MetricResult:
        """Return the metric over all samples with these values of the changing constants."""
        self.evaluations += 1
        return self._judge.of(self.outputs(constants))

    def outputs(self, constants: Mapping[str, Array], start: int = 0, stop: int | None = None) -> list[Outputs]:
        """Return the outputs for samples [start, stop) (None: to the last) with these values of the constants."""
        if self._reference is None:
            raise ValueError("cut first")
        outputs: list[Outputs] = []
        total = len(self._judge.samples)
        for number in range(total)[start:stop]:
            feeds = {value.name or "": self._frontier.value(value, number) for value in self._live}
            early = {value.name or "": self._frontier.value(value, number) for value in self._done}
            outputs.append({**early, **self._reference.run({**feeds, **constants})})
        behind = float(self._macs[self._cut :].sum() / max(self._macs.sum(), 1.0))
        self.work += behind * len(outputs) / max(total, 1)
        return outputs
