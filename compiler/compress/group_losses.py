"""`measure_part`: loss of the network with one group pruned, for which only the layers after that group run again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.metrics.base import MetricResult
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.suffix import Suffix, boundary, dependents
from edgec.evaluation.task import Task
from edgec.jobs.journal import Record
from edgec.model.graph import constant, label
from edgec.model.infer import infer_shapes
from edgec.model.load import load
from edgec.passes.channels.groups import find_groups
from edgec.passes.layerwise.find_linear import linear_layer
from edgec.passes.layerwise.linear_layer import LinearLayer
from edgec.passes.layerwise.moments import LayerMoments
from edgec.passes.prune.compensated_weights import changing_weights, compensated_weights

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Point:
    """One group at one ratio: the units that are removed."""

    group: str
    ratio: float
    units: tuple[int, ...]

    def record(self, result: MetricResult) -> Record:
        """Return the result at this point in the form of a journal entry."""
        return {"group": self.group, "ratio": self.ratio, "value": result.value, "higher": result.higher_is_better}


@dataclass(frozen=True, eq=False)
class Part:
    """A self-contained part of the work, which is sent to another process or machine.

    Attributes:
        model: ONNX file, as `find_groups` takes it; the groups are found again in it.
        task: Samples and metric.
        moments: H of the layers that compensate for removed units, by name; if empty, weights are only set to zero.
        points: The points to measure.
        threads: Number of threads, as for `Reference`.
    """

    model: bytes
    task: Task
    moments: Mapping[str, Array]
    points: tuple[Point, ...]
    threads: int | None


def measure_part(part: Part, *, evaluator: Evaluator | None = None) -> Iterator[Record]:
    """Measure the points of `part`, group by group in graph order; yield each result as soon as it is known.

    The samples pass through the original network once, step by step: for each group up to the layers that read it.
    From there the rest of the network runs once per ratio, with changed weights in these layers. The result is
    exactly that of the pruned network, in which the weights of the removed channels are zero.

    Args:
        part: The work.
        evaluator: Evaluator of the same network and task, if this process has one.
    """
    model = load(part.model).model
    infer_shapes(model)
    groups = {group.name: group for group in find_groups(model).groups}
    nodes = {label(node): node for node in model.graph}
    layers = {name: linear_layer(nodes[name]) for name in part.moments}
    moments = {
        name: LayerMoments(layer, part.moments[name])
        for name, layer in layers.items()
        if isinstance(layer, LinearLayer)
    }
    points: dict[str, list[Point]] = defaultdict(list)
    for point in part.points:
        points[point.group].append(point)
    behind = {name: dependents(model, {nodes[reader.node] for reader in groups[name].readers}) for name in points}
    order = {node: place for place, node in enumerate(model.graph)}
    names = sorted(points, key=lambda name: order[behind[name][0]])
    suffix = Suffix(model, evaluator or Evaluator(model, part.task, threads=part.threads), threads=part.threads)
    for position, name in enumerate(names):
        suffix.reserve({value for later in names[position:] for value in boundary(behind[later])})
        weights = [model.graph.initializers[each] for each in changing_weights(model, groups[name], moments)]
        suffix.cut(behind[name], weights)
        unchanged = {value.name or "": _array(value) for value in weights}
        for point in points[name]:
            changed = compensated_weights(model, groups[name], point.units, moments)
            yield point.record(suffix.evaluate({**unchanged, **changed}))


def _array(value: ir.Value) -> Array:
    array = constant(value)
    if array is None:
        raise ValueError(f"{value.name} is not constant")
    return array
