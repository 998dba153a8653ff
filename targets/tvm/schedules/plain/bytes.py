"""Quantization of plain tensors into plain bytes."""

from __future__ import annotations

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.operators import QUANTIZE
from edgec.targets.tvm.regions.rule import Rule
from edgec.targets.tvm.schedules.common.plain_expression import fits_matrix
from edgec.targets.tvm.schedules.plain.elementwise import lower


def match(node: Node, _cpu: CpuModel) -> bool:
    """Whether `node` quantizes any other plain tensor."""
    return node.op == QUANTIZE and not node.args[0].packed and bool(node.shape)


RULE = Rule("bytes", "plain", match, lower, fits=fits_matrix)
