"""Shared by layers with weights: vectors along the channels, and weights that cannot be followed."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import constant
from edgec.passes.channels.coupling import Ids
from edgec.passes.channels.propagation import Propagation

COMPUTED_WEIGHTS = "has weights that are computed"


def follow_vector(found: Propagation, node: ir.Node, index: int, channels: Ids) -> None:
    """Tie the vector in input `index`, if there is one, to `channels`."""
    if index >= len(node.inputs) or node.inputs[index] is None:
        return
    found.tie(node, found.axes(node, index)[0], channels)
    if constant(node.inputs[index]) is not None:
        found.note(node, found.operand(node, index), 0, "follows")
