"""`emit_weights`: weights and biases stored as integers behind DequantizeLinear, as the runtime wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import ml_dtypes  # noqa: F401  (numpy knows the names of the small integers only after this)
import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, constant, unique_name
from edgec.passes.canonicalize.rule import label
from edgec.passes.quantize.insert_pairs import DEQUANTIZED, QUANTIZED, scales, zero_point
from edgec.passes.quantize.placement import Placement
from edgec.quantization import QuantParams

Array = np.ndarray[Any, Any]

Style = Literal["runtime", "tensorrt"]
"""runtime: integers in the file, biases as int32 (ONNX Runtime, OpenVINO, TVM). tensorrt: float weights in front of a
pair, float biases, as TensorRT 8 reads them."""

INT32_MOST = 2**31 - 1
INT4_OPSET = 21
INT16_OPSET = 21


def emit_weights(
    model: ir.Model,
    placement: Placement,
    activations: Mapping[str, QuantParams],
    weights: Mapping[str, QuantParams],
    style: Style,
) -> list[tuple[str, str]]:
    """Put the integers in the place of the weights, in place.

    Args:
        model: With pairs on its activations and representable weights, as `quantize_weights` leaves it.
        placement: Names the layers.
        activations: Parameters of the quantized values.
        weights: Parameters of the weights, by the constant's name.
        style: See `Style`.

    Returns:
        (layer, reason) of biases that stay in float: in units of input step times weight step they exceed int32.
    """
    refused = []
    layers, done = set(placement.layers), dict[str, ir.Value]()
    sources = {f"{name}{DEQUANTIZED}": params for name, params in activations.items()}
    for node in list(model.graph):
        value = node.inputs[1] if label(node) in layers else None
        if value is None or value.name not in weights:
            continue
        params = weights[value.name]
        if value.name not in done:
            done[value.name] = _stored(model, value, params, style)
        node.replace_input_with(1, done[value.name])
        if style == "runtime" and node.op_type in ("Conv", "Gemm", "ConvTranspose"):
            reason = _store_bias(model, node, sources.get(_source_name(node)), params)
            if reason is not None:
                refused.append((label(node), reason))
    _remove_unread(model)
    if any(params.bits < 8 for params in weights.values()) and style == "runtime":
        model.graph.opset_imports[""] = max(model.graph.opset_imports[""], INT4_OPSET)
    return refused


def _stored(model: ir.Model, value: ir.Value, params: QuantParams, style: Style) -> ir.Value:
    array, stem = constant(value), value.name or "weights"
    if array is None:
        raise ValueError(f"{stem} is not constant any more")
    if style == "tensorrt":
        return _behind(model, value, params, stem, quantize=True)
    storage = params if params.bits in (4, 8) else params.model_copy(update={"bits": 4 if params.bits < 4 else 8})
    integers = params.quantize(array).astype(np.dtype(storage.dtype))
    return _behind(model, add_constant(model.graph, stem + QUANTIZED, integers), storage, stem, quantize=False)


def _behind(model: ir.Model, value: ir.Value, params: QuantParams, stem: str, *, quantize: bool) -> ir.Value:
    """Return what DequantizeLinear gives of `value`, which is quantized first if it is float."""
    graph = model.graph
    operands = [scales(graph, stem, params), zero_point(graph, stem, params)]
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


def _store_bias(model: ir.Model, node: ir.Node, source: QuantParams | None, weights: QuantParams) -> str | None:
    """Store the bias as int32 in units of the accumulator; return why not, if not."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    bias = constant(value)
    if source is None or value is None or bias is None or bias.ndim != 1:
        return None
    channels = len(bias)
    unit = np.asarray(weights.scale, np.float64) * source.scale[0]
    unit = np.broadcast_to(unit, (channels,)) if len(unit) in (1, channels) else None
    if unit is None:
        return "its bias has other channels than its weights"
    steps = np.rint(bias.astype(np.float64) / unit)
    if np.abs(steps).max(initial=0) > INT32_MOST:
        at = int(np.abs(steps).argmax())
        return f"bias of channel {at} is {steps[at]:.2e} steps of the accumulator, more than int32 holds"
    narrow = tuple(float(np.float32(scale)) for scale in unit)
    if min(narrow) < np.finfo(np.float32).tiny:
        return "its step times that of the weights is below what float32 holds"
    params = QuantParams(bits=8, signed=True, scale=narrow, axis=0)
    stem = value.name or "bias"
    integers = add_constant(model.graph, stem + QUANTIZED, steps.astype(np.int32))
    name = unique_name(model.graph, stem + DEQUANTIZED)
    new = ir.node("DequantizeLinear", [integers, scales(model.graph, name, params)], {"axis": 0}, name=name)
    new.outputs[0].name, new.outputs[0].type, new.outputs[0].shape = name, value.type, value.shape
    model.graph.insert_before(node, new)
    node.replace_input_with(2, new.outputs[0])
    return None


def _remove_unread(model: ir.Model) -> None:
    for name in [name for name, value in model.graph.initializers.items() if not value.uses()]:
        if not model.graph.initializers[name].is_graph_output():
            del model.graph.initializers[name]
