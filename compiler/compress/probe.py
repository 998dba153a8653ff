"""`Probe`: measures the network with one group pruned, running again only what lies behind that group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.metrics.base import Metric, MetricContext, MetricResult, make_metric
from edgec.data.samples import Sample, Samples
from edgec.model.graph import constant, label
from edgec.model.infer import infer_shapes
from edgec.model.load import load
from edgec.passes.channels.groups import Group, find_groups
from edgec.passes.layerwise.linear_layer import LinearLayer, linear_layer
from edgec.passes.prune.moments import LayerMoments
from edgec.passes.prune.variants import readers_constants, without
from edgec.reference.frontier import Frontier, segment
from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Measure:
    """What is measured on what; goes to other processes.

    Attributes:
        samples: The data.
        metric: Name of the metric.
        context: What it needs; its `reference` is filled in with the original model where it is None.
    """

    samples: Samples | Sequence[Sample]
    metric: str
    context: MetricContext = field(default_factory=MetricContext)

    def fresh(self, reference: Callable[[Sample], Outputs]) -> Metric:
        """Return the metric, ready for the first sample."""
        return make_metric(self.metric, replace(self.context, reference=reference))


@dataclass(frozen=True, eq=False)
class Point:
    """One group at one ratio: the units that go."""

    group: str
    ratio: float
    units: tuple[int, ...]


class Probe:
    """Measures points of one model, group after group in the order of the graph.

    The samples are taken through the original network once, piece by piece: for each group as far as the layers that
    read it. From there on the rest of the network is run for each ratio, with changed weights for these layers. That
    is exactly the pruned network, for the weights of the removed channels are zero in it.

    Args:
        model: ONNX file (bytes), as `find_groups` takes it; its groups are found again.
        measure: Data and metric.
        moments: H of layers that are to be refitted, by name; empty: weights become zero, no more.
        threads: As for `Reference`.
    """

    def __init__(
        self, model: bytes, measure: Measure, moments: Mapping[str, Array], *, threads: int | None = None
    ) -> None:
        self._model = load(model).model
        infer_shapes(self._model)
        self._measure = measure
        self._threads = threads
        self._groups = {group.name: group for group in find_groups(self._model).groups}
        self._nodes = {label(node): node for node in self._model.graph}
        self._moments = {}
        for name, h in moments.items():
            layer = linear_layer(self._nodes[name])
            if isinstance(layer, LinearLayer):
                self._moments[name] = LayerMoments(layer, h)
        reference = Reference(self._model, threads=threads)
        self._samples: list[Sample] = []
        self._originals: dict[str, Outputs] = {}
        for sample in measure.samples:
            self._originals[sample.name] = reference.run(sample.inputs)
            self._samples.append(replace(sample, inputs={}))  # what metrics look at

    def baseline(self) -> MetricResult:
        """Return the metric of the whole network."""
        metric = self._measure.fresh(lambda sample: self._originals[sample.name])
        for sample in self._samples:
            metric.update(self._originals[sample.name], sample)
        return metric.result()

    def run(self, points: Sequence[Point]) -> Iterator[tuple[Point, MetricResult]]:
        """Measure `points`, one group after the other; yield each result as it is there."""
        by_group: dict[str, list[Point]] = {}
        for point in points:
            by_group.setdefault(point.group, []).append(point)
        parts = {name: self._behind(self._groups[name]) for name in by_group}
        order = {node: place for place, node in enumerate(self._model.graph)}
        names = sorted(by_group, key=lambda name: order[parts[name][0]])
        frontier = Frontier(self._model, (s.inputs for s in self._measure.samples), threads=self._threads)
        for position, name in enumerate(names):
            later = {value for other in names[position:] for value in self._boundary(parts[other])}
            frontier.reserve(later)
            frontier.advance(self._boundary(parts[name]))
            yield from self._group(self._groups[name], parts[name], by_group[name], frontier)

    def _group(
        self,
        group: Group,
        nodes: list[ir.Node],
        points: Sequence[Point],
        frontier: Frontier,
    ) -> Iterator[tuple[Point, MetricResult]]:
        boundary = self._boundary(nodes)
        changing = readers_constants(self._model, group, self._moments)
        weights = [self._model.graph.initializers[name] for name in changing]
        made = {value for node in nodes for value in node.outputs}
        gives = [value for value in self._model.graph.outputs if value in made]
        rest = Reference(segment(self._model, nodes, [*boundary, *weights], gives), threads=self._threads)
        plain = {value.name or "": _array(value) for value in weights}
        for point in points:
            changed = {**plain, **without(self._model, group, point.units, self._moments)}
            metric = self._measure.fresh(lambda sample: self._originals[sample.name])
            for number, sample in enumerate(self._samples):
                feeds = {value.name or "": frontier.value(value, number) for value in boundary}
                metric.update({**self._originals[sample.name], **rest.run({**feeds, **changed})}, sample)
            yield point, metric.result()

    def _behind(self, group: Group) -> list[ir.Node]:
        """Return the layers that read the group and all that depends on them, in order."""
        readers = {self._nodes[member.node] for member in group.readers}
        found: list[ir.Node] = []
        reached: set[ir.Value] = set()
        for node in self._model.graph:
            if node in readers or any(value in reached for value in node.inputs if value is not None):
                found.append(node)
                reached.update(node.outputs)
        return found

    def _boundary(self, nodes: list[ir.Node]) -> list[ir.Value]:
        """Return the computed values that `nodes` read and do not make."""
        made = {value for node in nodes for value in node.outputs}
        reads = dict.fromkeys(value for node in nodes for value in node.inputs if value is not None)
        return [value for value in reads if value.name and value not in made and constant(value) is None]


def _array(value: ir.Value) -> Array:
    array = constant(value)
    if array is None:
        raise ValueError(f"{value.name} is not constant")
    return array
