"""Measures how rounding alone changes a network's results: Monte Carlo arithmetic, in ONNX Runtime.

Another program adds terms in another order, and its results differ by what the network makes of these roundings:
almost nothing, a swapped row if two scores are nearly equal, or one step of an integer. So the network runs again with
every sum perturbed by about as much as the order of its terms changes it (Parker, "Monte Carlo arithmetic", 1997); the
differences of the values are their noise.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of, insert_behind
from edgec.model.graph import FreshNames

ROUNDED = frozenset(
    {
        *("Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN"),
        *("BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "LRN"),
        *("RMSNormalization", "LpNormalization", "MeanVarianceNormalization"),
        *("AveragePool", "GlobalAveragePool", "LpPool", "GlobalLpPool", "GridSample", "RoiAlign"),
        *("ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum"),
        *("Softmax", "LogSoftmax", "Exp", "Log", "Sigmoid", "Tanh", "Erf", "Gelu", "HardSwish", "Swish", "Mish"),
        *("Softplus", "Elu", "Selu", "Celu", "Pow", "Sqrt", "Sin", "Cos", "Attention"),
    }
)
"""Operators whose results depend on the order of a sum, or on the approximation of a function."""
REGROUPED = frozenset({"Add", "Div", "Mean", "Mul", "Sub", "Sum"})
"""Operators that a rewrite may regroup: (x + a) * b as x * b + a * b."""
ROUNDING = 2e-7
"""Relative change of a sum in single precision by another order of its terms: a few rounding steps."""
HALF_STEPS = {ir.DataType.FLOAT16: 2.0**-11, ir.DataType.BFLOAT16: 2.0**-8}
"""Relative rounding error of values stored in half precision; the runtime chooses which values are."""
TIES = 2
"""Factor on the perturbation of a QuantizeLinear's quotient, because the rounding of ties is arbitrary."""
PICTURE_RANK = 3
"""Minimum number of axes for which the second one holds channels; below, the last one holds features."""


def perturbed(model: ir.Model, amplitude: float, seed: int, operators: Collection[str] = ROUNDED) -> ir.Model:
    """Return a copy of `model` in which every result of `operators` is off by `amplitude` times its root mean square.

    Values that are computed and stored in half precision are off by at least their own rounding, see `HALF_STEPS`. The
    inputs of QuantizeLinear are off too, because a runtime may divide by the scale or multiply by its reciprocal.
    Errors are normally distributed, one per channel and one per position, and drawn anew in every inference; ONNX
    Runtime draws the same ones in the first, second ... inference of each session.

    Args:
        model: Model, which is not modified; shapes may be unknown.
        amplitude: Standard deviation of the error, e.g. `ROUNDING`.
        seed: Any non-negative integer.
        operators: Perturbed operators of the standard domain.
    """
    noisy = model.clone()
    fresh, rng = FreshNames(noisy.graph), np.random.default_rng(seed)
    in_half = {*operators, *REGROUPED, "Cast"}
    for node in list(noisy.graph):
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type == "QuantizeLinear":
            _move_quotient(node, amplitude, rng, fresh)
        for value in node.outputs:
            if not (value.uses() or value.is_graph_output()):
                continue
            if value.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE) and node.op_type in operators:
                _move(value, amplitude, rng, fresh)
            elif value.dtype in HALF_STEPS and node.op_type in in_half:
                _move(value, max(amplitude, HALF_STEPS[value.dtype]), rng, fresh)
    return noisy


def _move(value: ir.Value, amplitude: float, rng: np.random.Generator, fresh: FreshNames) -> None:
    insert_behind(value, _offset(value, amplitude, rng, fresh), fresh(f"{value.name}_exact"))


def _move_quotient(node: ir.Node, amplitude: float, rng: np.random.Generator, fresh: FreshNames) -> None:
    value = node.inputs[0]
    if value is None or value.const_value is not None or value.dtype not in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        return
    nodes = _offset(value, TIES * amplitude, rng, fresh)
    graph_of(node).insert_before(node, nodes)
    node.replace_input_with(0, nodes[-1].outputs[0])


def _offset(value: ir.Value, amplitude: float, rng: np.random.Generator, fresh: FreshNames) -> list[ir.Node]:
    """Return nodes that compute value + |value| / sqrt(n) * (error of its channel + error of its position).

    Half-precision values are perturbed in single precision.
    """
    nodes: list[ir.Node] = []
    halves = value.dtype in HALF_STEPS
    dtype = ir.DataType.FLOAT if halves or value.dtype is None else value.dtype

    def apply(op: str, inputs: list[ir.Value], **attributes: Any) -> ir.Value:
        node = ir.node(op, inputs, attributes, name=fresh(f"{value.name}_{op}"))
        node.outputs[0].name = fresh(f"{node.name}_out")
        nodes.append(node)
        return node.outputs[0]

    channels, places, size = _forms(value)
    shares = [
        apply(
            "RandomNormal",
            [],
            shape=ir.AttrInt64s("shape", form),  # a list without elements says nothing of its type
            scale=amplitude / math.sqrt(2 * size),
            seed=float(rng.integers(1 << 20)),
            dtype=int(dtype),
        )
        for form in (channels, places)
    ]
    exact = apply("Cast", [value], to=int(dtype)) if halves else value
    norm = apply("ReduceL2", [exact], keepdims=0)
    moved = apply("Add", [exact, apply("Mul", [norm, apply("Add", shares)])])
    if halves:
        apply("Cast", [moved], to=int(value.dtype or dtype))
    return nodes


def _forms(value: ir.Value) -> tuple[list[int], list[int], int]:
    """Return the shapes of one number per channel of `value` and per position, and its number of elements."""
    shape = value.shape
    if shape is None or not shape.is_static() or not len(shape):
        return [1] * len(shape or ()), [1] * len(shape or ()), 1
    sizes = list(shape.numpy())
    axis = 1 if len(sizes) >= PICTURE_RANK else len(sizes) - 1
    channels = [size if index == axis else 1 for index, size in enumerate(sizes)]
    places = [1 if index == axis else size for index, size in enumerate(sizes)]
    return channels, places, max(1, math.prod(sizes))
