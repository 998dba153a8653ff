"""`Suffix`: runs and measures only the nodes after a change again; the nodes before it run once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.metrics.base import MetricResult
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.task import Outputs
from edgec.model.cost import layer_costs
from edgec.model.graph import constant, label
from edgec.reference.frontier import Frontier, segment
from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]


class Suffix:
    """Cuts a network in two: nodes that run again, and the nodes before them, which run once per sample.

    `cut` sets the position; a later cut must not include nodes that an earlier one left behind. A permanent change is
    made in the model before a cut moves past it.

    Args:
        model: It is read again at each cut.
        evaluator: Samples and metric.
        threads: Number of threads, as for `Reference`.

    Attributes:
        evaluations: Number of evaluations of the metric, over all samples.
        work: Computation after the cuts, in runs of the whole network over all samples, by MACs.
    """

    def __init__(self, model: ir.Model, evaluator: Evaluator, *, threads: int | None = None) -> None:
        self._model, self._evaluator, self._threads = model, evaluator, threads
        self._frontier = Frontier(model, (sample.inputs for sample in evaluator.task.samples), threads=threads)
        self._macs = {cost.name: cost.macs for cost in layer_costs(model)}
        self._share = 0.0
        self._reference: Reference | None = None
        self._reads: list[ir.Value] = []
        self._made_before: list[ir.Value] = []
        self.evaluations = 0
        self.work = 0.0

    def cut(self, nodes: Sequence[ir.Node], changing: Collection[ir.Value] = ()) -> None:
        """Run exactly `nodes` again from now on.

        Args:
            nodes: Nodes in graph order, with all that depend on any of them: `from_node` or `dependents`.
            changing: Constants for which `outputs` gets new values each time.
        """
        made = {value for node in nodes for value in node.outputs}
        self._reads = [value for value in boundary(nodes) if value not in changing]
        self._made_before = [value for value in self._model.graph.outputs if value not in made]
        self._frontier.advance([*self._reads, *self._made_before])
        gives = [value for value in self._model.graph.outputs if value in made]
        file = segment(self._model, nodes, [*self._reads, *changing], gives)
        self._reference = Reference(file, threads=self._threads)
        behind = sum(self._macs.get(label(node), 0) for node in nodes)
        self._share = behind / max(sum(self._macs.values()), 1)

    def reserve(self, values: Iterable[ir.Value]) -> None:
        """Keep these values when a cut moves past them, until the next call."""
        self._frontier.reserve(values)

    def evaluate(self, constants: Mapping[str, Array] | None = None) -> MetricResult:
        """Return the metric over all samples with these values of the changing constants."""
        self.evaluations += 1
        return self._evaluator.measure(self._outputs(constants or {}, range(self._evaluator.count)))

    def outputs(self, constants: Mapping[str, Array], start: int, stop: int) -> list[Outputs]:
        """Return the outputs for samples [start, stop) with these values of the changing constants."""
        return list(self._outputs(constants, range(self._evaluator.count)[start:stop]))

    def _outputs(self, constants: Mapping[str, Array], numbers: Iterable[int]) -> Iterator[Outputs]:
        if self._reference is None:
            raise ValueError("`cut` must be called first")
        names = [value.name or "" for value in self._model.graph.outputs]  # decoders identify outputs by position
        for number in numbers:
            feeds = {value.name or "": self._frontier.value(value, number) for value in self._reads}
            found = {value.name or "": self._frontier.value(value, number) for value in self._made_before}
            found.update(self._reference.run({**feeds, **constants}))
            self.work += self._share / self._evaluator.count
            yield {name: found[name] for name in names}


def from_node(model: ir.Model, node: ir.Node) -> list[ir.Node]:
    """Return `node` and all nodes after it, in graph order."""
    nodes = list(model.graph)
    return nodes[nodes.index(node) :]


def dependents(model: ir.Model, first: Collection[ir.Node]) -> list[ir.Node]:
    """Return the nodes `first` and all nodes that depend on any of them, in graph order."""
    found: list[ir.Node] = []
    reached: set[ir.Value] = set()
    for node in model.graph:
        if node in first or any(value in reached for value in node.inputs if value is not None):
            found.append(node)
            reached.update(node.outputs)
    return found


def boundary(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """Return the computed values that `nodes` read but do not compute."""
    made = {value for node in nodes for value in node.outputs}
    reads = dict.fromkeys(value for node in nodes for value in node.inputs if value is not None)
    return [value for value in reads if value.name and value not in made and constant(value) is None]
