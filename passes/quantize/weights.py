"""`quantize_weights`: rounds every layer's weights, and refits them to the outputs of the original network's layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, attribute, constant, label
from edgec.passes.layerwise.find_linear import linear_layer
from edgec.passes.layerwise.gram import Gram, refit
from edgec.passes.layerwise.linear_layer import LinearLayer
from edgec.passes.layerwise.refit import DAMPING, LayerwiseRefit, few_rows, shared, too_wide
from edgec.passes.quantize.codecs.base import Levels
from edgec.passes.quantize.placement import Placement
from edgec.passes.quantize.rounding import Grid, best_steps, round_compensated
from edgec.passes.quantize.store_codes import CodedWeights
from edgec.quantization import QuantParams

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]
GridMaker = Callable[[Array], Grid | Levels]
"""Returns the representable weights for a layer's weights [groups, rows, columns]."""

ROUNDING_DAMPING = 1e-2
"""Fraction of mean(diag H) that is added to it for the rounding, with many rows per weight."""
MOST_DAMPING = 1.0
"""Maximum of that fraction, however few rows there are."""


@dataclass
class WeightReport:
    """What was done to the weights.

    Attributes:
        params: Name of the constant -> parameters of its integers.
        codes: Name of the constant -> its indices into a codebook, for codecs other than integers.
        errors: Layer -> unexplained fraction of its original output's energy, with the old and with the new weights.
        nearest: (layer, reason why its weights were rounded to the nearest without a refit).
        zero_filters: Layer -> number of filters that are all zero.
    """

    params: dict[str, QuantParams] = field(default_factory=dict)
    codes: dict[str, CodedWeights] = field(default_factory=dict)
    errors: dict[str, tuple[float, float]] = field(default_factory=dict)
    nearest: list[tuple[str, str]] = field(default_factory=list)
    zero_filters: dict[str, int] = field(default_factory=dict)


def quantize_weights(
    original: ir.Model,
    quantized: ir.Model,
    placement: Placement,
    make_grid: GridMaker,
    samples: Sequence[Feeds] | None,
    *,
    threads: int | None = None,
) -> WeightReport:
    """Replace the weights of all layers of `quantized`, in place, by representable ones (still stored as floats).

    In graph order each layer is refitted to the original's outputs from its inputs in the network
    quantized so far, including its quantized activations (`LayerwiseRefit`). The resulting weights W are then rounded
    so that E|(W' - W) x|^2 is small, and the bias is set so that the means agree.

    Args:
        original: The float network, in canonical form.
        quantized: The same network with Q/DQ pairs on its activations.
        placement: Placement that names the layers.
        make_grid: Returns the representable weights of a layer.
        samples: Calibration inputs by name; None: round to the nearest without a refit.
        threads: Number of threads, as for `Reference`.
    """
    report = WeightReport()
    before = {label(node): node for node in original.graph}
    wanted = set(placement.layers)
    _own_weights(quantized, wanted)
    engine = None if samples is None else LayerwiseRefit(original, quantized, samples, threads=threads)
    for node in quantized.graph:
        name = label(node)
        weights = node.inputs[1] if name in wanted else None
        array = constant(weights)
        if weights is None or array is None or weights.name is None:
            continue
        _count_zero_filters(report, node, array)
        if weights.name in report.params or weights.name in report.codes:
            report.nearest.append((name, "shares its weights with another layer"))
            continue
        layer, source = linear_layer(node), linear_layer(before[name])
        reason = "there are no samples" if engine is None else _obstacle(layer)
        if reason is not None or engine is None or isinstance(layer, str) or isinstance(source, str):
            report.nearest.append((name, reason or "is not a linear layer"))
            rows = _rows(node, array)
            grid = make_grid(rows)
            _note(report, node, grid, _round_nearest(quantized, node, rows, grid))
            continue
        gram = engine.moments(source, layer, random=np.random.default_rng(0))
        grid = make_grid(layer.weights[..., :-1] if layer.has_bias else layer.weights)
        new, steps = _refitted(gram, layer, grid)
        report.errors[name] = (gram.unexplained(layer.weights), gram.unexplained(new))
        engine.replace(layer, new)
        _note(report, node, grid, steps.reshape(-1))
    return report


def _own_weights(model: ir.Model, wanted: Collection[str]) -> None:
    """Copy weights that others read too: tables, layers in float, layers with channels along another axis."""
    for value in list(model.graph.initializers.values()):
        readers: dict[int, list[ir.Node]] = {}  # by axis of the channels; -1: nodes that are not layers
        for use in value.uses():
            layer = use.idx == 1 and label(use.node) in wanted
            readers.setdefault(channel_axis(use.node) if layer else -1, []).append(use.node)
        array = constant(value)
        keeper = -1 if value.is_graph_output() else min(readers, default=-1)
        for axis in sorted(axis for axis in readers if axis != keeper):
            if array is not None:
                copy = add_constant(model.graph, value.name or "weights", array)
                for node in readers[axis]:
                    node.replace_input_with(1, copy)


