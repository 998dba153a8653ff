"""Concat and Split: channels are joined or cut along one axis."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute
from edgec.passes.channels.masks import Masks, mask_of, set_input
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Propagation


def follow_concat(found: Propagation, node: ir.Node) -> str | None:
    """Join channels along one axis, and tie them along the others."""
    parts = [found.axes(node, index) for index in range(len(node.inputs))]
    axis = attribute(node, "axis") % len(parts[0])
    result = list(parts[0])
    for part in parts[1:]:
        for other, ids in enumerate(part):
            if other != axis and len(ids) > 1:
                found.tie(node, result[other], ids)
    result[axis] = np.concatenate([part[axis] for part in parts])
    found.give(node, result)
    return None


def follow_split(found: Propagation, node: ir.Node) -> str | None:
    """Cut channels along one axis, by the sizes of the outputs."""
    x = found.axes(node, 0)
    axis, start = attribute(node, "axis", 0) % len(x), 0
    for index, output in enumerate(node.outputs):
        size = output.shape.numpy()[axis] if output.shape is not None else 0
        found.give(node, [*x[:axis], x[axis][start : start + size], *x[axis + 1 :]], index)
        start += size
    return None


def adapt_split(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Set the sizes of the parts to those of the outputs."""
    rank = len(masks[node.outputs[0]])
    axis = attribute(node, "axis", 0) % rank
    sizes = np.array([mask_of(masks, output, axis).sum() for output in node.outputs], np.int64)
    node.attributes.pop("num_outputs", None)
    if len(node.inputs) < 2:
        node.resize_inputs(2)
    set_input(graph, node, 1, sizes)


OPERATORS = (
    ChannelOperator(("Concat",), follow_concat),
    ChannelOperator(("Split",), follow_split, adapt_split),
)
