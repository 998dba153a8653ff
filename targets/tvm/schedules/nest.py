"""One store under loops, none of which reduces: axes become few, and vectors run along the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, sym, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.schedules.accesses import Access, accesses_of, crossed_axis, linear_address, runs
from edgec.targets.tvm.schedules.common.kernel import PARALLEL_THRESHOLD


def flattened(sch: Schedule, block: Any) -> Schedule:
    """Return `sch` with axes of its only `block` that every address runs through as through one made one axis.

    Elements are then read and written at addresses rather than indices, as if the last axis had no end: TVM cannot tell
    that `(v // 784 + 58) * 784 + v % 784` is `v + 45472` where v counts the lanes of vectors, and loads lane by lane.
    """
    found = sch.get(block)
    accesses = accesses_of(found)
    sizes = [int(axis.dom.extent) for axis in found.iter_vars]
    groups = runs(accesses, sizes)
    if crossed_axis(accesses) is not None or len(groups) == len(sizes):
        return sch

    def fused(*index: Any) -> list[Any]:
        return [_joined([index[axis] for axis in group], [sizes[axis] for axis in group]) for group in groups]

    dtype = str(found.iter_vars[0].var.ty.dtype)
    sch.transform_block_layout(block, tirx.IndexMap.from_func(fused, ndim=len(sizes), index_dtype=dtype))
    return Schedule(_addressed(sch.mod["main"], sch.get(block)))


def _joined(index: Sequence[Any], extents: Sequence[int]) -> Any:
    """Return the place in one axis of `index` over axes of `extents`."""
    place, *others = index
    for at, extent in zip(others, extents[1:], strict=True):
        place = place * extent + at
    return place


def _addressed(function: tirx.PrimFunc, block: Any) -> tirx.PrimFunc:
    """Return `function` with addresses in place of the indices of `block` that are linear in its axes."""
    analyzer = sym.Analyzer()
    variables = [axis.var for axis in block.iter_vars]
    for axis in block.iter_vars:
        analyzer.bind(axis.var, axis.dom)

    def indices(buffer: Any, given: Sequence[Any]) -> list[Any]:
        address = linear_address(buffer, given, variables, analyzer)
        return list(given) if address is None else [*(tirx.const(0, str(address.ty.dtype)) for _ in given[1:]), address]

    def load(each: tvm.ir.TensorLoad) -> Any:
        return tirx.BufferLoad(each.source, indices(each.source, each.indices)) if each.indices else each

    def store(each: tirx.BufferStore) -> Any:
        return tirx.BufferStore(each.buffer, each.value, indices(each.buffer, each.indices))

    body = tvm_ffi.structural_map(function.body, (tvm.ir.TensorLoad, load))
    return function.with_body(tvm_ffi.structural_map(body, (tirx.BufferStore, store)))


def schedule_nest(sch: Schedule, block: Any, lanes: int) -> None:
    """Schedule the loops of `block`: vectors along the last axis, tiles if a tensor runs along another."""
    loops, accesses = sch.get_loops(block), accesses_of(sch.get(block))
    sizes = [int(sch.get(loop).extent) for loop in loops]
    parted = _can_be_parted(sch.get(block), accesses)
    crossed = crossed_axis(accesses)
    if crossed is not None and min(sizes[crossed], sizes[-1]) >= lanes:
        outer, row = sch.split(loops[crossed], [None, lanes])
        columns, column = sch.split(loops[-1], [None, lanes])
        others = [loop for axis, loop in enumerate(loops[:-1]) if axis != crossed]
        sch.reorder(*others, outer, columns, row, column)
        parallel(sch, [*others, outer], math.prod(sizes))
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
    parallel(sch, fused[:-1] or fused, math.prod(sizes))


def parallel(sch: Schedule, loops: list[Any], elements: int) -> None:
    """Share `loops` out among threads where they make enough `elements`."""
    if elements >= PARALLEL_THRESHOLD:
        sch.parallel(sch.fuse(*loops) if len(loops) > 1 else loops[0])


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


def whole_vectors(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Return `function` with the last vector of a row moved back where it would end behind the row.

    Elements that two vectors hold are computed twice. TVM would ask of each lane whether it is inside, one by one.
    """

    def vector(loop: tirx.For) -> Any:
        realize = loop.body
        if int(loop.kind) != tirx.ForKind.VECTORIZED or not isinstance(realize, s_tir.SBlockRealize):
            return loop
        conditions = _conjunction(realize.predicate)
        of_lanes = [each for each in conditions if _holds(each, loop.loop_var)]
        if len(of_lanes) != 1 or not _is_limit(of_lanes[0]) or not _can_be_repeated(realize.block):
            return loop
        inside = of_lanes[0]
        places = list(realize.iter_values)
        moving = [at for at, place in enumerate(places) if _shares_variable(place, inside.a)]
        if len(moving) != 1 or not tvm_ffi.structural_equal(places[moving[0]], inside.a):
            return loop
        first = tvm_ffi.structural_map(
            inside.a, (tvm.ir.Var, lambda each: tirx.const(0, each.ty.dtype) if each.same_as(loop.loop_var) else each)
        )
        places[moving[0]] = tirx.min(first, inside.b - loop.extent) + loop.loop_var
        others = [each for each in conditions if not each.same_as(inside)]
        body = s_tir.SBlockRealize(places, tirx.all(*others) if others else True, realize.block)
        return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, body, loop.thread_binding, loop.annotations)

    return function.with_body(tvm_ffi.structural_map(function.body, (tirx.For, vector)))


def _conjunction(condition: Any) -> list[Any]:
    return [*_conjunction(condition.a), *_conjunction(condition.b)] if isinstance(condition, tirx.And) else [condition]


def _variables(expression: Any) -> list[Any]:
    found: list[Any] = []
    tvm_ffi.structural_walk(expression, (tvm.ir.Var, found.append))
    return found


def _holds(expression: Any, variable: Any) -> bool:
    return any(each.same_as(variable) for each in _variables(expression))


def _shares_variable(first: Any, second: Any) -> bool:
    return any(_holds(second, variable) for variable in _variables(first))


def _is_limit(condition: Any) -> bool:
    return isinstance(condition, tirx.LT) and isinstance(condition.b, tirx.IntImm)


def _can_be_repeated(block: Any) -> bool:
    """Whether elements of `block` may be computed twice, and no choice depends on where: loops are cut up for that."""
    store, found = block.body, []
    if not isinstance(store, tirx.BufferStore):
        return False

    def call(each: tvm.ir.Call) -> None:
        found.append(isinstance(each.op, tvm.ir.Op) and each.op.name.endswith("if_then_else"))

    def load(each: tvm.ir.TensorLoad) -> None:
        found.append(each.source.same_as(store.buffer))

    tvm_ffi.structural_walk(store.value, ((tvm.ir.Call, call), (tvm.ir.TensorLoad, load)))
    return not any(found)
