"""Kernels of packed tensors without a reduction: vectors of channels, the other axes in parallel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tvm import te
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import packed_shape
from edgec.targets.tvm.regions.rule import Kernel, Operand
from edgec.targets.tvm.schedules.common.kernel import PARALLEL_THRESHOLD, finish
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.common.tiles import TASKS_PER_CORE


def injective_kernel(
    expression: PackedExpression,
    tensors: list[te.Tensor],
    operands: list[Operand],
    value: Callable[..., Any],
    run: int | None,
    cpu: CpuModel,
) -> Kernel:
    """Return the kernel of a region that computes `value` at each packed index.

    Args:
        expression: The elementwise part; its operands come last.
        tensors: Placeholders that `value` reads.
        operands: The arguments of the kernel for these.
        value: Returns the element of the result at (n, c, h, w, b).
        run: See `schedule`.
        cpu: The CPU.
    """
    out = te.compute(packed_shape(expression.shape, expression.block), value, name="out")
    sch = schedule(Schedule(te.create_prim_func([*tensors, *expression.tensors, out])), cpu, run=run)
    return Kernel(finish(sch), [*operands, *expression.operands], expression.shape)


def schedule(sch: Schedule, cpu: CpuModel, *, run: int | None = None) -> Schedule:
    """Vectorize the innermost axis, run the outer ones in parallel.

    Args:
        sch: Schedule whose only block is `out`.
        cpu: The CPU.
        run: Longest part of the innermost axis that is contiguous in every operand; None: the whole axis.
    """
    loops = sch.get_loops(sch.get_sblock("out"))
    extents = [int(sch.get(loop).extent) for loop in loops]
    total = math.prod(extents)
    width = extents[-1] if run is None else math.gcd(run, extents[-1])
    if width > cpu.lanes:
        width = math.gcd(width, cpu.lanes)
    outer = loops[:-1]
    if width > 1:
        split, lane = sch.split(loops[-1], [None, width])
        sch.vectorize(lane)
        outer = [*outer, split]
    elif len(outer) > 1 and extents[-1] <= cpu.lanes:
        sch.unroll(loops[-1])
    if total < PARALLEL_THRESHOLD or not outer:
        return sch
    count, tasks = 0, 1
    while count < len(outer) and (count == 0 or tasks < 4 * TASKS_PER_CORE * cpu.cores):
        tasks *= int(sch.get(outer[count]).extent)
        count += 1
    sch.parallel(sch.fuse(*outer[:count]) if count > 1 else outer[0])
    return sch
