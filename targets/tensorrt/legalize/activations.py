"""Rewrites activations newer than the board's parser with operators that it supports."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder
from edgec.model.graph import attribute, dtype_of
from edgec.targets.tensorrt.limits import Limits


def hard_swish(node: ir.Node, limits: Limits) -> str | None:
    """Write x * HardSigmoid(x, alpha=1/6, beta=1/2)."""
    if limits.takes("HardSwish"):
        return None
    make, x = Builder(node), _input(node)
    make.finish(make.op("Mul", [x, make.op("HardSigmoid", [x], {"alpha": 1 / 6, "beta": 0.5})]))
    return "HardSwish written as x * HardSigmoid(x)"


def mish(node: ir.Node, limits: Limits) -> str | None:
    """Write x * tanh(softplus(x))."""
    if limits.takes("Mish"):
        return None
    make, x = Builder(node), _input(node)
    make.finish(make.op("Mul", [x, make.op("Tanh", [make.op("Softplus", [x])])]))
    return "Mish written as x * Tanh(Softplus(x))"


def swish(node: ir.Node, limits: Limits) -> str | None:
    """Write x * sigmoid(alpha * x)."""
    if limits.takes("Swish"):
        return None
    make, x = Builder(node), _input(node)
    alpha = attribute(node, "alpha", 1.0)
    scaled = x if alpha == 1.0 else make.op("Mul", [x, make.constant(alpha, dtype_of(x))])
    make.finish(make.op("Mul", [x, make.op("Sigmoid", [scaled])]))
    return "Swish written as x * Sigmoid(alpha * x)"


def gelu(node: ir.Node, limits: Limits) -> str | None:
    """Write x/2 * (1 + erf(x / sqrt 2)).

    Where `approximate` is tanh: x/2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
    """
    dtype = dtype_of(node.inputs[0])
    if limits.takes("Gelu") or dtype is None:
        return None
    make, x = Builder(node), _input(node)
    half = make.op("Mul", [x, make.constant(0.5, dtype)])
    if attribute(node, "approximate", "none") == "tanh":
        cube = make.op("Mul", [make.op("Mul", [x, x]), x])
        inner = make.op("Add", [x, make.op("Mul", [cube, make.constant(0.044715, dtype)])])
        curve = make.op("Tanh", [make.op("Mul", [inner, make.constant(math.sqrt(2 / math.pi), dtype)])])
    else:
        curve = make.op("Erf", [make.op("Mul", [x, make.constant(math.sqrt(0.5), dtype)])])
    make.finish(make.op("Mul", [half, make.op("Add", [curve, make.constant(1, dtype)])]))
    return "Gelu written with Erf or Tanh"


def clip(node: ir.Node, limits: Limits) -> str | None:
    """Write Clip as Max and Min, of integers, which it does not take, and where 8.2 reads FP16 bounds as FP32 bits."""
    dtype = dtype_of(node.inputs[0])
    misread = limits.version == "8.2" and dtype == np.float16
    if not misread and (dtype not in (np.int32, np.int64) or "INT32" in limits.operators.get("Clip", ())):
        return None
    make, value = Builder(node), _input(node)
    for op_type, bound in zip(("Max", "Min"), node.inputs[1:], strict=False):
        if bound is not None:
            value = make.op(op_type, [value, bound])
    if value is node.inputs[0]:
        value = make.op("Identity", [value])
    make.finish(value)
    return f"Clip of {dtype} written with Max and Min"


def shrink(node: ir.Node, limits: Limits) -> str | None:
    """Write 0 where |x| <= lambd, otherwise x moved by bias towards 0."""
    dtype = dtype_of(node.inputs[0])
    if limits.takes("Shrink") or dtype not in (np.float32, np.float16):
        return None
    make, x = Builder(node), _input(node)
    bias, lambd = (
        make.constant(attribute(node, name, default), dtype) for name, default in (("bias", 0.0), ("lambd", 0.5))
    )
    low = make.op(
        "Where", [make.op("Less", [x, make.op("Neg", [lambd])]), make.op("Add", [x, bias]), make.constant(0, dtype)]
    )
    make.finish(make.op("Where", [make.op("Greater", [x, lambd]), make.op("Sub", [x, bias]), low]))
    return "Shrink written with Where"


def _input(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    if value is None:
        raise ValueError(f"node {node.name!r} ({node.op_type}) lacks its first input")
    return value
