"""`refine_ranges`: adjusts ranges one by one while the task's metric improves, after any calibrator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.metrics.base import MetricResult
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.suffix import Suffix, from_node
from edgec.evaluation.task import Outputs
from edgec.passes.quantize.insert_pairs import QUANTIZED
from edgec.passes.quantize.placement import Placement
from edgec.quantization import CalibrationTable, QuantParams, TensorRange

Array = np.ndarray[Any, Any]

SCREENS = (2, 8)
"""Number of samples on which a range is tried before the metric is evaluated: most bad ones show on very few."""
PAYS = 0.01
"""Fraction of the outputs' error that a new range must gain on each of these samples."""
FINE_STEP = 2**0.25
"""Factor between two tried ranges if scales need not be powers of two."""
MOST_POSITIONS = 7
"""Maximum number of steps in one direction: for 8 bits, all fraction lengths can be reached from the middle."""
OPENS = 1e-3
"""Gain of the metric above which the search by the metric goes on in a direction, as published."""
LAST = {-1: 4, 1: 3}
"""Last position of the search by the metric in each direction: the eight fraction lengths of 8 bits."""


@dataclass(frozen=True)
class Refined:
    """The table with the improved ranges, and the work that was needed.

    Attributes:
        table: Calibration table with `refine` as the method of the changed ranges.
        before: Metric at the start.
        after: Metric at the end, on the same samples.
        evaluations: Number of evaluations of the metric, over all samples.
        work: All computation, in runs of the whole network over all samples.
    """

    table: CalibrationTable
    before: MetricResult
    after: MetricResult
    evaluations: int
    work: float


def refine_ranges(
    quantized: ir.Model,
    placement: Placement,
    table: CalibrationTable,
    evaluator: Evaluator,
    search: Search,
    *,
    threads: int | None = None,
) -> Refined:
    """Adjust the ranges of one tensor after the other, in graph order.

    One position is a factor of two of the range (its fraction length moves by one), or the fourth root of two where
    scales need not be powers of two. Only what lies behind the tensor is run again.

    Args:
        quantized: Network as `quantize` made it from `table`; the scales of its Q/DQ pairs are modified in place.
        placement: The placement with which it was made.
        table: The ranges of its activations.
        evaluator: Evaluates the metric on samples.
        search: How far the range of one tensor is moved, one of `SEARCHES`.
        threads: Number of threads, as for `Reference`.
    """
    pairs = {node.name: node for node in quantized.graph if node.op_type == "QuantizeLinear"}
    order = {node: place for place, node in enumerate(quantized.graph)}
    groups = [[pairs[name + QUANTIZED] for name in group] for group in placement.members()]
    groups.sort(key=lambda nodes: min(order[node] for node in nodes))
    names = {node: (name or "").removesuffix(QUANTIZED) for name, node in pairs.items()}
    outputs = list(evaluator.outputs(quantized))
    before = evaluator.measure(outputs)
    state = _State(before, tuple(evaluator.error(outputs[:count]) for count in SCREENS))
    suffix = Suffix(quantized, evaluator, threads=threads)
    for nodes in groups:
        members = [names[node] for node in nodes]
        ranges = [table.tensors[name] for name in members]
        constants = [value for node in nodes for value in node.inputs[1:3] if value is not None]
        suffix.cut(from_node(quantized, min(nodes, key=order.__getitem__)), constants)
        moves = _Moves(suffix, nodes, _Range.of(ranges), table)
        position, state = search(moves, evaluator, state)
        if position == 0:
            continue
        factor = moves.step**position
        table = table.with_ranges({name: _scaled(table.tensors[name], factor) for name in members})
        params = table.scheme.params(min(e.low for e in ranges) * factor, max(e.high for e in ranges) * factor)
        for name, array in _constants(nodes, params).items():
            quantized.graph.initializers[name].const_value = ir.tensor(array, name=name)
    return Refined(table.filled(), before, state.metric, suffix.evaluations, suffix.work)


@dataclass(frozen=True)
class _Range:
    low: float
    high: float

    @classmethod
    def of(cls, ranges: list[TensorRange]) -> _Range:
        return cls(min(each.low for each in ranges), max(each.high for each in ranges))


