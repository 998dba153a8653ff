"""Tasks that copy their part of the input, with padding, into a slab small enough for the L1 cache."""

from __future__ import annotations

from typing import Any

from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.schedules.common.tiles import divisors

FEW_ROWS = 4


def slab_rows(sch: Schedule, h: Any, pad: Any | None, size: int, cpu: CpuModel) -> int:
    """Return the maximum number of output rows of a task whose padded slab fits 3/4 of L1; all without a slab.

    Args:
        sch: The schedule.
        h: The loop over output rows.
        pad: The packed stage with the padding; None if there is none.
        size: Size of an element in bytes.
        cpu: The CPU.
    """
    rows = int(sch.get(h).extent)
    if pad is None:
        return rows
    height, width, block = (int(extent) for extent in sch.get(pad).writes[0].source.shape[2:])
    for count in reversed(divisors(rows)):
        if (height * count // rows + 2) * width * block * size <= cpu.l1 * 3 // 4 or count <= FEW_ROWS:
            return count
    return 1
