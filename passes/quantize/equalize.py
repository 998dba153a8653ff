"""`find_scales`: equalizes the ranges of a tensor's channels, so that one scale suits all; outputs do not change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.errors import BadOption
from edgec.model.graph import add_constant, attribute, constant, label, scalar, unique_name
from edgec.passes.quantize.equalization_sites import Site, channels_of, find_sites
from edgec.passes.quantize.ranges import Ranges
from edgec.reference.sweep import sweep

Array = np.ndarray[Any, Any]

MOST_GAIN = 256.0
"""Maximum factor between two channels that is equalized; channels of a smaller range are practically dead."""
WORTH_A_MUL = 1.0
"""Average gain of a channel in bits from which on a Mul is inserted if no layer can absorb the scale."""
FILLED = 127 / 128
"""Largest int8 as a fraction of the next power of two."""
CLIPPED = 0.999
"""Fraction of a clip's limit from which on a channel counts as clipped."""


def find_scales(
    model: ir.Model, samples: Iterable[Mapping[str, Array]], *, power_of_two: bool = False, threads: int | None = None
) -> dict[str, tuple[float, ...]]:
    """Return the scale s_i of each channel for each tensor that gains by it; `apply_scales` applies them.

    Channel i of a tensor is divided by s_i in the layer before it, and the layers that read it are multiplied by s_i
    (Nagel et al., "Data-free quantization through weight equalization", 2019). In front of depthwise convolutions
    s_i = r_i / max r, where r is the largest magnitude of each channel on the samples: all channels fill the range, and
    the weights have per-channel scales anyway. In front of others s_i = sqrt(r_i / w_i), where w_i is the largest
    weight that reads the channel, so that neither gets worse (Xiao et al., "SmoothQuant", 2022).

    A scale passes through ReLU. ReLU6 then clips at 6 s_i: so a channel that is clipped on some sample keeps its scale,
    and another one is enlarged no further than to 6. Beyond the values on the samples it may be clipped earlier, as
    by any calibrated range. A scale does not pass through HardSwish, Sigmoid and the like: after them a Mul by 1 / s_i
    is inserted if the gain is large enough; it is computed before the quantization and costs almost nothing.

    Args:
        model: Model in canonical form.
        samples: Input arrays by name.
        power_of_two: Whether the tensors will get power-of-two scales: then their ranges are made to fill these.
        threads: Number of threads, as for `Reference`.
    """
    sites = find_sites(model)
    if not sites:
        return {}
    ranges = {site.value.name or "": Ranges(axis=1) for site in sites}
    sweep(model, samples, {name: [each] for name, each in ranges.items()}, threads=threads)
    result = {}
    for site in sites:
        found = ranges[site.value.name or ""]
        scales = _scales(site, np.maximum(found.high, -found.low))
        if power_of_two and not any(node.op_type == "Clip" for node in site.passed):
            scales = scales * _to_power_of_two(np.maximum(found.high, -found.low) / scales)
        if site.absorber is None and np.mean(np.log2(scales.max() / scales)) < WORTH_A_MUL:
            continue
        result[site.value.name or ""] = tuple(float(scale) for scale in scales)
    return result


def apply_scales(model: ir.Model, scales: Mapping[str, Sequence[float]]) -> ir.Model:
    """Return a copy of `model` with channels scaled as `find_scales` returns; its outputs are the same.

    Raises:
        BadOption: A tensor cannot be scaled, or has another number of channels.
    """
    changed = model.clone()
    sites = {site.value.name: site for site in find_sites(changed)}
    for name, given in scales.items():
        site = sites.get(name)
        if site is None or len(given) != channels_of(site.value):
            problem = f"the calibration table scales {len(given)} channels of {name!r}, which this model does not have"
            raise BadOption(problem, remedy="Calibrate this model again.")
        _apply(changed.graph, site, np.asarray(given, np.float64))
    return changed


def _scales(site: Site, magnitudes: Array) -> Array:
    """Return s [channels], > 0; `magnitudes` are the largest of each channel."""
    r = np.maximum(magnitudes, magnitudes.max(initial=0) / MOST_GAIN)
    if not r.any():
        return np.ones(len(r))
    depthwise = all(attribute(reader, "group", 1) != 1 for reader in site.readers)
    w = np.ones(len(r)) if depthwise else _weights(site)
    if not w.any():
        return np.ones(len(r))
    scales = r if depthwise else np.sqrt(r / np.maximum(w, w.max() / MOST_GAIN))
    # The largest channel keeps its range: nothing grows, and clipping limits before it stay comparable.
    scales = scales / (scales * (r.max() / r))[r.argmax()]
    scales = np.clip(scales, 1 / MOST_GAIN, MOST_GAIN)
    for node in site.passed:
        if node.op_type == "Clip":
            limit = scalar(node.inputs[2]) or 1.0
            scales = np.where(magnitudes >= CLIPPED * limit, 1.0, np.maximum(scales, magnitudes / limit))
    return np.asarray(np.where(magnitudes > 0, scales, 1.0))