@dataclass(frozen=True)
class _State:
    """State of the search: the metric over all samples, and the error of the outputs over the first ones."""

    metric: MetricResult
    errors: tuple[float, ...]


class _Moves:
    """The network with the range of one group of tensors at other positions."""

    def __init__(self, suffix: Suffix, nodes: list[ir.Node], whole: _Range, table: CalibrationTable) -> None:
        self._suffix, self._nodes, self._whole, self._scheme = suffix, nodes, whole, table.scheme
        self.step = 2.0 if table.scheme.kind == "power-of-two" else FINE_STEP

    def outputs(self, position: int, start: int, stop: int) -> list[Outputs]:
        """Return the outputs for samples [start, stop)."""
        return self._suffix.outputs(self._constants(position), start, stop)

    def metric(self, position: int) -> MetricResult:
        """Return the metric over all samples."""
        return self._suffix.evaluate(self._constants(position))

    def _constants(self, position: int) -> Mapping[str, Array]:
        factor = self.step**position
        return _constants(self._nodes, self._scheme.params(self._whole.low * factor, self._whole.high * factor))


Search = Callable[[_Moves, Evaluator, _State], tuple[int, _State]]
"""Returns the best position, 0 if none is better, and the state there."""


def by_outputs(moves: _Moves, evaluator: Evaluator, state: _State) -> tuple[int, _State]:
    """Follow the error of the outputs against the float network's, as long as the metric does not get worse.

    Both neighbours are tried on very few samples, the better one on a few more. Where that does not lower the error,
    the tensor is left alone. Else the metric over all samples decides, and the search goes on in that direction.
    """

    def screened(position: int, outputs: list[Outputs]) -> tuple[float, ...] | None:
        """Return the errors over the first samples, or None if too little is gained; some outputs may be known."""
        errors: list[float] = []
        for count, before in zip(SCREENS, state.errors, strict=True):
            outputs = [*outputs, *moves.outputs(position, len(outputs), count)]
            errors.append(evaluator.error(outputs))
            if errors[-1] >= (1 - PAYS) * before:
                return None
        return tuple(errors)

    tried = {position: moves.outputs(position, 0, SCREENS[0]) for position in (-1, 1)}
    direction = min(tried, key=lambda position: evaluator.error(tried[position]))
    position, kept = direction, 0
    errors = screened(position, tried[direction])
    while errors is not None:
        metric = moves.metric(position)
        if metric.loss_against(state.metric) > 0:
            break
        kept, state = position, _State(metric, errors)
        if abs(position) == MOST_POSITIONS:
            break
        position += direction
        errors = screened(position, [])
    return kept, state


def by_metric(moves: _Moves, evaluator: Evaluator, state: _State) -> tuple[int, _State]:
    """Follow the metric alone, as published for adaptive KL: see docs/results/papers.md, S4.

    Both neighbours are tried over all samples. A gain of more than `OPENS` opens a direction; of two open ones the one
    with the larger gain is taken. Every position in that direction is tried up to its end, and the best one is kept.
    """
    tried = {position: moves.metric(position) for position in (-1, 1)}
    direction = min(tried, key=lambda position: tried[position].loss_against(state.metric))
    if not tried[direction].loss_against(state.metric) < -OPENS:
        return 0, state
    found = {direction: tried[direction]}
    found |= {direction * count: moves.metric(direction * count) for count in range(2, LAST[direction] + 1)}
    best = min(found, key=lambda position: found[position].loss_against(state.metric))
    return best, _State(found[best], state.errors)


SEARCHES: Mapping[str, Search] = {"outputs": by_outputs, "metric": by_metric}


def _constants(nodes: list[ir.Node], params: QuantParams) -> Mapping[str, Array]:
    """Return the scales and zero points of the Q/DQ pairs, by the names of their constants."""
    result: dict[str, Array] = {}
    for node in nodes:
        scale, zero = node.inputs[1], node.inputs[2]
        if scale is None or zero is None:
            raise ValueError(f"{node.name} has no scale or zero point")
        result[scale.name or ""] = np.array(params.scale[0], np.float32)
        result[zero.name or ""] = np.array(params.zero_point, np.dtype(params.dtype))
    return result


def _scaled(old: TensorRange, factor: float) -> TensorRange:
    return TensorRange(low=old.low * factor, high=old.high * factor, method=f"{old.method}+refine")
