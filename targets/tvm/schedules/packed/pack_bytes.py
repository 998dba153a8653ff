"""Quantization of plain pictures to packed bytes, if operators on packed tensors read them."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, packed_shape
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.operators import CONV, QUANTIZE
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import finish
from edgec.targets.tvm.schedules.common.packed_expression import apply
from edgec.targets.tvm.schedules.packed.injective import schedule

PACKED = frozenset({CONV, "edgec.max_pool", "edgec.upsample", "relax.concat"})


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` quantizes a plain NCHW tensor that operators on packed tensors read."""
    plain = node.op == QUANTIZE and not node.args[0].packed and len(node.shape or ()) == 4
    return plain and any(user.op in PACKED for user in node.users)


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel that quantizes and packs; padding channels contain the zero point."""
    node = region.anchor
    shape = node.args[0].shape
    block = block_of(shape[1], cpu)
    source = te.placeholder(shape, name="source")

    def value(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        item = source[n, c * block + b, h, w]
        if shape[1] % block:
            item = tirx.if_then_else(c * block + b < shape[1], item, tirx.const(0.0, "float32"))
        return apply(node, lambda _: item)

    out = te.compute(packed_shape(shape, block), value, name="out")
    sch = schedule(Schedule(te.create_prim_func([source, out])), cpu, run=1)
    return Kernel(finish(sch), [Operand(node.args[0])], shape)


RULE = Rule("pack_bytes", "packed", match, lower)