def _to_power_of_two(magnitudes: Array) -> float:
    """Return the divisor, 1 or less, with which the largest magnitude is just below a power of two."""
    largest = float(magnitudes.max(initial=0))
    return largest / (FILLED * 2.0 ** np.ceil(np.log2(largest / FILLED))) if largest > 0 else 1.0


def _weights(site: Site) -> Array:
    """Return the largest weight that reads each channel, each relative to its filter's largest."""
    found = np.zeros(channels_of(site.value))
    for reader in site.readers:
        array = np.abs(np.asarray(constant(reader.inputs[1]), np.float64))
        if attribute(reader, "group", 1) != 1:
            found = np.maximum(found, 1.0)
            continue
        by_tap = array.reshape(*array.shape[:2], -1).max(axis=2)
        largest = np.maximum(by_tap.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        found = np.maximum(found, (by_tap / largest).max(axis=0))
    return found


def _apply(graph: ir.Graph, site: Site, scales: Array) -> None:
    for reader in site.readers:
        multiplier = attribute(reader, "group", 1)
        array = np.asarray(constant(reader.inputs[1]), np.float64)
        axis = 0 if multiplier != 1 else 1
        factor = np.repeat(scales, len(array) // len(scales)) if axis == 0 else scales
        _replace(graph, reader, 1, array * _along(factor, axis, array.ndim))
    rank = len(site.value.shape or ())
    for node in site.passed:
        if node.op_type == "Add":
            _divide_operand(graph, node, scales, rank)
    absorber = site.absorber
    if absorber is None:
        _insert_mul(graph, site, scales)
        return
    if absorber.op_type == "Mul":
        _divide_operand(graph, absorber, scales, rank)
        return
    array = np.asarray(constant(absorber.inputs[1]), np.float64)
    axis = 0 if absorber.op_type == "Conv" else 1
    _replace(graph, absorber, 1, array / _along(scales, axis, array.ndim))
    bias = constant(absorber.inputs[2]) if len(absorber.inputs) > 2 else None
    if bias is not None:
        _replace(graph, absorber, 2, bias.astype(np.float64) / scales)


def _insert_mul(graph: ir.Graph, site: Site, scales: Array) -> None:
    value, producer = site.value, site.value.producer()
    if producer is None:
        raise ValueError(f"{value.name} is an input")
    stem = f"{value.name}_equalized"
    factors = _along((1 / scales).astype(np.float32), 1, len(value.shape or ()))
    node = ir.node("Mul", [value, add_constant(graph, f"{stem}_factors", factors)], name=unique_name(graph, stem))
    output = node.outputs[0]
    output.name, output.type, output.shape = node.name, value.type, value.shape
    graph.insert_after(producer, node)
    for reader in site.readers:
        reader.replace_input_with(0, output)


def _divide_operand(graph: ir.Graph, node: ir.Node, scales: Array, rank: int) -> None:
    index = 0 if constant(node.inputs[0]) is not None else 1
    array = np.asarray(constant(node.inputs[index]), np.float64)
    flat = np.broadcast_to(array.reshape(-1), (len(scales),)) if array.size in (1, len(scales)) else None
    if flat is None:
        raise ValueError(f"{label(node)}: its constant is not one per channel")
    _replace(graph, node, index, _along(flat / scales, 1, rank))


def _along(vector: Array, axis: int, rank: int) -> Array:
    """Return `vector` as an array of `rank` axes that varies only along `axis`."""
    return vector.reshape([-1 if each == axis else 1 for each in range(rank)])


def _replace(graph: ir.Graph, node: ir.Node, index: int, array: Array) -> None:
    value = node.inputs[index]
    stem = (value.name if value is not None else None) or "constant"
    new = add_constant(graph, f"{stem}_equalized", array.astype(np.float32))
    node.replace_input_with(index, new)
    if value is not None and value.is_initializer() and not value.uses() and value.name is not None:
        del graph.initializers[value.name]
