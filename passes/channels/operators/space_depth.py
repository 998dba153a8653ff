"""DepthToSpace and SpaceToDepth: blocks of positions become channels, and vice versa."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Propagation, fixed


def follow_depth_to_space(found: Propagation, node: ir.Node) -> str | None:
    """Tie the b * b channels that become one."""
    x, shape = found.axes(node, 0), node.outputs[0].shape
    block = attribute(node, "blocksize") ** 2
    rows = x[1].reshape(block, -1).T if attribute(node, "mode", "DCR") == "DCR" else x[1].reshape(-1, block)
    for ids in x[2:]:
        found.fix(node, ids, "moves them")
    made = found.tie_rows(node, rows)
    found.give(node, [x[0], made, *(fixed(size) for size in (shape.numpy()[2:] if shape is not None else ()))])
    return None


def follow_space_to_depth(found: Propagation, node: ir.Node) -> str | None:
    """Turn every channel into b * b, which are removed with it."""
    x, shape = found.axes(node, 0), node.outputs[0].shape
    for ids in x[2:]:
        found.fix(node, ids, "moves them")
    made = np.tile(x[1], attribute(node, "blocksize") ** 2)
    found.give(node, [x[0], made, *(fixed(size) for size in (shape.numpy()[2:] if shape is not None else ()))])
    return None


OPERATORS = (
    ChannelOperator(("DepthToSpace",), follow_depth_to_space),
    ChannelOperator(("SpaceToDepth",), follow_space_to_depth),
)
