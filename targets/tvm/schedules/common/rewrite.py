"""Edits of a scheduled function for which there is no schedule primitive; annotations of blocks request them."""

from __future__ import annotations

import math
from typing import Any

import tvm
import tvm_ffi
from tvm import ir, s_tir, tirx

from edgec.targets.tvm.llvm_source import with_source

START = "edgec.start"
"""Annotation of an initialization: name of the parameter, [K/b, b], that replaces zero as initial value."""
MERGE = "edgec.merge"
"""Annotation of a copy of vectors, contiguous on both sides: up to four NEON registers per instruction."""
LANES = 4
WIDEST = 4
"""Maximum number of registers that one `ld1` loads."""


def rewrite(function: Any) -> Any:
    """Return the scheduled `function` with every annotation above carried out."""
    parameters = {parameter.name: parameter for parameter in function.params}
    merged = False

    def start(block: Any) -> Any:
        if START not in block.annotations:
            return block
        store, bias = block.body, parameters[block.annotations[START]]
        _, channels, *_, lane = store.indices
        read = tirx.BufferRegion(bias, [ir.Range.from_min_extent(at, 1) for at in (channels, lane)])
        value = tirx.BufferLoad(bias, [channels, lane]).astype(str(store.value.ty.dtype))
        body = tirx.BufferStore(store.buffer, value, store.indices)
        return s_tir.SBlock(block.iter_vars, [read], block.writes, block.name_hint, body)

    def merge(loop: Any, mutator: Any) -> Any:
        nonlocal merged
        nest, inner = [], loop
        while isinstance(inner, tirx.For):
            nest.append(inner)
            inner = inner.body
        constant = all(int(item.kind) in (tirx.ForKind.UNROLLED, tirx.ForKind.VECTORIZED) for item in nest)
        copies = isinstance(inner, s_tir.SBlockRealize) and MERGE in inner.block.annotations
        if not constant or not copies:
            return mutator.default_mutate(loop)
        merged = True
        return _loads(nest, inner)

    body = tvm_ffi.structural_map(function.body, (s_tir.SBlock, start))
    rewritten = function.with_body(tvm_ffi.structural_mutate(body, (tirx.For, merge)))
    return with_source(rewritten, _source()) if merged else rewritten


def _loads(nest: list[Any], realize: Any) -> Any:
    """Return the loops `nest` around the copy `realize` rewritten with as few loads as possible."""
    vectors = math.prod(int(loop.extent) for loop in nest) // LANES
    loads = [_load(nest, realize, first, min(WIDEST, vectors - first)) for first in range(0, vectors, WIDEST)]
    return tirx.SeqStmt(loads) if len(loads) > 1 else loads[0]


def _load(nest: list[Any], realize: Any, first: int, count: int) -> Any:
    """Return the copy of `count` vectors from vector `first` on."""
    block, at, values = realize.block, first * LANES, {}
    for loop in reversed(nest):
        values[loop.loop_var] = tirx.const(at % int(loop.extent), str(loop.loop_var.ty.dtype))
        at //= int(loop.extent)
    bound = {
        axis.var: _substitute(value, values) for axis, value in zip(block.iter_vars, realize.iter_values, strict=True)
    }
    store = block.body
    to = tirx.BufferLoad(store.buffer, [_substitute(index, bound) for index in store.indices])
    of = tirx.BufferLoad(store.value.source, [_substitute(index, bound) for index in store.value.indices])
    call = tirx.call_extern("void", f"edgec_ld1_{count}", tirx.address_of(to), tirx.address_of(of))
    reads, writes = ([_first_element(region, bound) for region in side] for side in (block.reads, block.writes))
    return s_tir.SBlockRealize([], True, s_tir.SBlock([], reads, writes, block.name_hint, tirx.Evaluate(call)))


def _first_element(region: Any, bound: dict[Any, Any]) -> Any:
    ranges = [ir.Range.from_min_extent(_substitute(axis.min, bound), axis.extent) for axis in region.region]
    return tirx.BufferRegion(region.source, ranges)


def _substitute(value: Any, values: dict[Any, Any]) -> Any:
    return tvm_ffi.structural_map(value, (ir.Var, lambda variable: values.get(variable, variable)))


def _source() -> str:
    """Return the functions called above in LLVM's language, the only way to request these loads; they are inlined."""
    triple = str(tvm.target.Target.current().attrs.get("mtriple", ""))
    return "\n".join(_function(count, neon=triple.startswith("aarch64")) for count in range(1, WIDEST + 1))


def _function(count: int, *, neon: bool) -> str:
    """Return the copy of `count` vectors; plain loads without `neon`, as tests run these schedules on any CPU."""
    vector, declaration = f"<{LANES} x float>", ""
    if neon and count > 1:
        registers, name = "{ " + ", ".join([vector] * count) + " }", f"@llvm.aarch64.neon.ld1x{count}.v4f32.p0"
        declaration, load = f"declare {registers} {name}(ptr)\n", f"  %all = call {registers} {name}(ptr %from)\n"
        load += "".join(f"  %v{at} = extractvalue {registers} %all, {at}\n" for at in range(count))
    else:
        load = "".join(
            f"  %q{at} = getelementptr float, ptr %from, i64 {LANES * at}\n"
            f"  %v{at} = load {vector}, ptr %q{at}, align 4\n"
            for at in range(count)
        )
    stores = "".join(
        f"  %p{at} = getelementptr float, ptr %to, i64 {LANES * at}\n  store {vector} %v{at}, ptr %p{at}, align 4\n"
        for at in range(count)
    )
    return f"define void @edgec_ld1_{count}(ptr %to, ptr %from) {{\n{load}{stores}  ret void\n}}\n{declaration}"
