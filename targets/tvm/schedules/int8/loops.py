"""Loops that the schedules of integer layers share: tasks, steps of a reduction, stores of whole tiles."""

from __future__ import annotations

from typing import Any

from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.schedules.common.tiles import divisors
from edgec.targets.tvm.schedules.float.conv_plan import ConvPlan
from edgec.targets.tvm.schedules.float.loops import chunks_of


def parallel_tasks(
    sch: Schedule, plan: ConvPlan, cpu: CpuModel, outer: tuple[Any, ...], inner: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Order the loops (batch, tile of channels, row, tile of pixels) and `inner`; return that of tasks and of tiles."""
    n, ko, h, wo = outer
    if plan.flat:
        wc, wo = sch.split(wo, [chunks_of(sch, n, ko, wo, cpu), None])
        sch.reorder(n, ko, wc, h, wo, *inner)
        task = sch.fuse(n, ko, wc)
    elif plan.rows is not None:
        ho, hi = sch.split(h, [None, plan.rows])
        sch.reorder(n, ho, ko, hi, wo, *inner)
        task = sch.fuse(n, ho)
    else:
        sch.reorder(n, ko, h, wo, *inner)
        task = sch.fuse(n, ko, h)
    sch.parallel(task)
    return task, wo


def unrolled_steps(sch: Schedule, reduction: tuple[Any, ...], size: int, most: int) -> int:
    """Return the number of steps of input channels per pass of the innermost loop, if it contains nothing else.

    Args:
        sch: The schedule.
        reduction: The loop over input channels, and all other reduction loops.
        size: Number of operations per step.
        most: Maximum number of operations in the loop's body.
    """
    steps, *others = (int(sch.get(loop).extent) for loop in reduction)
    if any(extent > 1 for extent in others):
        return 1
    return max(count for count in divisors(steps) if count * size <= most or count == 1)


def store_tile(sch: Schedule, out: Any, pixels: int) -> None:
    """Vectorize the epilogue: the channels of `pixels` adjacent pixels at once."""
    if pixels > 1:
        *_, wide, lane = sch.get_loops(out)
        _, near = sch.split(wide, [None, pixels])
        sch.fuse(near, lane)
    vectorize_tile(sch, out, 5)


def vectorize_tile(sch: Schedule, block: Any, loops: int) -> None:
    """Vectorize the innermost of the last `loops` loops around `block`, unroll the others."""
    *inner, lane = sch.get_loops(block)[-loops:]
    sch.vectorize(lane)
    for loop in inner:
        sch.unroll(loop)
