"""Gemm and MatMul sum over the inner dimension and compute columns."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import attribute, constant
from edgec.passes.channels.broadcast import broadcast
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.operators.weights import COMPUTED_WEIGHTS
from edgec.passes.channels.propagation import Propagation


def follow_gemm(found: Propagation, node: ir.Node) -> str | None:
    """Y [m, n] = A' [m, k] B' [k, n] + C, where ' is an optional transposition."""
    if constant(node.inputs[1]) is None:
        return COMPUTED_WEIGHTS
    a, weights = found.axes(node, 0), found.operand(node, 1)
    rows, inner = (a[1], a[0]) if attribute(node, "transA", 0) else (a[0], a[1])
    in_axis, out_axis = (1, 0) if attribute(node, "transB", 0) else (0, 1)
    found.tie(node, inner, weights.axes[in_axis])
    found.note(node, weights, in_axis, "reads")
    found.note(node, weights, out_axis, "filters")
    made = weights.axes[out_axis]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = found.axes(node, 2)
        for ids, target in zip(reversed(bias), (made, rows), strict=False):
            if len(ids) == len(target) > 1:
                found.tie(node, ids, target)
        if constant(node.inputs[2]) is not None and bias and len(bias[-1]) == len(made):
            found.note(node, found.operand(node, 2), len(bias) - 1, "follows")
    found.give(node, [rows, made])
    return None


def follow_matmul(found: Propagation, node: ir.Node) -> str | None:
    """For two computed operands the inner dimension is fixed: no weights tell what its removal changes."""
    first, second = found.axes(node, 0), found.axes(node, 1)
    constants = [constant(node.inputs[index]) is not None for index in (0, 1)]
    inner = (first[-1], second[-2] if len(second) > 1 else second[-1])
    if any(constants):
        found.tie(node, *inner)
        side = 1 if constants[1] else 0
        weights = found.operand(node, side)
        rank = len(weights.axes)
        in_axis = max(rank - 2, 0) if side else rank - 1
        found.note(node, weights, in_axis, "reads")
        if rank > 1:
            found.note(node, weights, rank - 1 if side else rank - 2, "filters")
    else:
        for ids in inner:
            found.fix(node, ids, "multiplies two computed matrices over them")
    tail = [*(first[-2:-1] if len(first) > 1 else []), *(second[-1:] if len(second) > 1 else [])]
    found.give(node, [*broadcast(found, node, [first[:-2], second[:-2]]), *tail])
    return None


OPERATORS = (
    ChannelOperator(("Gemm",), follow_gemm),
    ChannelOperator(("MatMul",), follow_matmul),
)
