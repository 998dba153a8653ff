"""Mean over H and W: rows are summed into one row of vectors (independent accumulators), which is summed then."""

from __future__ import annotations

from tvm import te
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, packed_shape
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import f32, finish, widened
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` is the mean over H and W of an NCHW tensor."""
    return node.op == "edgec.global_pool"


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a global average pooling region."""
    node = region.anchor
    plain = node.args[0].shape
    block = block_of(plain[1], cpu)
    batch, blocks, height, width, _ = packed_shape(plain, block)
    source = te.placeholder((batch, blocks, height, width, block), cpu.storage, name="source")
    rh, rw = te.reduce_axis((0, height), "rh"), te.reduce_axis((0, width), "rw")
    rows = te.compute(
        (batch, blocks, width, block), lambda n, c, w, b: te.sum(widened(source[n, c, rh, w, b]), axis=rh), name="rows"
    )
    total = te.compute(
        (batch, blocks, 1, 1, block), lambda n, c, h, w, b: te.sum(rows[n, c, rw, b], axis=rw), name="total"
    )
    expression = PackedExpression(region.members, cpu)
    scale = f32(1.0 / (height * width))
    out = te.compute(packed_shape(expression.shape, block), lambda *i: expression.at(i, total(*i) * scale), name="out")
    sch = schedule(Schedule(te.create_prim_func([source, *expression.tensors, out])))
    operands = [Operand(node.args[0], packed=True), *expression.operands]
    return Kernel(finish(sch), operands, expression.shape)


def schedule(sch: Schedule) -> Schedule:
    """Schedule tasks of (batch, channel block)."""
    rows, total, out = (sch.get_sblock(name) for name in ("rows", "total", "out"))
    n, c, _, _, lane = sch.get_loops(out)
    task = sch.fuse(n, c)
    sch.parallel(task)
    sch.vectorize(lane)
    sch.compute_at(total, task, preserve_unit_loops=True)
    sch.compute_at(rows, task, preserve_unit_loops=True)
    lane, rw = sch.get_loops(total)[-2:]
    sch.reorder(rw, lane)
    sch.vectorize(lane)
    *spatial, lane, rh = sch.get_loops(rows)[-5:]
    sch.reorder(rh, *spatial, lane)
    sch.vectorize(lane)
    sch.decompose_reduction(rows, rh)
    sch.decompose_reduction(total, rw)
    return sch


RULE = Rule("global_pool", "packed", match, lower)
