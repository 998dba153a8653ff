"""A range of a packed tensor's channels: a view if it begins and ends with a block, else a copy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from tvm import te, tirx

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.memory import SLICES
from edgec.targets.tvm.packed_layout import block_of, packed_shape
from edgec.targets.tvm.regions.facts import Slice
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.operators import CHANNELS
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import floordiv, floormod
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.packed.injective import injective_kernel


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` takes a range of channels from a packed tensor."""
    return node.op == CHANNELS and node.dtype == "float32" and bool(node.args[0].packed)


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a region that begins with a range of channels."""
    node = region.anchor
    start, shape = node.known(Slice).start, node.args[0].shape
    expression = PackedExpression(region.members, cpu)
    block, whole_block = expression.block, block_of(shape[1], cpu)
    source = te.placeholder(packed_shape(shape, whole_block), cpu.storage, name="source")
    aligned = block == whole_block and start % block == 0

    def value(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        if aligned:
            item = source[n, c + start // block, h, w, b]
        else:
            # Padding lanes of the last block must stay inside the tensor.
            channel = tirx.min(c * block + b + start, shape[1] - 1)
            item = source[n, floordiv(channel, whole_block), h, w, floormod(channel, whole_block)]
        return expression.at((n, c, h, w, b), item)

    run = None if aligned else math.gcd(math.gcd(block, whole_block), start)
    run = 1 if not aligned and node.shape is not None and node.shape[1] % block else run
    operands = [Operand(node.args[0], packed=True)]
    kernel = injective_kernel(expression, [source], operands, value, run, cpu)
    if aligned and len(region.members) == 1 and shape[0] == 1:
        offset = start * math.prod(shape[2:]) * np.dtype(cpu.storage).itemsize
        return replace(kernel, function=kernel.function.with_attr(SLICES, offset))
    return kernel


RULE = Rule("channels", "packed", match, lower)
