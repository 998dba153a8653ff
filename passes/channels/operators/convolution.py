"""Convolutions sum over input channels and compute output channels; groups tie channels, or are removed as a whole."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, constant
from edgec.passes.channels.coupling import Ids
from edgec.passes.channels.masks import Masks, mask_of
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.operators.weights import COMPUTED_WEIGHTS, follow_vector
from edgec.passes.channels.propagation import Propagation, fixed


def follow_conv(found: Propagation, node: ir.Node) -> str | None:
    """X [n, c, *space], W [o, c / groups, *kernel], b [o].

    If groups have many channels, each loses the same channels; if there are more groups than channels per group
    (a depthwise convolution has one channel per group), whole groups are removed with their inputs and outputs.
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
    follow_vector(found, node, 2, weights.axes[0])
    found.give(node, [x[0], weights.axes[0], *_spatial(node)])
    return None


def follow_transposed(found: Propagation, node: ir.Node) -> str | None:
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
        found.fix(node, weights.axes[1], "computes all channels of a group")
        made = np.repeat(found.tie_rows(node, x[1].reshape(groups, -1)), filters)
        found.note(node, weights, 0, "follows")
    follow_vector(found, node, 2, made)
    found.give(node, [x[0], made, *_spatial(node)])
    return None


def adapt_groups(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Set the number of groups after whole groups were removed."""
    groups, mask = attribute(node, "group", 1), mask_of(masks, node.inputs[0], 1)
    per_group = len(mask) // groups
    if groups > 1 and removes_whole_groups(groups, per_group):
        node.attributes.add(ir.AttrInt64("group", int(mask.sum()) // per_group))


def removes_whole_groups(groups: int, per_group: int) -> bool:
    """Whether a grouped convolution loses whole groups rather than the same channels of each."""
    return groups > per_group


def _spatial(node: ir.Node) -> list[Ids]:
    shape = node.outputs[0].shape
    return [fixed(size) for size in shape.numpy()[2:]] if shape is not None else []


OPERATORS = (
    ChannelOperator(("Conv",), follow_conv, adapt_groups),
    ChannelOperator(("ConvTranspose",), follow_transposed, adapt_groups),
)
