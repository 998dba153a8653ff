"""`broadcast`: couples the channels of an element-wise operator's operands, aligned as in numpy."""

from __future__ import annotations

import onnx_ir as ir

from edgec.passes.channels.coupling import Ids
from edgec.passes.channels.propagation import Propagation


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
