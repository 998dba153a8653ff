"""The elementwise part of a region as one TE expression over packed tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import te

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, pack_channels, packed_shape
from edgec.targets.tvm.regions.elementwise import BINARY, COARSE, UNARY, clip, leaky_relu
from edgec.targets.tvm.regions.facts import Array, Scaling
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.operators import DEQUANTIZE, QUANTIZE
from edgec.targets.tvm.regions.rule import Operand
from edgec.targets.tvm.schedules.common.kernel import f32, widened
from edgec.targets.tvm.schedules.common.requantize import dequantize, quantize


class PackedExpression:
    """Builds the value of a region's tail at a packed index, and collects the operands that it reads.

    Args:
        members: Members of the region in topological order.
        cpu: The CPU.
        flat: Whether the kernel sees H and W as one axis (pointwise convolution).
    """

    def __init__(self, members: list[Node], cpu: CpuModel, *, flat: bool = False) -> None:
        assert members[-1].shape is not None
        self.members = {id(member) for member in members}
        self.anchor, self.tail = members[0], members[-1]
        self.cpu, self.flat = cpu, flat
        self.shape = members[-1].shape
        self.block = block_of(self.shape[1], cpu)
        self.tensors: list[te.Tensor] = []
        self.operands: list[Operand] = []
        self.flat_names: list[str] = []
        self._known: dict[int, Callable[..., Any]] = {}
        self._keep: list[Any] = []

    def at(self, index: tuple[Any, ...], anchor_value: Any | None) -> Any:
        """Return the tail's value at packed `index`, in the type in which it is stored.

        `anchor_value` is the anchor's value there; None: the anchor is elementwise.
        """
        memo: dict[int, Any] = {}
        if anchor_value is not None:
            memo[id(self.anchor)] = widened(anchor_value)

        def value(arg: Any) -> Any:
            if isinstance(arg, np.ndarray):
                return f32(float(arg.reshape(-1)[0])) if arg.size == 1 else self._constant(arg)(*index)
            if id(arg) not in memo:
                if self.tail.op == QUANTIZE and arg.op in COARSE and id(arg) in self.members:
                    memo[id(arg)] = COARSE[arg.op](value(arg.args[0]))
                else:
                    memo[id(arg)] = apply(arg, value) if id(arg) in self.members else self._external(arg)(*index)
            return memo[id(arg)]

        return value(self.tail).astype(self.cpu.stored(self.tail.dtype))

    def _external(self, node: Node) -> Callable[..., Any]:
        if node.op == DEQUANTIZE:
            read = self._external(node.args[0])
            return lambda *index: apply(node, lambda _: read(*index))
        if id(node) not in self._known:
            assert node.shape is not None
            block = block_of(node.shape[1], self.cpu)
            flat = self.flat and node.shape[2:] == self.shape[2:]
            extents, stored = packed_shape(node.shape, block, flat=flat), self.cpu.stored(node.dtype)
            self._add(node, extents, stored, Operand(node, packed=True), flat, node.shape)
        return self._known[id(node)]

    def _constant(self, array: Array) -> Callable[..., Any]:
        if id(array) not in self._known:
            self._keep.append(array)
            full = array.reshape((1,) * (4 - array.ndim) + array.shape)
            if self.flat and full.shape[2:] != (1, 1):
                full = np.broadcast_to(full, (*full.shape[:2], *self.shape[2:]))
                full = full.reshape(*full.shape[:2], 1, -1)
            packed = pack_channels(full, self.block if full.shape[1] > 1 else 1)
            shape = (full.shape[0], full.shape[1], *self.shape[2:]) if packed.shape[3] > 1 and self.flat else full.shape
            self._add(array, packed.shape, "float32", Operand(packed), False, shape)
        return self._known[id(array)]

    def _add(
        self, key: Any, extents: tuple[int, ...], dtype: str, operand: Operand, flat: bool, shape: tuple[int, ...]
    ) -> None:
        tensor = te.placeholder(extents, dtype, name=f"in{len(self.tensors)}")
        self.tensors.append(tensor)
        self.operands.append(operand)
        if flat:
            self.flat_names.append(tensor.op.name)
        one_channel = shape[1] == 1 and self.shape[1] != 1

        def read(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
            n = 0 if extents[0] == 1 else n
            c, b = (0, 0) if one_channel else (c, b)
            h = 0 if extents[2] == 1 else h
            w = 0 if extents[3] == 1 else w
            return widened(tensor[n, c, h, w, 0 if extents[4] == 1 else b])

        self._known[id(key)] = read


def apply(node: Node, value: Callable[[Any], Any]) -> Any:
    """Return the expression of one elementwise node; `value` returns that of an argument."""
    if node.op in UNARY:
        return UNARY[node.op](value(node.args[0]))
    if node.op in BINARY:
        return BINARY[node.op](value(node.args[0]), value(node.args[1]))
    if node.op == "relax.clip":
        low, high = (float(bound.value) for bound in node.args[1:3])
        return clip(value(node.args[0]), low, high)
    if node.op in (QUANTIZE, DEQUANTIZE):
        scaling = node.known(Scaling)
        if node.op == QUANTIZE:
            return quantize(value(node.args[0]), scaling.scale, scaling.zero_point, node.dtype)
        return dequantize(value(node.args[0]), scaling.scale, scaling.zero_point)
    return leaky_relu(value(node.args[0]), float(node.attrs.alpha))
