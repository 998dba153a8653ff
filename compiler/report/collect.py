"""Collects what a report shows of a compilation: layers, sensitivity curves, histograms, sample pictures."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import onnx_ir as ir

from edgec.compress.compressed import Compressed
from edgec.compress.quantization import Quantization
from edgec.data.samples import Samples, spread
from edgec.model.cost import LayerCost, layer_costs, total_cost
from edgec.model.serialize import weight_bytes
from edgec.passes.quantize.equalize import apply_scales
from edgec.passes.quantize.histogram import HALF, Histogram
from edgec.preprocessing import Preprocessing
from edgec.profile import Estimate, Profile
from edgec.reference.sweep import sweep
from edgec.report.findings import Curve, Findings, Layer, RangeHistogram
from edgec.report.pictures import sample_pictures

HISTOGRAM_SAMPLES = 16
BINS = 64
BITS = {"fp32": 32, "fp16": 16, "int8": 8}


def plain_findings(model: ir.Model, precision: str, profile: Profile) -> Findings:
    """Return the findings for a network that was not compressed."""
    costs = layer_costs(model)
    rows = _layers(costs, costs, profile.estimate, precision, ())
    size, parameters = weight_bytes(model), total_cost(costs).parameters
    return Findings(weight_bytes=(size, size), parameters=(parameters, parameters), layers=tuple(rows))


def compressed_findings(done: Compressed, profile: Profile, how: Preprocessing) -> Findings:
    """Return the findings for a network that was compressed."""
    before, after = layer_costs(done.original), layer_costs(done.network)
    rows = _layers(before, after, profile.estimate, done.precision, done.in_float, done.quantized)
    return Findings(
        weight_bytes=(weight_bytes(done.original), weight_bytes(done.model)),
        parameters=(total_cost(before).parameters, total_cost(after).parameters),
        layers=tuple(rows),
        curves=tuple(_curves(done)),
        histograms=tuple(_histograms(done)),
        pictures=sample_pictures(done, how),
    )


def _layers(
    before: Sequence[LayerCost],
    after: Sequence[LayerCost],
    estimate: Estimate | None,
    precision: str,
    in_float: Collection[str],
    quantized: Quantization | None = None,
) -> list[Layer]:
    """Return the layers that take time, in the order of the compressed network."""
    old = {layer.name: (layer, time) for layer, time in zip(before, _seconds(before, estimate, "fp32"), strict=True)}
    times = _seconds(after, estimate, precision, in_float)
    errors = {} if quantized is None else quantized.quantized.weights.errors
    rows = []
    for layer, time in zip(after, times, strict=True):
        if layer.name not in old or not (layer.macs or time):
            continue
        was, old_time = old[layer.name]
        error = errors[layer.name][1] if layer.name in errors else None
        row = Layer(
            name=layer.name,
            op=layer.op,
            shape=layer.shape,
            macs=(was.macs, layer.macs),
            seconds=None if time is None or old_time is None else (old_time, time),
            kept=layer.shape[1] / was.shape[1] if len(layer.shape) > 1 and was.shape[1] > 0 else 1.0,
            bits=32 if layer.name in in_float else BITS[precision],
            sqnr=None if error is None else round(-10 * math.log10(max(error, 1e-12)), 1),
        )
        rows.append(row)
    return rows


def _seconds(
    layers: Sequence[LayerCost], estimate: Estimate | None, precision: str, in_float: Collection[str] = ()
) -> Sequence[float | None]:
    return [None] * len(layers) if estimate is None else estimate(layers, precision, in_float)


def _curves(done: Compressed) -> list[Curve]:
    if done.sensitivity is None:
        return []
    plan = {} if done.pruned is None else done.pruned.plan.groups
    return [
        Curve(
            name=name,
            units=group.units,
            removed=len(plan[name].removed) if name in plan else 0,
            ratios=group.ratios,
            losses=group.losses,
        )
        for name, group in done.sensitivity.groups.items()
    ]


def _histograms(done: Compressed) -> list[RangeHistogram]:
    table = None if done.quantized is None else done.quantized.table
    if table is None:
        return []
    network = apply_scales(done.network, table.equalized)
    seen = {name: Histogram() for name in table.tensors}
    few: Samples = spread(done.tasks.decide.samples, HISTOGRAM_SAMPLES)
    sweep(network, (sample.inputs for sample in few), {name: [each] for name, each in seen.items()})
    return [
        _histogram(name, seen[name], each.low, each.high, each.method)
        for name, each in table.tensors.items()
        if seen[name].width > 0
    ]


def _histogram(name: str, seen: Histogram, low: float, high: float, method: str) -> RangeHistogram:
    """Return at most `BINS` bins over all values that were seen."""
    first = max(math.floor(seen.low / seen.width) + HALF, 0)
    last = min(math.floor(seen.high / seen.width) + HALF, 2 * HALF - 1)
    step = max(-(-(last + 1 - first) // BINS), 1)
    counts = np.add.reduceat(seen.counts[first : last + 1], np.arange(0, last + 1 - first, step))
    return RangeHistogram(
        tensor=name,
        start=(first - HALF) * seen.width,
        width=step * seen.width,
        counts=tuple(int(count) for count in counts),
        low=low,
        high=high,
        method=method,
    )
