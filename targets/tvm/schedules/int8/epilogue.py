"""The steps after the sums of an integer layer: real numbers, elementwise work and usually a quantization."""

from __future__ import annotations

from typing import Any

from tvm import te

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of
from edgec.targets.tvm.regions.facts import IntegerConvolution, Scaling
from edgec.targets.tvm.regions.operators import QUANTIZE
from edgec.targets.tvm.regions.rule import Operand, Region
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.common.requantize import quantize
from edgec.targets.tvm.schedules.float.conv_plan import pack_bias
from edgec.targets.tvm.schedules.int8.conv_plan import requantization


class Epilogue:
    """The steps after the sum: factor and addend per channel, then the region's elementwise work.

    If a quantization follows at once, its scale is folded into the factor.
    """

    def __init__(self, region: Region, channels: int, cpu: CpuModel, *, flat: bool = False, steps: int = 1) -> None:
        tail = region.tail
        factor, addend = requantization(region.anchor.known(IntegerConvolution))
        factor = factor / steps
        self._direct = tail.known(Scaling) if len(region.members) == 2 and tail.op == QUANTIZE else None
        if self._direct is not None:
            factor, addend = factor / self._direct.scale, addend / self._direct.scale
        self._dtype = tail.dtype
        block = block_of(channels, cpu)
        self.expression = PackedExpression(region.members, cpu, flat=flat)
        arrays = [pack_bias(factor, block), pack_bias(addend, block)]
        self._factor = te.placeholder(arrays[0].shape, name="factor")
        self._addend = te.placeholder(arrays[1].shape, name="addend")
        self._arrays = [Operand(array) for array in arrays]

    def at(self, index: tuple[Any, ...], accumulator: Any) -> Any:
        """Return the region's value at packed `index`."""
        k, b = index[1], index[4]
        value = accumulator.astype("float32") * self._factor[k, b] + self._addend[k, b]
        if self._direct is not None:
            return quantize(value, 1.0, self._direct.zero_point, self._dtype)
        return self.expression.at(index, value)

    @property
    def tensors(self) -> list[te.Tensor]:
        """Placeholders; complete after `at` was called."""
        return [self._factor, self._addend, *self.expression.tensors]

    @property
    def operands(self) -> list[Operand]:
        """The arguments for the placeholders."""
        return [*self._arrays, *self.expression.operands]
