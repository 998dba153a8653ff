"""Kernels without a reduction: elementwise regions, concat, upsampling, interleaving, and copies between layouts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.memory import JOINS
from edgec.targets.tvm.regions.graph import Array, Node
from edgec.targets.tvm.regions.grow import Region
from edgec.targets.tvm.schedules.common.kernel import (
    F32,
    PARALLEL_THRESHOLD,
    Kernel,
    Operand,
    finish,
    floordiv,
    floormod,
    type_of,
)
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression, pack_channels, packed_shape
from edgec.targets.tvm.schedules.common.tiles import TASKS_PER_CORE, block_of
from edgec.targets.tvm.target_model import TargetModel

MOVED = ("float32", "int8", "uint8")
"""Elements of tensors that are moved without a look at them."""


def match_concat(node: Node) -> bool:
    """Whether `node` joins channels of NCHW tensors, at least one of them packed."""
    if node.op != "relax.concat" or node.shape is None or len(node.shape) != 4 or node.dtype not in MOVED:
        return False
    parts = node.args[0]
    whole = all(part.shape is not None and part.dtype == node.dtype for part in parts)
    packed = any(isinstance(part, Node) and part.packed for part in parts)
    return whole and int(node.attrs.axis) in (1, -3) and packed


def match_upsample(node: Node) -> bool:
    """Whether `node` repeats pixels a whole number of times."""
    return node.op == "edgec.upsample" and bool(node.args[0].packed)


def match_interleave(node: Node) -> bool:
    """Whether `node` puts the phases of a transposed convolution into place."""
    return node.op == "edgec.interleave"


def lower_elementwise(region: Region, model: TargetModel) -> Kernel:
    """Return the kernel of a region without anchor."""
    expression = PackedExpression(region.members, model)
    return injective_kernel(expression, [], [], lambda *i: expression.at(i, None), None, "elementwise", model)


def lower_upsample(region: Region, model: TargetModel) -> Kernel:
    """Return the kernel of a nearest-neighbour upsampling region."""
    node = region.anchor
    high, wide = node.facts["factors"]
    expression = PackedExpression(region.members, model)
    stored = model.stored(node.args[0].dtype)
    source = te.placeholder(packed_shape(node.args[0].shape, expression.block), stored, name="source")

    def value(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        return expression.at((n, c, h, w, b), source[n, c, floordiv(h, high), floordiv(w, wide), b])

    return injective_kernel(expression, [source], [Operand(node.args[0], packed=True)], value, None, "upsample", model)


def lower_concat(region: Region, model: TargetModel) -> Kernel:
    """Return the kernel of a concat region; vectors are the longest runs contiguous in every operand."""
    expression = PackedExpression(region.members, model)
    block = expression.block
    parts: list[tuple[te.Tensor, int, int]] = []
    operands, first, run = [], 0, block
    stored = model.stored(region.anchor.dtype)
    for index, part in enumerate(region.anchor.args[0]):
        part_block = block_of(part.shape[1], model)
        run = math.gcd(run, math.gcd(part_block, first))
        tensor = te.placeholder(packed_shape(part.shape, part_block), stored, name=f"part{index}")
        parts.append((tensor, first, part_block))
        operands.append(Operand(part, packed=True) if isinstance(part, Node) else _packed(part, part_block, stored))
        first += part.shape[1]
    if any(start % run for _, start, _ in parts):
        run = 1

    def value(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        channel = c * block + b
        element = None
        for tensor, start, part_block in reversed(parts):
            at = channel - start
            # Lanes past the last channel repeat no operand's memory: they read what the last operand pads with.
            item = tensor[n, floordiv(at, part_block), h, w, floormod(at, part_block)]
            element = (
                item if element is None else tirx.if_then_else(floordiv(channel, run) < ends[start], item, element)
            )
        return expression.at((n, c, h, w, b), element)

    starts = [start for _, start, _ in parts] + [first]
    ends = {start: after // run for start, after in pairwise(starts)}
    last, start, part_block = parts[-1]
    covered = start + int(last.shape[1]) * part_block
    if covered < packed_shape(expression.shape, block)[1] * block:
        value = _guard_tail(value, first, block)
    kernel = injective_kernel(expression, [part for part, _, _ in parts], operands, value, run, "concat", model)
    pixels = math.prod(expression.shape[2:])
    alone = len(region.members) == 1 and expression.shape[0] == 1
    joins = alone and all(isinstance(operand.source, Node) for operand in operands)
    if joins and all(part_block == block and start % block == 0 for _, start, part_block in parts):
        offsets = [start * pixels * np.dtype(stored).itemsize for _, start, _ in parts]
        return replace(kernel, function=kernel.function.with_attr(JOINS, offsets))
    return kernel


def _packed(array: Array, block: int, dtype: str) -> Operand:
    return Operand(pack_channels(array, block).astype(dtype))


def _guard_tail(value: Callable[..., Any], channels: int, block: int) -> Callable[..., Any]:
    """Return `value` with zeros past the last channel, where reading on would leave the last operand."""

    def guarded(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        item = value(n, c, h, w, b)
        return tirx.if_then_else(c * block + b < channels, item, tirx.const(0, type_of(item)))

    return guarded


def lower_interleave(region: Region, model: TargetModel) -> Kernel:
    """Return the kernel that moves phase (h + p) mod s of a transposed convolution's channels to pixel h."""
    node = region.anchor
    (sh, sw), (top, left) = node.facts["strides"], node.facts["before"]
    expression = PackedExpression(region.members, model)
    block, each = expression.block, node.facts["channels"]
    phase_block = block_of(node.args[0].shape[1], model)
    stored = model.stored(node.args[0].dtype)
    source = te.placeholder(packed_shape(node.args[0].shape, phase_block), stored, name="source")
    run = math.gcd(each, block, phase_block)

    def value(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        phase = floormod(h + top, sh) * sw + floormod(w + left, sw)
        row, column = floordiv(h + top, sh), floordiv(w + left, sw)
        # In whole runs, so that these are vectors; spare lanes repeat the last of them.
        first = c * (block // run) + floordiv(b, run)
        first = phase * (each // run) + (first if each % block == 0 else tirx.min(first, each // run - 1))
        part = floormod(first, phase_block // run) * run + floormod(b, run)
        return expression.at((n, c, h, w, b), source[n, floordiv(first, phase_block // run), row, column, part])

    return injective_kernel(expression, [source], [Operand(node.args[0], packed=True)], value, run, "interleave", model)


def unpack_function(shape: tuple[int, ...], model: TargetModel, dtype: str = F32) -> Any:
    """Return the function that copies a packed tensor of NCHW `shape` to plain layout."""
    block = block_of(shape[1], model)
    source = te.placeholder(packed_shape(shape, block), model.stored(dtype), name="source")
    out = te.compute(
        shape, lambda n, c, h, w: source[n, floordiv(c, block), h, w, floormod(c, block)].astype(dtype), name="out"
    )
    return finish(schedule(Schedule(te.create_prim_func([source, out])), model, run=1 if shape[2:] != (1, 1) else None))


def pack_function(shape: tuple[int, ...], model: TargetModel, dtype: str = F32) -> Any:
    """Return the function that copies a plain NCHW tensor of `shape` to packed layout, zeros in spare lanes."""
    block = block_of(shape[1], model)
    source = te.placeholder(shape, dtype, name="source")

    def value(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        item = source[n, c * block + b, h, w]
        if shape[1] % block:
            item = tirx.if_then_else(c * block + b < shape[1], item, tirx.const(0, dtype))
        return item.astype(model.stored(dtype))

    out = te.compute(packed_shape(shape, block), value, name="out")
    return finish(schedule(Schedule(te.create_prim_func([source, out])), model, run=1))


def injective_kernel(
    expression: PackedExpression,
    tensors: list[te.Tensor],
    operands: list[Operand],
    value: Callable[..., Any],
    run: int | None,
    rule: str,
    model: TargetModel,
) -> Kernel:
    """Return the kernel of a region that computes `value` at each packed index.

    Args:
        expression: The elementwise part; its operands come last.
        tensors: Placeholders that `value` reads.
        operands: What to call the kernel with for them.
        value: Element of the result at (n, c, h, w, b).
        run: See `schedule`.
        rule: Name of the workload.
        model: The CPU.
    """
    out = te.compute(packed_shape(expression.shape, expression.block), value, name="out")
    sch = schedule(Schedule(te.create_prim_func([*tensors, *expression.tensors, out])), model, run=run)
    return Kernel(finish(sch), [*operands, *expression.operands], expression.shape, packed=True, rule=rule)


def schedule(sch: Schedule, model: TargetModel, *, run: int | None = None) -> Schedule:
    """Vectorize the innermost axis, run the outer ones in parallel.

    Args:
        sch: Schedule with the one block `out`.
        model: The CPU.
        run: Longest run of the innermost axis that is contiguous in every operand; None: the whole axis.
    """
    loops = sch.get_loops(sch.get_sblock("out"))
    extents = [int(sch.get(loop).extent) for loop in loops]
    total = math.prod(extents)
    width = extents[-1] if run is None else math.gcd(run, extents[-1])
    if width > model.lanes:
        width = math.gcd(width, model.lanes)
    outer = loops[:-1]
    if width > 1:
        split, lane = sch.split(loops[-1], [None, width])
        sch.vectorize(lane)
        outer = [*outer, split]
    elif len(outer) > 1 and extents[-1] <= model.lanes:
        sch.unroll(loops[-1])
    if total < PARALLEL_THRESHOLD or not outer:
        return sch
    count, tasks = 0, 1
    while count < len(outer) and (count == 0 or tasks < 4 * TASKS_PER_CORE * model.cores):
        tasks *= int(sch.get(outer[count]).extent)
        count += 1
    sch.parallel(sch.fuse(*outer[:count]) if count > 1 else outer[0])
    return sch
