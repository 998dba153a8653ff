"""Channels through layers with weights: where they are made, summed over, or accompanied one by one."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, constant
from edgec.passes.channels.atoms import Ids
from edgec.passes.channels.propagate import Propagation, fixed, rule

COMPUTED_WEIGHTS = "has weights that are computed"


@rule("Conv")
def conv(found: Propagation, node: ir.Node) -> str | None:
    """X [n, c, *space], W [o, c / groups, *kernel], b [o].

    Groups of many channels each lose the same channels everywhere; where there are more groups than channels in one
    (a depthwise convolution has one) whole groups go, with what they read and what they give.
    """
    if constant(node.inputs[1]) is None:
        return COMPUTED_WEIGHTS
    x, weights = found.axes(node, 0), found.operand(node, 1)
    groups = attribute(node, "group", 1)
    for ids in (*x[2:], *weights.axes[2:]):
        found.fix(node, ids, "slides over them")
    filters, per_group = len(weights.axes[0]), len(weights.axes[1])
    if groups == 1:
        found.tie(node, x[1], weights.axes[1])
        found.note(node, weights, 1, "reads")
        found.note(node, weights, 0, "filters")
    elif removes_whole_groups(groups, per_group):
        found.fix(node, weights.axes[1], "reads all channels of a group")
        inner = found.tie_rows(node, x[1].reshape(groups, per_group))
        outer = found.tie_rows(node, weights.axes[0].reshape(groups, filters // groups))
        found.tie(node, inner, outer)
        found.note(node, weights, 0, "follows" if per_group == 1 else "filters")
    else:
        inner = found.tie_rows(node, x[1].reshape(groups, per_group).T)
        found.tie_rows(node, weights.axes[0].reshape(groups, filters // groups).T)
        found.tie(node, inner, weights.axes[1])
        found.note(node, weights, 1, "reads")
        found.note(node, weights, 0, "filters")
    _follow(found, node, 2, weights.axes[0])
    found.give(node, [x[0], weights.axes[0], *_spatial(node)])
    return None


@rule("ConvTranspose")
def conv_transpose(found: Propagation, node: ir.Node) -> str | None:
    """X [n, c, *space], W [c, o / groups, *kernel], b [o]."""
    if constant(node.inputs[1]) is None:
        return COMPUTED_WEIGHTS
    x, weights = found.axes(node, 0), found.operand(node, 1)
    groups = attribute(node, "group", 1)
    inputs, filters = len(weights.axes[0]), len(weights.axes[1])
    if groups > 1 and not removes_whole_groups(groups, inputs // groups):
        return "is a grouped transposed convolution"
    for ids in (*x[2:], *weights.axes[2:]):
        found.fix(node, ids, "slides over them")
    found.tie(node, x[1], weights.axes[0])
    if groups == 1:
        made = weights.axes[1]
        found.note(node, weights, 0, "reads")
        found.note(node, weights, 1, "filters")
    else:
        found.fix(node, weights.axes[1], "gives all channels of a group")
        made = np.repeat(found.tie_rows(node, x[1].reshape(groups, -1)), filters)
        found.note(node, weights, 0, "follows")
    _follow(found, node, 2, made)
    found.give(node, [x[0], made, *_spatial(node)])
    return None


@rule("Gemm")
def gemm(found: Propagation, node: ir.Node) -> str | None:
    """Y [m, n] = A' [m, k] B' [k, n] + C, where ' may transpose."""
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


@rule("MatMul")
def matmul(found: Propagation, node: ir.Node) -> str | None:
    """Of two computed operands the inner dimension stays: no weights say what its removal does."""
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


@rule("LSTM", "GRU", "RNN")
def recurrent(found: Propagation, node: ir.Node) -> str | None:
    """X [steps, batch, in] or batch first, W [directions, gates * hidden, in]; only the inputs can be pruned."""
    if constant(node.inputs[1]) is None:
        return COMPUTED_WEIGHTS
    x, weights = found.axes(node, 0), found.operand(node, 1)
    found.tie(node, x[2], weights.axes[2])
    found.note(node, weights, 2, "reads")
    for ids in x[:2]:
        found.fix(node, ids, "steps over them")
    for ids in weights.axes[:2]:
        found.fix(node, ids, "feeds them back")
    for index in range(2, len(node.inputs)):
        if node.inputs[index] is not None:
            for ids in found.axes(node, index):
                found.fix(node, ids, "feeds them back")
    for output in node.outputs:
        if output.shape is not None:
            found.values[output] = [fixed(size) for size in output.shape.numpy()]
    return None


@rule("BatchNormalization", "InstanceNormalization")
def per_channel(found: Propagation, node: ir.Node) -> str | None:
    """Parameters [c] for x [n, c, *space]; outputs of a batch norm in training mode are not followed."""
    if attribute(node, "training_mode", 0):
        return "normalizes by the batch"
    x = found.axes(node, 0)
    for index in range(1, len(node.inputs)):
        _follow(found, node, index, x[1])
    if node.op_type == "InstanceNormalization":
        for ids in x[2:]:
            found.fix(node, ids, "averages over them")
    found.give(node, list(x))
    return None


def removes_whole_groups(groups: int, per_group: int) -> bool:
    """Whether a grouped convolution loses whole groups rather than the same channels of each."""
    return groups > per_group


def broadcast(found: Propagation, node: ir.Node, operands: list[list[Ids]]) -> list[Ids]:
    """Tie operands as broadcasting aligns them, and return the axes of the result."""
    rank = max(map(len, operands), default=0)
    result = []
    for axis in range(-rank, 0):
        there = [axes[axis] for axes in operands if len(axes) >= -axis]
        wide = [ids for ids in there if len(ids) > 1] or there[:1]
        for ids in wide[1:]:
            found.tie(node, wide[0], ids)
        result.append(wide[0])
    return result


def _follow(found: Propagation, node: ir.Node, index: int, channels: Ids) -> None:
    """Tie the vector that is input `index`, if there is one, to `channels`."""
    if index >= len(node.inputs) or node.inputs[index] is None:
        return
    found.tie(node, found.axes(node, index)[0], channels)
    if constant(node.inputs[index]) is not None:
        found.note(node, found.operand(node, index), 0, "follows")


def _spatial(node: ir.Node) -> list[Ids]:
    shape = node.outputs[0].shape
    return [fixed(size) for size in shape.numpy()[2:]] if shape is not None else []
