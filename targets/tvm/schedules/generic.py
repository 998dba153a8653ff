"""Functions from TVM's own legalization: a schedule for injective ones; all others are an explicit fallback."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import ScheduleError

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.intrinsics import PREFIX, with_functions
from edgec.targets.tvm.report import FALLBACK
from edgec.targets.tvm.schedules.accesses import Access, accesses_of, crossed_axis, runs
from edgec.targets.tvm.schedules.common.kernel import PARALLEL_THRESHOLD
from edgec.targets.tvm.strict import is_strict

SPATIAL = 0
"""`IterVar.iter_type` of a data-parallel axis."""
OWN = ("erf", "exp", "log", "sigmoid", "tanh")
"""TIR operators with a function of the same name in `intrinsics`."""
VECTOR_OPERATORS = frozenset(
    (
        *("exp", "exp2", "log", "log2", "sqrt", "floor", "ceil", "fabs", "round", "trunc", "nearbyint", "pow"),
        *("sin", "cos", "tanh", "sigmoid", "fma", "reinterpret", "if_then_else", "likely", "isnan"),
    )
)
"""Operators that TVM can lower for vectors, without their dialect; others (cosh, erf by library) are scalar only."""
LONGEST_EXPRESSION = 256
"""Maximum number of elements that an expression reads after inlining; longer ones are stored first."""


def schedule_function(function: tirx.PrimFunc, cpu: CpuModel) -> tuple[tirx.PrimFunc, str]:
    """Return `function` scheduled, and the rule: `injective`, or the fallback for reductions or irregular loops."""
    if not (isinstance(function.body, s_tir.SBlockRealize) and function.body.block.name_hint == "root"):
        return function, FALLBACK  # no schedule applies to loops that TVM wrote out, such as those of cumulative sums
    try:
        sch = Schedule(with_intrinsics(function))
        lanes = cpu.lanes if _vectorizes(sch.mod["main"]) else 1
        blocks = _inline(sch)
        reductions = [block for block in blocks if not _is_spatial(sch, block)]
        for block in blocks:
            _schedule_block(sch, block, lanes)
    except (ScheduleError, tvm.error.InternalError, ValueError, RuntimeError, TypeError):
        if is_strict():
            raise
        # A function that TVM accepts without a schedule still compiles; the report shows that it has none.
        return function, FALLBACK
    scheduled = with_functions(sch.mod["main"]).with_attr("tirx.is_scheduled", True)
    return scheduled, FALLBACK if reductions else "injective"


def with_intrinsics(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Return `function` with our functions of floats in place of library calls."""

    def replaced(call: tvm.ir.Call) -> Any:
        name = call.op.name.removeprefix("tirx.") if isinstance(call.op, tvm.ir.Op) else ""
        known = name in OWN and str(call.ty) == "float32" if name else False
        return tirx.call_intrin("float32", PREFIX + name, call.args[0]) if known else call

    return function.with_body(tvm_ffi.structural_map(function.body, (tvm.ir.Call, replaced)))


def _vectorizes(function: tirx.PrimFunc) -> bool:
    """Return whether TVM can compute every operator of `function` on vectors."""
    found: set[str] = set()

    def visit(call: Any) -> None:
        name = call.op.name if isinstance(call.op, tvm.ir.Op) else ""
        if not name.startswith(PREFIX):
            found.add(name.rpartition(".")[2])

    tvm_ffi.structural_walk(function.body, (tvm.ir.Call, visit))
    return found <= VECTOR_OPERATORS


def _inline(sch: Schedule) -> list[Any]:
    """Inline injective producers unless the expression becomes too long; return the blocks that stay."""
    inlined: dict[Any, int] = {}
    producers = sch.get_child_blocks(sch.get_sblock("root"))[:-1]
    # The counts before any inlining: a value that is read twice is written out twice, at each level again.
    for block, before in [(block, sch.get(block)) for block in producers]:
        terms = _terms(before, inlined)
        if terms > LONGEST_EXPRESSION:
            continue
        try:
            sch.compute_inline(block)
        except ScheduleError:
            continue
        inlined[before.writes[0].source] = terms
    return list(sch.get_child_blocks(sch.get_sblock("root")))


