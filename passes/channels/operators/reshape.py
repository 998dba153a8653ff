"""Reshape and similar operators: axes are joined and cut."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgec.errors import BadModel
from edgec.model.graph import label
from edgec.passes.channels.coupling import FIXED, Ids
from edgec.passes.channels.masks import Masks, kept_shape, set_input
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Axes, Propagation, fixed


def follow(found: Propagation, node: ir.Node) -> str | None:
    """Join and cut axes; a channel that is cut into several is removed from all of them or from none."""
    shape = node.outputs[0].shape
    found.give(node, regroup(found, node, found.axes(node, 0), shape.numpy() if shape is not None else ()))
    return None


def adapt(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Set the shape to that of the output."""
    set_input(graph, node, 1, kept_shape(masks, node.outputs[0]))
    node.attributes.add(ir.AttrInt64("allowzero", 0))


def regroup(found: Propagation, node: ir.Node, axes: Axes, shape: Sequence[int]) -> Axes:
    """Return the axes after a reshape to `shape`.

    Both shapes are cut into the shortest runs of axes with equal products; each run is handled separately.
    """
    result: Axes = [fixed(size) for size in shape]
    inner = [axis for axis, ids in enumerate(axes) if len(ids) > 1]
    outer = [axis for axis, size in enumerate(shape) if size > 1]
    while inner and outer:
        here, there = [inner.pop(0)], [outer.pop(0)]
        while (left := math.prod(len(axes[a]) for a in here)) != (right := math.prod(shape[a] for a in there)):
            if not (inner if left < right else outer):
                problem = f"{label(node)} ({node.op_type}) has another number of elements behind than before"
                raise BadModel(problem, remedy="Export the model again.")
            if left < right:
                here.append(inner.pop(0))
            else:
                there.append(outer.pop(0))
        for axis, ids in zip(
            there, _regroup_run(found, node, [axes[a] for a in here], [shape[a] for a in there]), strict=True
        ):
            result[axis] = ids
    return result


def _regroup_run(found: Propagation, node: ir.Node, axes: Axes, shape: Sequence[int]) -> Axes:
    channels = [axis for axis, ids in enumerate(axes) if (ids != FIXED).any()]
    result: Axes = [fixed(size) for size in shape]
    if not channels:
        return result
    if len(channels) > 1:
        for axis in channels:
            found.fix(node, axes[axis], "joins two axes of channels")
        return result
    sizes = [len(ids) for ids in axes]
    only = channels[0]
    spread = axes[only].reshape([size if axis == only else 1 for axis, size in enumerate(sizes)])
    elements = np.broadcast_to(spread, sizes).reshape(shape)
    rows = [np.moveaxis(elements, axis, 0).reshape(size, -1) for axis, size in enumerate(shape)]
    carrier = _carrier(found, rows)
    result[carrier] = found.tie_rows(node, rows[carrier])
    return result


def _carrier(found: Propagation, rows: list[Ids]) -> int:
    """Return the axis along which the fewest channels must be tied; among equals the longest, then the last."""

    def cost(axis: int) -> tuple[bool, int, int]:
        roots = found.coupling.roots(rows[axis])
        return bool((roots != roots[:, :1]).any()), -len(roots), -axis

    return min(range(len(rows)), key=cost)


OPERATORS = (
    ChannelOperator(("Reshape",), follow, adapt),
    ChannelOperator(("Flatten", "Squeeze", "Unsqueeze"), follow),
)
