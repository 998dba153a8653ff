"""Shared by all schedules: finishing functions, finding blocks by name, conversions, and stages with padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.intrinsics import with_functions
from edgec.targets.tvm.schedules.common.rewrite import rewrite

F32 = "float32"
OPAQUE = 8
"""TVM's operator pattern that keeps its own fusion passes away from a function."""
PACKED_RANK = 5
"""Axes of a packed tensor: N, C/b, H, W, b."""
SIMPLIFIED = "edgec.simplified"
"""Attribute of a function whose loops TVM has to simplify after unrolling; others are left to LLVM."""
PARALLEL_THRESHOLD = 16384
"""Number of elements below which waking another thread costs more than it saves."""


def finish(schedule: Schedule) -> Any:
    """Return the scheduled function, marked so that later passes leave it alone.

    The name is removed: the block builder gives the function another one, with which it would clash.
    """
    function = with_functions(rewrite(schedule.mod["main"].without_attr("global_symbol")))
    return function.with_attr("tirx.is_scheduled", True).with_attr("op_pattern", OPAQUE)


def find_block(schedule: Schedule, name: str) -> Any:
    """Return the block `name`; None if the workload does not need that stage."""
    present = {schedule.get(block).name_hint for block in schedule.get_child_blocks(schedule.get_sblock("root"))}
    return schedule.get_sblock(name) if name in present else None


def widened(value: Any) -> Any:
    """Return an fp16 expression converted to fp32, any other unchanged: only products and their sums are fp16."""
    return value.astype(F32) if type_of(value) == "float16" else value


def type_of(value: Any) -> str:
    """Return the element type of a TE expression."""
    return str(value.dtype if hasattr(value, "dtype") else value.ty)


def f32(value: float) -> Any:
    """Return a float constant."""
    return tirx.const(float(value), F32)


def floordiv(value: Any, divisor: int) -> Any:
    """Return value // divisor on index expressions."""
    return tirx.floordiv(value, divisor)


def floormod(value: Any, divisor: int) -> Any:
    """Return value % divisor on index expressions."""
    return tirx.floormod(value, divisor)


def copy_rows(sch: Schedule, stage: Any) -> None:
    """Schedule the columns of a padded stage, and its lanes if packed, with conditions only at the ends of a row."""
    packed = len(sch.get(stage).iter_vars) == PACKED_RANK
    columns = sch.get_loops(stage)[-2 if packed else -1]
    if packed:
        sch.vectorize(sch.get_loops(stage)[-1])
    sch.annotate(columns, "pragma_loop_partition_hint", 1)


def padded_stage(
    source: te.Tensor,
    shape: Sequence[int],
    before: Sequence[int],
    value: float | tirx.PrimExpr,
    read: Callable[..., Any] | None = None,
    extents: Sequence[int] | None = None,
    name: str = "padded",
) -> te.Tensor:
    """Return `source` copied into a tensor of `shape` at position `before`; `value` elsewhere.

    Args:
        source: Tensor to read, unless `read` is given.
        shape: Shape of the result.
        before: Number of elements before the source on each axis.
        value: Value of the padding; an expression if the source is not a float.
        read: Returns the expression of the source element at an index.
        extents: Shape of the source where `read` is given.
        name: Name of the stage.
    """
    extents = [int(extent) for extent in (source.shape if extents is None else extents)]
    read = source if read is None else read

    def element(*index: Any) -> Any:
        inside = []
        for at, first, extent, whole in zip(index, before, extents, shape, strict=True):
            if first:
                inside.append(at >= first)
            if first + extent < whole:
                inside.append(at < first + extent)
        item = read(*(at - first for at, first in zip(index, before, strict=True)))
        filling = tirx.const(value, type_of(item)) if isinstance(value, float) else value
        return tirx.if_then_else(tirx.all(*inside), item, filling) if inside else item

    return te.compute(tuple(shape), element, name=name)
