"""Slices of channels, written as a slice or as a part of a split, become one operator: `edgec.channels`."""

from __future__ import annotations

from edgec.targets.tvm.regions.facts import Slice
from edgec.targets.tvm.regions.graph import Graph, Node
from edgec.targets.tvm.regions.operators import CHANNELS

CHANNEL_AXIS = 1
PICTURE_RANK = 4


def name_slices(graph: Graph) -> None:
    """Rewrite slices of contiguous channels of NCHW tensors, in place."""
    for node in graph.nodes:
        start = _start(node)
        if start is None:
            continue
        source = node.args[0] if node.op != "tuple_get" else node.args[0].args[0]
        node.op, node.args = CHANNELS, [source]
        node.facts = Slice(start)


def _start(node: Node) -> int | None:
    """Return the first channel that `node` takes from its source, if it takes a range of channels."""
    if node.shape is None or len(node.shape) != PICTURE_RANK or not node.args or not isinstance(node.args[0], Node):
        return None
    if node.op == "tuple_get":
        return _start_of_field(node.args[0], node.call.index)
    source = node.args[0].shape
    if node.op != "relax.strided_slice" or source is None or len(source) != PICTURE_RANK:
        return None
    axes, begins, _, *steps = [[int(getattr(item, "value", item)) for item in arg.fields] for arg in node.args[1:]]
    if [axis % PICTURE_RANK for axis in axes] != [CHANNEL_AXIS] or (steps and steps[0] != [1]):
        return None
    return min(begins[0] if begins[0] >= 0 else begins[0] + source[CHANNEL_AXIS], source[CHANNEL_AXIS])


def _start_of_field(split: Node, index: int) -> int | None:
    source = split.args[0] if split.op == "relax.split" else None
    if not isinstance(source, Node) or source.shape is None or int(split.attrs.axis) % PICTURE_RANK != CHANNEL_AXIS:
        return None
    sections = split.attrs.indices_or_sections
    if isinstance(sections, int) or hasattr(sections, "value"):
        each = -(-source.shape[CHANNEL_AXIS] // int(getattr(sections, "value", sections)))
        return int(index) * each
    return [0, *(int(getattr(at, "value", at)) for at in sections)][int(index)]
