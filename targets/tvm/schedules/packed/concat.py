"""Concatenation of packed tensors along channels: views if the parts are whole blocks, else a copy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from tvm import te, tirx

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.memory import JOINS
from edgec.targets.tvm.packed_layout import block_of, pack_channels, packed_shape
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import floordiv, floormod, type_of
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.packed.injective import injective_kernel

MOVED = ("float32", "int8", "uint8")
"""Element types of tensors that are copied as bytes."""


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` concatenates NCHW tensors along channels, at least one of them packed."""
    if node.op != "relax.concat" or node.shape is None or len(node.shape) != 4 or node.dtype not in MOVED:
        return False
    parts = node.args[0]
    whole = all(part.shape is not None and part.dtype == node.dtype for part in parts)
    packed = any(isinstance(part, Node) and part.packed for part in parts)
    return whole and int(node.attrs.axis) in (1, -3) and packed


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a concat region; vectors are the longest runs contiguous in every operand."""
    expression = PackedExpression(region.members, cpu)
    block = expression.block
    parts: list[tuple[te.Tensor, int, int]] = []
    operands, first, run = [], 0, block
    stored = cpu.stored(region.anchor.dtype)
    for index, part in enumerate(region.anchor.args[0]):
        part_block = block_of(part.shape[1], cpu)
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
            # Lanes past the last channel are in no operand: they read the last operand's padding.
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
    kernel = injective_kernel(expression, [part for part, _, _ in parts], operands, value, run, cpu)
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
    """Return `value` with zeros past the last channel, if reading there would exceed the last operand."""

    def guarded(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        item = value(n, c, h, w, b)
        return tirx.if_then_else(c * block + b < channels, item, tirx.const(0, type_of(item)))

    return guarded


RULE = Rule("concat", "packed", match, lower)
