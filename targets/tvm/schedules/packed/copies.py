"""Copies between packed and plain layout."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, packed_shape
from edgec.targets.tvm.schedules.common.kernel import F32, finish, floordiv, floormod
from edgec.targets.tvm.schedules.packed.injective import schedule


def unpack_function(shape: tuple[int, ...], cpu: CpuModel, dtype: str = F32) -> Any:
    """Return the function that copies a packed tensor of NCHW `shape` to plain layout."""
    block = block_of(shape[1], cpu)
    source = te.placeholder(packed_shape(shape, block), cpu.stored(dtype), name="source")
    out = te.compute(
        shape, lambda n, c, h, w: source[n, floordiv(c, block), h, w, floormod(c, block)].astype(dtype), name="out"
    )
    return finish(schedule(Schedule(te.create_prim_func([source, out])), cpu, run=1 if shape[2:] != (1, 1) else None))


def pack_function(shape: tuple[int, ...], cpu: CpuModel, dtype: str = F32) -> Any:
    """Return the function that copies a plain NCHW tensor of `shape` to packed layout, with zeros in padding lanes."""
    block = block_of(shape[1], cpu)
    source = te.placeholder(shape, dtype, name="source")

    def value(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        item = source[n, c * block + b, h, w]
        if shape[1] % block:
            item = tirx.if_then_else(c * block + b < shape[1], item, tirx.const(0, dtype))
        return item.astype(cpu.stored(dtype))

    out = te.compute(packed_shape(shape, block), value, name="out")
    return finish(schedule(Schedule(te.create_prim_func([source, out])), cpu, run=1))
