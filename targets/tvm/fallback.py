"""A plain lowering for any Relax module: TVM's legalization and fusion, each kernel vectorized and parallelized."""

from __future__ import annotations

import math
from typing import Any

import tvm
from tvm import relax, s_tir, tirx

PARALLEL_FROM = 16384
"""Loop iterations from which waking the other threads pays."""
LANES = 8
SPATIAL = int(tirx.IterVar.DataPar)


def lower_plain(module: tvm.IRModule) -> tvm.IRModule:
    """Return `module` with every operator as a scheduled PrimFunc; correct for all, fast for none."""
    fused = tvm.transform.Sequential(
        [
            relax.transform.DecomposeOpsForInference(),
            relax.transform.LegalizeOps(),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FoldConstant(),
            relax.transform.FuseOps(),
            relax.transform.FuseTIR(),
            relax.transform.DeadCodeElimination(),
        ]
    )(module)
    result = tvm.IRModule(dict(fused.functions.items()), attrs=fused.attrs)
    for name, function in fused.functions.items():
        if isinstance(function, tirx.PrimFunc) and "tirx.is_scheduled" not in (function.attrs or {}):
            result.update_func(name, schedule_plain(function))
    return result


def schedule_plain(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Inline what can be, then run each block's spatial loops in parallel and, where it has no others, vectorized."""
    schedule = s_tir.Schedule(function)
    root = schedule.get_sblock("root")
    for block in schedule.get_child_blocks(root)[:-1]:
        try:
            schedule.compute_inline(block)
        except s_tir.ScheduleError:
            continue  # a reduction or a last block: it keeps its own loops
    for block in schedule.get_child_blocks(root):
        _schedule_block(schedule, block)
    return schedule.mod["main"]


def _schedule_block(schedule: s_tir.Schedule, block: Any) -> None:
    loops = list(schedule.get_loops(block))
    kinds = [int(axis.iter_type) for axis in schedule.get(block).iter_vars]
    extents = [schedule.get(loop).extent for loop in loops]
    if not loops or len(kinds) != len(loops) or not all(isinstance(extent, tirx.IntImm) for extent in extents):
        return
    sizes = [int(extent.value) for extent in extents]
    spatial = next((index for index, kind in enumerate(kinds) if kind != SPATIAL), len(loops))
    if spatial == 0:
        return
    fused = schedule.fuse(*loops[:spatial]) if spatial > 1 else loops[0]
    if spatial == len(loops):
        lanes = math.gcd(math.prod(sizes), LANES)
        fused, inner = schedule.split(fused, [None, lanes])
        if lanes > 1:
            schedule.vectorize(inner)
    if math.prod(sizes) >= PARALLEL_FROM:
        schedule.parallel(fused)
