"""Loops that the schedules of convolutions share: chunks of pixels, padding, vector copies of the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.schedules.common.kernel import copy_rows, floordiv, floormod
from edgec.targets.tvm.schedules.common.rewrite import MERGE
from edgec.targets.tvm.schedules.common.tiles import flat_chunks


def chunks_of(sch: Schedule, n: Any, ko: Any, wo: Any, cpu: CpuModel) -> int:
    """Return the number of chunks into which to split the pixels so that all cores get equally many tasks."""
    return flat_chunks(int(sch.get(n).extent) * int(sch.get(ko).extent), int(sch.get(wo).extent), cpu)


def schedule_pad(sch: Schedule, pad: Any, task: Any | None) -> None:
    """Schedule the stage `padded`: one row at a time inside the loop `task`; beforehand as a whole without `task`."""
    if task is not None:
        sch.compute_at(pad, task, preserve_unit_loops=True)
    loops = sch.get_loops(pad)
    copy_rows(sch, pad)
    if task is None:
        lead = loops[: len(loops) - 2]
        sch.parallel(sch.fuse(*lead))


def load_vectors(sch: Schedule, block: Any, at: Any, lane: Any, *, merged: bool = False) -> None:
    """Copy the input tile by whole vectors; its scalar reads become lanes, so the FMAs become `by element` forms.

    The scope must be "global": with "local" TVM makes a workspace that LLVM does not keep in registers.

    Args:
        sch: The schedule.
        block: The reduction; its first operand is copied.
        at: Loop inside which it is copied.
        lane: Loop over the reduced lanes.
        merged: Whether one instruction loads several vectors, of the second operand too; both must be contiguous.
    """
    for operand in range(2 if merged else 1):
        cached = sch.cache_read(block, operand, "global")
        sch.compute_at(cached, at, preserve_unit_loops=True)
        rank = len(sch.get(cached).iter_vars)
        *inner, vector = sch.get_loops(cached)[-rank:]
        sch.vectorize(vector)
        for loop in inner:
            sch.unroll(loop)
        if merged:
            sch.annotate(cached, MERGE, 1)
    sch.unroll(lane)


def unflatten(sch: Schedule, width: int, names: list[str], block_name: str) -> None:
    """Restore the shape [N, C, H, W, block] of the buffers `names`, which the kernel sees as [N, C, 1, H*W, block].

    The address does not change: (p // W) * W + p % W simplifies to p.
    """
    block = sch.get_sblock(block_name)
    for name in dict.fromkeys(names):
        sch.transform_layout(block, name, lambda n, c, h, p, b: (n, c, floordiv(p, width), floormod(p, width), b))


def first_places(loop: Any) -> Callable[[int], Any]:
    """Return a function of an axis' number: where on that axis the block inside `loop` begins in one iteration."""
    within, inner = {}, loop.body
    while not isinstance(inner, s_tir.SBlockRealize):
        if isinstance(inner, tirx.For):
            within[inner.loop_var] = tirx.const(0, str(inner.loop_var.ty.dtype))
        inner = inner.body if isinstance(inner, tirx.For) else inner.seq[-1]
    return lambda axis: tvm_ffi.structural_map(
        inner.iter_values[axis], (tvm.ir.Var, lambda item: within.get(item, item))
    )


def only_where(condition: Any, loop: Any) -> Any:
    """Return `loop` with its body under `condition`."""
    body = tirx.IfThenElse(condition, loop.body, None)
    return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, body, loop.thread_binding, loop.annotations)
