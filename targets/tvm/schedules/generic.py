"""Functions from TVM's own legalization: a schedule for injective ones; all others are an explicit fallback."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import ScheduleError

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.intrinsics import PREFIX, with_functions
from edgec.targets.tvm.report import FALLBACK
from edgec.targets.tvm.schedules.common.kernel import PARALLEL_THRESHOLD
from edgec.targets.tvm.schedules.nest import flattened, schedule_nest, whole_vectors
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
        if len(blocks) == 1 and _is_store_nest(sch, blocks[0]):
            sch = flattened(sch, blocks[0])
            blocks = list(sch.get_child_blocks(sch.get_sblock("root")))
        reductions = [block for block in blocks if not _is_spatial(sch, block)]
        for block in blocks:
            _schedule_block(sch, block, lanes)
    except (ScheduleError, tvm.error.InternalError, ValueError, RuntimeError, TypeError):
        if is_strict():
            raise
        # A function that TVM accepts without a schedule still compiles; the report shows that it has none.
        return function, FALLBACK
    scheduled = with_functions(whole_vectors(sch.mod["main"])).with_attr("tirx.is_scheduled", True)
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


def _is_store_nest(sch: Schedule, block: Any) -> bool:
    """Whether `block` is one store under loops of known extents above 0, none of which reduces."""
    extents = [sch.get(loop).extent for loop in sch.get_loops(block)]
    known = all(isinstance(extent, (int, tirx.IntImm)) and int(extent) > 0 for extent in extents)
    whole = len(extents) == len(sch.get(block).iter_vars) > 0
    return known and whole and _is_spatial(sch, block) and isinstance(sch.get(block).body, tirx.BufferStore)


def _schedule_block(sch: Schedule, block: Any, lanes: int) -> None:
    loops = sch.get_loops(block)
    kinds = [int(axis.iter_type) for axis in sch.get(block).iter_vars]
    extents = [sch.get(loop).extent for loop in loops]
    if not loops or len(kinds) != len(loops) or not all(isinstance(extent, (int, tirx.IntImm)) for extent in extents):
        return
    sizes = [int(extent) for extent in extents]
    if 0 in sizes:  # it stores nothing
        return
    leading = next((at for at, kind in enumerate(kinds) if kind != SPATIAL), len(kinds))
    if leading == len(loops) and isinstance(sch.get(block).body, tirx.BufferStore):
        schedule_nest(sch, block, lanes)
    elif leading and math.prod(sizes) >= PARALLEL_THRESHOLD:
        sch.parallel(sch.fuse(*loops[:leading]) if leading > 1 else loops[0])
