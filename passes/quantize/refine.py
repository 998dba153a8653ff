"""`refine`: ranges moved one by one while the task's metric gets better, on top of any calibrator's result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.metrics.base import MetricResult
from edgec.passes.quantize.insert_pairs import QUANTIZED
from edgec.passes.quantize.judge import Judge, Progress
from edgec.passes.quantize.placement import Placement
from edgec.passes.quantize.rest import Rest
from edgec.quantization import CalibrationTable, QuantParams, TensorRange

Array = np.ndarray[Any, Any]

THRESHOLD = 1e-3
"""Change of the metric below which a tensor is not looked at further."""
FINE_STEP = 2**0.25
"""Factor between two positions of a range whose scale need not be a power of two."""
MOST_POSITIONS = 7
"""Moves in one direction: for 8 bits, all fraction lengths are reached from the middle."""


@dataclass(frozen=True)
class Refined:
    """The table with the better ranges, and what it took.

    Attributes:
        table: With `refine` as the method of the ranges that moved.
        before: Metric at the start.
        after: Metric at the end, on the same samples.
        evaluations: How often the metric was evaluated.
        work: The same, each weighted by the share of the network's MACs that it ran.
    """

    table: CalibrationTable
    before: MetricResult
    after: MetricResult
    evaluations: int
    work: float


def refine(
    quantized: ir.Model,
    placement: Placement,
    table: CalibrationTable,
    judge: Judge,
    *,
    threads: int | None = None,
    progress: Progress = lambda tensor: None,
) -> Refined:
    """Move ranges one tensor after the other, in the order of the graph.

    Each is halved and doubled (its fraction length moved by one; by a fourth of that where scales are no powers of
    two). If the metric changed by more than `THRESHOLD`, the search goes on in the better direction as long as it gets
    better, and the best is kept. Only what lies behind the tensor is run again.

    Args:
        quantized: With pairs on its activations, as `quantize` made it from `table`; its scales are altered in place.
        placement: That it was made with.
        table: Its ranges.
        judge: Metric and samples.
        threads: As for `Reference`.
        progress: Called with the name of each tensor.
    """
    pairs = {node.name: node for node in quantized.graph if node.op_type == "QuantizeLinear"}
    order = {node: place for place, node in enumerate(quantized.graph)}
    groups = [[pairs[name + QUANTIZED] for name in group] for group in placement.members()]
    groups.sort(key=lambda nodes: min(order[node] for node in nodes))
    names = {node: (name or "").removesuffix(QUANTIZED) for name, node in pairs.items()}
    before = best = judge.run(quantized)[0]
    rest = Rest(quantized, judge, threads=threads)
    for nodes in groups:
        members = [names[node] for node in nodes]
        progress(members[0])
        ranges = [table.tensors[name] for name in members]
        old = table.scheme.params(min(each.low for each in ranges), max(each.high for each in ranges))
        constants = [value for node in nodes for value in node.inputs[1:3] if value is not None]
        rest.cut(min(nodes, key=order.__getitem__), constants)
        factor, result = _search(rest, nodes, _Range.of(ranges), table, old, best)
        if factor == 1:
            continue
        best = result
        table = table.with_ranges({name: _scaled(table.tensors[name], factor) for name in members})
        params = table.scheme.params(min(e.low for e in ranges) * factor, max(e.high for e in ranges) * factor)
        for name, array in _constants(nodes, params).items():
            quantized.graph.initializers[name].const_value = ir.tensor(array, name=name)
    return Refined(table.filled(), before, best, rest.evaluations, rest.work)


@dataclass(frozen=True)
class _Range:
    low: float
    high: float

    @classmethod
    def of(cls, ranges: list[TensorRange]) -> _Range:
        return cls(min(each.low for each in ranges), max(each.high for each in ranges))


def _search(
    rest: Rest, nodes: list[ir.Node], whole: _Range, table: CalibrationTable, old: QuantParams, best: MetricResult
) -> tuple[float, MetricResult]:
    """Return the best factor of the range and the metric with it; 1 if nothing is better."""
    step = 2.0 if table.scheme.kind == "power-of-two" else FINE_STEP

    def judged(position: int) -> MetricResult:
        params = table.scheme.params(whole.low * step**position, whole.high * step**position)
        if params.signed != old.signed:
            return best
        return rest.judge(_constants(nodes, params))

    tried = {position: judged(position) for position in (-1, 1)}
    direction = min(tried, key=lambda position: tried[position].loss_against(best))
    if max(abs(result.loss_against(best)) for result in tried.values()) <= THRESHOLD:
        return 1.0, best
    kept, found = 0, best
    position, result = direction, tried[direction]
    while result.loss_against(found) < 0:
        kept, found = position, result
        if abs(position) == MOST_POSITIONS:
            break
        position += direction
        result = judged(position)
    return step**kept, found


def _constants(nodes: list[ir.Node], params: QuantParams) -> Mapping[str, Array]:
    """Return scales and zero points of the pairs by the names of their constants."""
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