def channel_axis(node: ir.Node) -> int:
    """Return the axis of the output channels in the weights of a layer."""
    if node.op_type == "Conv" or (node.op_type == "Gemm" and attribute(node, "transB", 0)):
        return 0
    return 1


def _rows(node: ir.Node, array: Array) -> Array:
    """Return weights as float64 [1, output channels, the rest]."""
    rows = np.moveaxis(array.astype(np.float64), channel_axis(node), 0)
    return rows.reshape(1, len(rows), -1)


def _obstacle(layer: LinearLayer | str) -> str | None:
    if isinstance(layer, str):
        return layer
    if layer.node.op_type == "ConvTranspose":
        return "several of its rows have one scale"
    return too_wide(layer) or ("shares its weights with another layer" if shared(layer.node.inputs[1]) else None)


def _refitted(gram: Gram, layer: LinearLayer, grid: Grid | Levels) -> tuple[Array, Array]:
    """Return new weights as in `LinearLayer.weights`, and their steps [groups, outputs, 1]."""
    h, old = gram.h, layer.weights
    few = few_rows(gram)
    ideal = refit(h, gram.g, old, min(DAMPING * few, MOST_DAMPING))
    if not layer.has_bias:
        rounded, steps = round_compensated(ideal, _damped(h, ROUNDING_DAMPING * few), grid)
        return _narrow(rounded, steps)
    # The last column is the bias, whose input is always 1: H without it, centred, is the covariance.
    mean = h[:, :-1, -1]
    covariance = h[:, :-1, :-1] - mean[:, :, None] * mean[:, None, :]
    rounded, steps = round_compensated(ideal[..., :-1], _damped(covariance, ROUNDING_DAMPING * few), grid)
    rounded, steps = _narrow(rounded, steps)
    shift = ((ideal[..., :-1] - rounded) * mean[:, None, :]).sum(axis=-1, keepdims=True)
    return np.concatenate([rounded, ideal[..., -1:] + shift], axis=-1), steps


def _damped(h: Array, share: float) -> Array:
    level = np.trace(h, axis1=1, axis2=2)[:, None, None] / h.shape[-1]
    # The inputs of this group never vary, so any well conditioned matrix will do.
    level = np.where(level > 0, level, 1.0)
    return np.asarray(h + min(share, MOST_DAMPING) * level * np.eye(h.shape[-1]))


def _narrow(rounded: Array, steps: Array) -> tuple[Array, Array]:
    """Return both for steps rounded to float32, as they will be stored."""
    narrow = steps.astype(np.float32).astype(np.float64)
    return rounded / steps * narrow, narrow


def _round_nearest(model: ir.Model, node: ir.Node, rows: Array, grid: Grid | Levels) -> Array:
    """Round the weights in place; return the step of each channel."""
    value, axis = node.inputs[1], channel_axis(node)
    if value is None or value.name is None or value.shape is None:
        raise ValueError(f"{label(node)}: weights without name or shape")
    steps = best_steps(rows, np.ones((1, rows.shape[2])), grid)
    rounded, steps = _narrow(grid.round(rows, steps), steps)
    shape = value.shape.numpy()
    moved = rounded.reshape(shape[axis], *shape[:axis], *shape[axis + 1 :])
    array = np.ascontiguousarray(np.moveaxis(moved, 0, axis).astype(np.float32))
    model.graph.initializers[value.name].const_value = ir.tensor(array, name=value.name)
    return steps.reshape(-1)


def _note(report: WeightReport, node: ir.Node, grid: Grid | Levels, steps: Array) -> None:
    """Record how the rounded weights of `node` have to be stored."""
    value, axis = node.inputs[1], channel_axis(node)
    array = constant(value)
    if value is None or value.name is None or array is None:
        raise ValueError(f"{label(node)}: weights without a name")
    if isinstance(grid, Grid):
        scale = tuple(float(step) for step in steps.astype(np.float32))
        report.params[value.name] = QuantParams(bits=grid.bits, signed=True, scale=scale, axis=axis)
        return
    spread = steps.reshape([-1 if each == axis else 1 for each in range(array.ndim)])
    codes = grid.codes(array.astype(np.float64), spread).astype(np.uint8)
    report.codes[value.name] = CodedWeights(grid, codes, steps.astype(np.float32), axis)


def _count_zero_filters(report: WeightReport, node: ir.Node, array: Array) -> None:
    others = tuple(axis for axis in range(array.ndim) if axis != channel_axis(node))
    zero = int((np.abs(array).max(axis=others, initial=0) == 0).sum())
    if zero:
        report.zero_filters[label(node)] = zero
