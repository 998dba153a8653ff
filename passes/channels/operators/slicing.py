"""Slice and Gather: some of the channels are selected, at constant positions."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, constant
from edgec.passes.channels.masks import Masks, mask_of, set_input
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Propagation, fixed


def follow_slice(found: Propagation, node: ir.Node) -> str | None:
    """Select a range of indices along each given axis; along axes with another step than 1 channels are fixed."""
    ranges = slice_ranges(node)
    if ranges is None:
        return "cuts at computed positions"
    result = list(found.axes(node, 0))
    for axis, part in ranges.items():
        if part.step not in (None, 1):
            found.fix(node, result[axis], "takes every other of them")
        result[axis] = result[axis][part]
    found.give(node, result)
    return None


def slice_ranges(node: ir.Node) -> dict[int, slice] | None:
    """Return axis -> range of a Slice node, or None if they are not constant."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    arrays = [None if value is None else constant(value) for value in node.inputs[1:]]
    given = [value is not None for value in node.inputs[1:]]
    if shape is None or any(there and array is None for there, array in zip(given, arrays, strict=True)):
        return None
    starts, ends, axes, steps = [*arrays, None, None][:4]
    if starts is None or ends is None:
        return None
    ranges = {}
    for position, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = int(axes[position]) % len(shape) if axes is not None else position
        step = int(steps[position]) if steps is not None else 1
        size = shape.numpy()[axis]
        # ONNX clamps like Python, but for a negative step an end below -size means "through the first element".
        last = None if step < 0 and end < -size else int(end)
        ranges[axis] = slice(int(start), last, step)
    return ranges


def adapt_slice(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Move the ranges along axes that lost channels, so that they begin after the kept channels before them."""
    ranges = slice_ranges(node)
    if ranges is None:
        raise ValueError(f"{node.name}: ranges are not constant")
    starts, ends = constant(node.inputs[1]), constant(node.inputs[2])
    if starts is None or ends is None:
        raise ValueError(f"{node.name}: ranges are not constant")
    starts, ends = starts.copy(), ends.copy()
    for position, (axis, part) in enumerate(ranges.items()):
        mask = mask_of(masks, node.inputs[0], axis)
        if not mask.all():
            first, last, _ = part.indices(len(mask))
            starts[position], ends[position] = mask[:first].sum(), mask[:last].sum()
    set_input(graph, node, 1, starts)
    set_input(graph, node, 2, ends)


def follow_gather(found: Propagation, node: ir.Node) -> str | None:
    """Select constant indices along one axis of x; channels selected by a single index are fixed."""
    indices = constant(node.inputs[1])
    if indices is None or constant(node.inputs[0]) is not None:
        return "takes elements at computed positions"
    x = found.axes(node, 0)
    axis = attribute(node, "axis", 0) % len(x)
    if indices.size and not -len(x[axis]) <= indices.min() <= indices.max() < len(x[axis]):
        return "takes elements beyond the end"  # ONNX Runtime refuses it when it runs
    if indices.ndim == 1:
        taken = [x[axis][indices]]
    else:
        found.fix(node, x[axis], "takes some of them")
        taken = [fixed(size) for size in indices.shape]
    found.give(node, [*x[:axis], *taken, *x[axis + 1 :]])
    return None


def adapt_gather(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Renumber the indices of kept channels."""
    data, indices = node.inputs[0], constant(node.inputs[1])
    if data is None or indices is None or indices.ndim != 1:
        return  # axes indexed in other ways lose no channels
    mask = mask_of(masks, data, attribute(node, "axis", 0) % len(masks[data]))
    wanted = indices % len(mask)
    places = np.cumsum(mask) - 1
    if not mask.all():
        set_input(graph, node, 1, places[wanted[mask[wanted]]].astype(indices.dtype))


OPERATORS = (
    ChannelOperator(("Slice",), follow_slice, adapt_slice),
    ChannelOperator(("Gather",), follow_gather, adapt_gather),
)
