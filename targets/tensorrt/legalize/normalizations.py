"""Rewrites layer, RMS and group normalization with operators of older parsers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder
from edgec.model.graph import attribute, dtype_of, opset, shape_of
from edgec.targets.tensorrt.limits import Limits


def layer_normalization(node: ir.Node, limits: Limits) -> str | None:
    """Write y = (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias, over the axes from `axis` on.

    Not rewritten if mean or inverse deviation are read too, which no TensorRT returns.
    """
    x, shape, dtype = node.inputs[0], shape_of(node.inputs[0]), dtype_of(node.inputs[0])
    if limits.takes("LayerNormalization") or x is None or shape is None or dtype is None:
        return None
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return None
    make = Builder(node)
    first = attribute(node, "axis", -1) % len(shape)
    axes = range(first - len(shape), 0)
    centred = make.op("Sub", [x, make.reduce("ReduceMean", x, axes)])
    variance = make.reduce("ReduceMean", make.op("Mul", [centred, centred]), axes)
    epsilon = make.constant(attribute(node, "epsilon", 1e-5), dtype)
    result = make.op("Div", [centred, make.op("Sqrt", [make.op("Add", [variance, epsilon])])])
    result = make.op("Mul", [result, node.inputs[1]])
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        result = make.op("Add", [result, node.inputs[2]])
    make.finish(result)
    return "LayerNormalization written with ReduceMean"


def rms_normalization(node: ir.Node, limits: Limits) -> str | None:
    """Write y = x / sqrt(mean(x^2) + epsilon) * scale, the mean over the axes from `axis` on."""
    x, shape, dtype = node.inputs[0], shape_of(node.inputs[0]), dtype_of(node.inputs[0])
    if limits.takes("RMSNormalization") or x is None or shape is None or dtype is None:
        return None
    make = Builder(node)
    axes = range(attribute(node, "axis", -1) % len(shape) - len(shape), 0)
    mean = make.reduce("ReduceMean", make.op("Mul", [x, x]), axes)
    epsilon = make.constant(attribute(node, "epsilon", 1e-5), dtype)
    normal = make.op("Div", [x, make.op("Sqrt", [make.op("Add", [mean, epsilon])])])
    make.finish(make.op("Mul", [normal, node.inputs[1]]))
    return "RMSNormalization written with ReduceMean"


def group_normalization(node: ir.Node, limits: Limits) -> str | None:
    """InstanceNormalization over (N, groups, rest), then scale and bias.

    These are per group in opset 18 to 20, per channel later.
    """
    shape, dtype = shape_of(node.inputs[0]), dtype_of(node.inputs[0])
    groups = attribute(node, "num_groups")
    if limits.takes("GroupNormalization") or shape is None or dtype is None or not groups or shape[1] % groups:
        return None
    make = Builder(node)
    x, scale, bias = node.inputs
    flat = make.op("Reshape", [x, make.constant([shape[0], groups, -1], np.int64)])
    ones, zeros = make.constant(np.ones(groups), dtype), make.constant(np.zeros(groups), dtype)
    epsilon = attribute(node, "epsilon", 1e-5)
    normal = make.op("InstanceNormalization", [flat, ones, zeros], {"epsilon": epsilon})
    whole = make.constant(shape, np.int64)
    if opset(make.graph) >= 21:
        column = make.constant([1, shape[1]] + [1] * (len(shape) - 2), np.int64)
        scale, bias = (make.op("Reshape", [value, column]) for value in (scale, bias))
        result = make.op("Mul", [make.op("Reshape", [normal, whole]), scale])
        make.finish(make.op("Add", [result, bias]))
    else:
        column = make.constant([1, groups, 1], np.int64)
        scale, bias = (make.op("Reshape", [value, column]) for value in (scale, bias))
        make.finish(make.op("Reshape", [make.op("Add", [make.op("Mul", [normal, scale]), bias]), whole]))
    return "GroupNormalization written with InstanceNormalization"
