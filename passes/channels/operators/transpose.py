"""Transpose: axes are permuted."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import attribute
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Propagation


def follow(found: Propagation, node: ir.Node) -> str | None:
    """Permute the axes."""
    x = found.axes(node, 0)
    order = attribute(node, "perm") or tuple(reversed(range(len(x))))
    found.give(node, [x[axis] for axis in order])
    return None


OPERATORS = (ChannelOperator(("Transpose",), follow),)
