"""`emit_weights`: stores weights and biases as integers before DequantizeLinear, in the form the runtime needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes  # noqa: F401  (numpy knows the names of the small integers only after this)
import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, constant, label, unique_name
from edgec.passes.quantize.codecs.base import Levels
from edgec.passes.quantize.insert_pairs import DEQUANTIZED, QUANTIZED, scales, zero_point
from edgec.passes.quantize.placement import Placement
from edgec.passes.quantize.store_codes import CodedWeights, store_codes
from edgec.passes.quantize.weights import WeightReport
from edgec.quantization import QuantParams
from edgec.quantizing import Style

Array = np.ndarray[Any, Any]

BIAS_MOST = 2**30
"""Largest bias in steps of the accumulator: the other half of the int32 range is left to the products."""
INT4_OPSET = 21
IN_FOUR_BITS = (3, 4)
"""Widths that are stored in 4 bits; larger ones are stored in 8."""


def emit_weights(
    model: ir.Model,
    placement: Placement,
    activations: Mapping[str, QuantParams],
    weights: WeightReport,
    style: Style,
) -> list[tuple[str, str]]:
    """Replace the weights by integers, in place.

    Args:
        model: Model with Q/DQ pairs on its activations and representable weights, as `quantize_weights` leaves it.
        placement: Placement that names the layers.
        activations: Parameters of the quantized values.
        weights: How each constant has to be stored.
        style: Form of the file, see `Style`.

    Returns:
        (layer, remark) of layers with a bias that would not fit int32, in steps of input times weight: the step of such
            a channel's weights is enlarged until it does. Their weights are tiny, often all zero.
    """
    remarks = []
    layers, done = set(placement.layers), dict[str, ir.Value]()
    sources = {f"{name}{DEQUANTIZED}": params for name, params in activations.items()}
    for node in list(model.graph):
        value = node.inputs[1] if label(node) in layers else None
        if value is None or value.name is None:
            continue
        if value.name in weights.codes:
            if value.name not in done:
                done[value.name] = store_codes(model, value.name, weights.codes[value.name])
            node.replace_input_with(1, done[value.name])
            continue
        if value.name not in weights.params:
            continue
        params, source = weights.params[value.name], sources.get(_source_name(node))
        if value.name in done:
            node.replace_input_with(1, done[value.name])
            continue  # shared weights: one scale cannot fit several biases, so these stay in float
        if style == "runtime" and source is not None:
            params, enlarged = _fit_bias(node, source, params)
            if enlarged:
                remarks.append((label(node), f"steps of {enlarged} channels enlarged: their bias would exceed int32"))
        done[value.name] = _stored(model, value, params, style)
        node.replace_input_with(1, done[value.name])
        if style == "runtime" and source is not None and len(value.uses()) == 0:
            _store_bias(model, node, source, params)
    _remove_unread(model)
    if any(params.bits in IN_FOUR_BITS for params in weights.params.values()) and style == "runtime":
        model.graph.opset_imports[""] = max(model.graph.opset_imports[""], INT4_OPSET)
    return remarks


def _stored(model: ir.Model, value: ir.Value, params: QuantParams, style: Style) -> ir.Value:
    array, stem = constant(value), value.name or "weights"
    if array is None:
        raise ValueError(f"{stem} is not constant any more")
    if style == "tensorrt":
        return _behind(model, value, params, stem, quantize=True)
    if params.bits == 2:  # runtimes do not support 2-bit integers of ONNX
        levels = Levels(np.arange(params.low, params.high + 1.0), params.bits)
        codes = (params.quantize(array) - params.low).astype(np.uint8)
        return store_codes(
            model, stem, CodedWeights(levels, codes, np.asarray(params.scale, np.float32), params.axis or 0)
        )
    storage = params.model_copy(update={"bits": 4 if params.bits in IN_FOUR_BITS else 8})
    integers = params.quantize(array).astype(np.dtype(storage.dtype))
    return _behind(model, add_constant(model.graph, stem + QUANTIZED, integers), storage, stem, quantize=False)


def _behind(model: ir.Model, value: ir.Value, params: QuantParams, stem: str, *, quantize: bool) -> ir.Value:
    """Return the output of a new DequantizeLinear of `value`, which is quantized first if it is float."""
    graph = model.graph
    operands = [scales(graph, stem, params)]
    if quantize:  # without a zero point QuantizeLinear would return uint8; DequantizeLinear needs none
        operands.append(zero_point(graph, stem, params))
    attributes = {} if params.axis is None else {"axis": params.axis}
    nodes = []
    if quantize:
        nodes.append(ir.node("QuantizeLinear", [value, *operands], attributes, name=unique_name(graph, stem + "_q")))
        value = nodes[0].outputs[0]
        value.name, value.type = nodes[0].name, ir.TensorType(ir.DataType[params.dtype.upper()])
    name = unique_name(graph, stem + DEQUANTIZED)
    nodes.append(ir.node("DequantizeLinear", [value, *operands], attributes, name=name))
    result = nodes[-1].outputs[0]
    result.name, result.type = name, ir.TensorType(ir.DataType.FLOAT)
    graph.insert_before(next(iter(graph)), nodes)
    return result


def _source_name(node: ir.Node) -> str:
    return (node.inputs[0].name or "") if node.inputs[0] is not None else ""


def _bias(node: ir.Node, weights: QuantParams) -> Array | None:
    """Return the bias of a layer as float64 [channels]; None if it has none or one of another form."""
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    fits = bias is not None and bias.ndim == 1 and len(bias) == len(weights.scale)
    return bias.astype(np.float64) if fits and bias is not None else None


def _fit_bias(node: ir.Node, source: QuantParams, weights: QuantParams) -> tuple[QuantParams, int]:
    """Enlarge the steps of channels whose bias would overflow; return the parameters and their number."""
    bias = _bias(node, weights)
    if bias is None:
        return weights, 0
    old = np.asarray(weights.scale)
    least = np.maximum(np.abs(bias) / BIAS_MOST, np.finfo(np.float32).tiny) / source.scale[0]
    if weights.bits <= max(IN_FOUR_BITS):
        return weights, 0  # stored in few bits, executed in float
    scale = tuple(float(np.float32(step)) for step in np.maximum(old, least))
    return weights.model_copy(update={"scale": scale}), int((old < least).sum())


def _store_bias(model: ir.Model, node: ir.Node, source: QuantParams, weights: QuantParams) -> None:
    """Store the bias as int32, in steps of the accumulator."""
    bias = _bias(node, weights)
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None or value is None or weights.bits <= max(IN_FOUR_BITS):
        return
    unit = np.asarray(weights.scale) * source.scale[0]
    params = QuantParams(bits=8, signed=True, scale=tuple(float(np.float32(step)) for step in unit), axis=0)
    stem = value.name or "bias"
    integers = add_constant(model.graph, stem + QUANTIZED, np.rint(bias / unit).astype(np.int32))
    name = unique_name(model.graph, stem + DEQUANTIZED)
    new = ir.node("DequantizeLinear", [integers, scales(model.graph, name, params)], {"axis": 0}, name=name)
    new.outputs[0].name, new.outputs[0].type, new.outputs[0].shape = name, value.type, value.shape
    model.graph.insert_before(node, new)
    node.replace_input_with(2, new.outputs[0])


def _remove_unread(model: ir.Model) -> None:
    for name in [name for name, value in model.graph.initializers.items() if not value.uses()]:
        if not model.graph.initializers[name].is_graph_output():
            del model.graph.initializers[name]
