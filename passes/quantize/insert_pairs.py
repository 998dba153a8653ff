"""`insert_pairs`: inserts QuantizeLinear and DequantizeLinear at the values that a placement names."""

from __future__ import annotations

import ml_dtypes  # noqa: F401  (numpy knows the names of the small integers only after this)
import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, label, unique_name
from edgec.passes.quantize.placement import Placement
from edgec.quantization import CalibrationTable, QuantParams

QUANTIZED, DEQUANTIZED = "_quantized", "_dequantized"
"""Suffixes of the names of the new values."""


def insert_pairs(model: ir.Model, placement: Placement, table: CalibrationTable) -> dict[str, QuantParams]:
    """Insert the Q/DQ pairs, in place, and return the parameters of each quantized value.

    Args:
        model: The model for which the placement was made, or a copy.
        placement: Quantized values, the nodes that read them, and groups with a common scale.
        table: Calibration table with the ranges of all of them.

    Raises:
        BadOption: The table lacks a value.
    """
    params = group_params(placement, table)
    values = {value.name: value for value in model.graph.inputs}
    values |= {value.name: value for node in model.graph for value in node.outputs}
    nodes = {label(node): node for node in model.graph}
    for name, uses in placement.uses.items():
        pair = _pair(model.graph, values[name], params[name])
        for node, index in uses:
            nodes[node].replace_input_with(index, pair)
    return params


def group_params(placement: Placement, table: CalibrationTable) -> dict[str, QuantParams]:
    """Return the parameters of each value; those of a group cover the union of their ranges.

    Raises:
        BadOption: The table lacks a value.
    """
    result: dict[str, QuantParams] = {}
    for group in placement.members():
        for name in group:
            table.params(name)  # raises an error if the name is missing
        ranges = [table.tensors[name] for name in group]
        shared = table.scheme.params(min(each.low for each in ranges), max(each.high for each in ranges))
        result |= dict.fromkeys(group, shared)
    return result


def zero_point(graph: ir.Graph, stem: str, params: QuantParams) -> ir.Value:
    """Add the zero points of a tensor, or of its channels, as a constant of the integer type."""
    shape = () if params.axis is None else (len(params.scale),)
    return add_constant(graph, f"{stem}_zero_point", np.full(shape, params.zero_point, np.dtype(params.dtype)))


def scales(graph: ir.Graph, stem: str, params: QuantParams) -> ir.Value:
    """Add the scale of a tensor, or those of its channels, as a float32 constant."""
    array = np.array(params.scale, np.float32)
    return add_constant(graph, f"{stem}_scale", array.reshape(()) if params.axis is None else array)


def _pair(graph: ir.Graph, value: ir.Value, params: QuantParams) -> ir.Value:
    stem = value.name or "value"
    operands = [scales(graph, stem, params), zero_point(graph, stem, params)]
    quantize = ir.node("QuantizeLinear", [value, *operands], name=unique_name(graph, stem + QUANTIZED))
    integers = quantize.outputs[0]
    integers.name, integers.shape = quantize.name, value.shape
    integers.type = ir.TensorType(ir.DataType[params.dtype.upper()])
    dequantize = ir.node("DequantizeLinear", [integers, *operands], name=unique_name(graph, stem + DEQUANTIZED))
    result = dequantize.outputs[0]
    result.name, result.shape, result.type = dequantize.name, value.shape, ir.TensorType(ir.DataType.FLOAT)
    producer = value.producer()
    if producer is None:
        first = next(iter(graph))
        graph.insert_before(first, [quantize, dequantize])
    else:
        graph.insert_after(producer, [quantize, dequantize])
    return result
