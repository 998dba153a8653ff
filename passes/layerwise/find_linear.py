"""`linear_layer`: represents a node as a linear map, or tells why it is not one."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, constant, single_consumer
from edgec.passes.layerwise.linear_layer import LinearLayer, window_of

Array = np.ndarray[Any, Any]


def linear_layer(node: ir.Node) -> LinearLayer | str:
    """Return `node` as a linear layer, or the reason why it is not one: one sentence without its name."""
    if node.domain or node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul", "Mul"):
        return f"{node.op_type} is not a linear layer of a known form"
    array = constant(node.inputs[1])
    if array is None:
        return "its weights are computed"
    where = _bias_of(node, array)
    bias = None if where is None else constant(where[0].inputs[where[1]])
    if where is not None and bias is None:
        return "its bias is computed"
    form = {"Conv": _conv, "ConvTranspose": _conv_transpose, "Mul": _scale}.get(node.op_type, _dense)
    return form(node, array, bias, where)


def _scale(node: ir.Node, array: Array, bias: Array | None, where: tuple[ir.Node, int] | None) -> LinearLayer | str:
    x = node.inputs[0]
    if x is None or x.shape is None or len(x.shape) != 4 or x.shape[0] != 1 or bias is None:
        return "it is not a scale and shift of a picture's channels"
    if array.size != x.shape[1] or bias.size != x.shape[1] or array.size != array.reshape(array.shape[-3:]).shape[0]:
        return "it is not a scale and shift of a picture's channels"
    matrix = array.reshape(-1, 1, 1)
    return LinearLayer(node, len(matrix), _with_bias(matrix, bias), where, 1)


def _dense(node: ir.Node, array: Array, bias: Array | None, where: tuple[ir.Node, int] | None) -> LinearLayer | str:
    if array.ndim != 2:
        return "its weights are not a matrix"
    if attribute(node, "transA", 0) or attribute(node, "alpha", 1.0) != 1 or attribute(node, "beta", 1.0) != 1:
        return "it scales or transposes"
    matrix = array if attribute(node, "transB", 0) and node.op_type == "Gemm" else array.T
    if bias is not None and (not bias.ndim or not bias.size == bias.shape[-1] == len(matrix)):
        return "its bias is not a vector of outputs"
    return LinearLayer(node, 1, _with_bias(matrix[None], bias), where, 1)


def _bias_of(node: ir.Node, weights: Array) -> tuple[ir.Node, int] | None:
    if node.op_type not in ("MatMul", "Mul"):
        return (node, 2) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    add = single_consumer(node.outputs[0])
    if add is None or add.op_type != "Add" or add.domain:
        return None
    index = 1 if add.inputs[0] is node.outputs[0] else 0
    array = constant(add.inputs[index])
    if node.op_type == "Mul":
        return (add, index) if array is not None and array.shape == weights.shape and array.ndim >= 3 else None
    vector = array is not None and array.ndim > 0 and array.size == array.shape[-1] == weights.shape[-1]
    return (add, index) if vector else None


def _conv(node: ir.Node, array: Array, bias: Array | None, where: tuple[ir.Node, int] | None) -> LinearLayer | str:
    x = node.inputs[0]
    if attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "its padding is not explicit"
    if x is None or x.shape is None or x.shape[0] != 1:
        return "the batch is not 1"
    groups = attribute(node, "group", 1)
    matrix = array.reshape(groups, array.shape[0] // groups, -1)
    return LinearLayer(node, groups, _with_bias(matrix, bias), where, int(np.prod(array.shape[2:])))


def _conv_transpose(
    node: ir.Node, array: Array, _bias: Array | None, _where: tuple[ir.Node, int] | None
) -> LinearLayer | str:
    x, kernel = node.inputs[0], array.shape[2:]
    if x is None or x.shape is None or x.shape[0] != 1 or len(kernel) != 2:
        return "the batch is not 1, or it does not have two axes"
    strides, dilations, pads = window_of(node, 2)
    padded = any((*pads, *attribute(node, "output_padding", (0, 0)))) or "output_shape" in node.attributes
    automatic = attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    if strides != kernel or dilations != (1, 1) or padded or automatic or attribute(node, "group", 1) != 1:
        return "its windows overlap, or are padded or grouped"
    matrix = np.moveaxis(array, 0, -1).reshape(1, -1, array.shape[0])
    return LinearLayer(node, 1, _with_bias(matrix, None), None, 1)


def _with_bias(matrix: Array, bias: Array | None) -> Array:
    wide = matrix.astype(np.float64)
    if bias is None:
        return wide
    return np.concatenate([wide, bias.astype(np.float64).reshape(*wide.shape[:2], 1)], axis=2)