def _terms(block: Any, inlined: Mapping[Any, int]) -> int:
    """Return how many elements `block` reads; for an inlined buffer, those that its own block reads."""
    terms = 0

    def visit(load: tvm.ir.TensorLoad) -> None:
        nonlocal terms
        terms += inlined.get(load.source, 1)

    tvm_ffi.structural_walk(block.body, (tvm.ir.TensorLoad, visit))
    return terms


def _is_spatial(sch: Schedule, block: Any) -> bool:
    return all(int(axis.iter_type) == SPATIAL for axis in sch.get(block).iter_vars)


def _schedule_block(sch: Schedule, block: Any, lanes: int) -> None:
    loops = sch.get_loops(block)
    kinds = [int(axis.iter_type) for axis in sch.get(block).iter_vars]
    extents = [sch.get(loop).extent for loop in loops]
    if not loops or len(kinds) != len(loops) or not all(isinstance(extent, (int, tirx.IntImm)) for extent in extents):
        return
    sizes = [int(extent) for extent in extents]
    leading = next((at for at, kind in enumerate(kinds) if kind != SPATIAL), len(kinds))
    if leading == len(loops) and isinstance(sch.get(block).body, tirx.BufferStore):
        accesses = accesses_of(sch.get(block))
        _schedule_nest(sch, loops, sizes, accesses, lanes, parted=_can_be_parted(sch.get(block), accesses))
    elif leading and math.prod(sizes) >= PARALLEL_THRESHOLD:
        sch.parallel(sch.fuse(*loops[:leading]) if leading > 1 else loops[0])


def _can_be_parted(block: Any, accesses: Sequence[Access]) -> bool:
    """Return whether TVM's loop partitioning supports the loops of `block`.

    It always writes bounds in 32 bits, and fails if they are compared with 64: if `block` computes in 64 bits, by its
    data, calls or casts, so that its loops are not narrowed to 32, or if the position of an element is computed.
    """
    wide = any("int64" in str(each.source.dtype) for each in (*block.reads, *block.writes))

    def visit(value: Any) -> None:
        nonlocal wide
        rounded = not isinstance(value, tirx.Cast) or "float" in str(value.value.ty)
        wide = wide or ("int64" in str(value.ty) and rounded)

    tvm_ffi.structural_walk(block.body, ((tvm.ir.Call, visit), (tirx.Cast, visit)))
    return not wide and all(None not in access.steps for access in accesses)


def _schedule_nest(
    sch: Schedule, loops: list[Any], sizes: list[int], accesses: list[Access], lanes: int, *, parted: bool
) -> None:
    """Schedule loops without a reduction: vectors along the last axis, tiles if a tensor runs along another."""
    crossed = crossed_axis(accesses)
    if crossed is not None and min(sizes[crossed], sizes[-1]) >= lanes:
        outer, row = sch.split(loops[crossed], [None, lanes])
        columns, column = sch.split(loops[-1], [None, lanes])
        others = [loop for axis, loop in enumerate(loops[:-1]) if axis != crossed]
        sch.reorder(*others, outer, columns, row, column)
        _parallel(sch, [*others, outer], math.prod(sizes))
        return
    groups = runs(accesses, sizes)
    fused = [sch.fuse(*(loops[axis] for axis in group)) if len(group) > 1 else loops[group[0]] for group in groups]
    width = math.prod(sizes[axis] for axis in groups[-1])
    if width < lanes and len(fused) > 1:  # rows are shorter than a vector, so vectors go across their ends
        fused = [sch.fuse(*fused)]
        width = math.prod(sizes)
    if lanes > 1 and width >= lanes:
        vectors, lane = sch.split(fused[-1], [None, lanes])
        sch.vectorize(lane)
        # If a row does not end with a vector, or a choice depends on the column, loops are split to avoid conditions.
        if parted:
            sch.annotate(vectors, "pragma_loop_partition_hint", 1)
        fused[-1] = vectors
    _parallel(sch, fused[:-1] or fused, math.prod(sizes))


def _parallel(sch: Schedule, loops: list[Any], elements: int) -> None:
    if elements >= PARALLEL_THRESHOLD:
        sch.parallel(sch.fuse(*loops) if len(loops) > 1 else loops[0])
