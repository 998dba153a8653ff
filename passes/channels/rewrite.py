"""What nodes hold besides weights (shapes, sizes, ranges, indices, groups), adapted to the channels that are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, attribute, constant
from edgec.passes.channels.rules_layers import removes_whole_groups
from edgec.passes.channels.rules_layout import slice_ranges

Kept = np.ndarray[Any, np.dtype[np.bool_]]
"""For each index along an axis, whether it stays."""
Masks = Mapping[ir.Value, list[Kept]]
"""For each value and axis, what stays."""


def conv(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Where whole groups went, there are fewer."""
    groups, mask = attribute(node, "group", 1), _mask(masks, node.inputs[0], 1)
    per_group = len(mask) // groups
    if groups > 1 and removes_whole_groups(groups, per_group):
        node.attributes.add(ir.AttrInt64("group", int(mask.sum()) // per_group))


def reshape(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """The shape is that of the output, written out."""
    _set_input(graph, node, 1, _shape(masks, node.outputs[0]))
    node.attributes.add(ir.AttrInt64("allowzero", 0))


def expand(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """The shape is that of the output, written out."""
    _set_input(graph, node, 1, _shape(masks, node.outputs[0]))


def resize(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Sizes are those of the output; scales stay. Axes that are not resized may also be left out of both."""
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        sizes, axes = _shape(masks, node.outputs[0]), attribute(node, "axes")
        _set_input(graph, node, 3, sizes if axes is None else sizes[list(axes)])


def split(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """The sizes of the parts are those of the outputs."""
    rank = len(masks[node.outputs[0]])
    axis = attribute(node, "axis", 0) % rank
    sizes = np.array([_mask(masks, output, axis).sum() for output in node.outputs], np.int64)
    node.attributes.pop("num_outputs", None)
    if len(node.inputs) < 2:
        node.resize_inputs(2)
    _set_input(graph, node, 1, sizes)


def slice_(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Along an axis that lost channels the range begins after those kept before it."""
    ranges = slice_ranges(node)
    if ranges is None:
        raise ValueError(f"{node.name}: ranges are not constant")
    starts, ends = constant(node.inputs[1]), constant(node.inputs[2])
    if starts is None or ends is None:
        raise ValueError(f"{node.name}: ranges are not constant")
    starts, ends = starts.copy(), ends.copy()
    for position, (axis, part) in enumerate(ranges.items()):
        mask = _mask(masks, node.inputs[0], axis)
        if not mask.all():
            first, last, _ = part.indices(len(mask))
            starts[position], ends[position] = mask[:first].sum(), mask[:last].sum()
    _set_input(graph, node, 1, starts)
    _set_input(graph, node, 2, ends)


def gather(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """The indices of what is kept, counted anew."""
    data, indices = node.inputs[0], constant(node.inputs[1])
    if data is None or indices is None or indices.ndim != 1:
        return  # what other indices take from loses nothing
    mask = _mask(masks, data, attribute(node, "axis", 0) % len(masks[data]))
    wanted = indices % len(mask)
    places = np.cumsum(mask) - 1
    if not mask.all():
        _set_input(graph, node, 1, places[wanted[mask[wanted]]].astype(indices.dtype))


REWRITES: dict[str, Callable[[ir.Graph, ir.Node, Masks], None]] = {
    "Conv": conv,
    "ConvTranspose": conv,
    "Expand": expand,
    "Gather": gather,
    "Reshape": reshape,
    "Resize": resize,
    "Slice": slice_,
    "Split": split,
}


def _mask(masks: Masks, value: ir.Value | None, axis: int) -> Kept:
    if value is None:
        raise ValueError("an operand is absent")
    return masks[value][axis]


def _shape(masks: Masks, value: ir.Value) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([mask.sum() for mask in masks[value]], np.int64)


def _set_input(graph: ir.Graph, node: ir.Node, index: int, array: np.ndarray[Any, Any]) -> None:
    stem = f"{node.outputs[0].name}_{node.op_type.lower()}"
    node.replace_input_with(index, add_constant(graph, stem, array))
