"""Convolution with large dilations: products with padding are left out, tap by tap."""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx

from edgec.targets.tvm.schedules.float.conv_plan import ConvShape

TAPS_LOOP = "s"
"""TVM's name of the innermost loop over taps."""
ROW, COLUMN, VERTICAL, HORIZONTAL = 2, 3, 6, 7
"""Places of the output pixel and of the tap among the axes of the reduction, see `conv`."""


def skip_padding(function: Any, shape: ConvShape, pixels: int) -> Any:
    """Return `function` without the products of taps whose row, or whole tile of `pixels` columns, is padding.

    Args:
        function: Scheduled convolution; the innermost loop over taps is `TAPS_LOOP`.
        shape: The convolution.
        pixels: Columns of a tile.
    """
    (sh, sw), (dh, dw), (top, left) = shape.strides, shape.dilation, shape.padding[:2]

    def limit(loop: Any, mutator: Any) -> Any:
        if loop.loop_var.name != TAPS_LOOP:
            return mutator.default_mutate(loop)
        within, inner = {}, loop.body
        while not isinstance(inner, s_tir.SBlockRealize):
            if isinstance(inner, tirx.For):
                within[inner.loop_var] = tirx.const(0, str(inner.loop_var.ty.dtype))
            inner = inner.body if isinstance(inner, tirx.For) else inner.seq[-1]

        def first(axis: int) -> Any:
            return tvm_ffi.structural_map(inner.iter_values[axis], (tvm.ir.Var, lambda item: within.get(item, item)))

        row = first(ROW) * sh + first(VERTICAL) * dh - top
        column = first(COLUMN) * sw + first(HORIZONTAL) * dw - left
        inside = tirx.all(row >= 0, row < shape.height, column + (pixels - 1) * sw >= 0, column < shape.width)
        body = tirx.IfThenElse(inside, loop.body, None)
        return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, body, loop.thread_binding, loop.annotations)

    return function.with_body(tvm_ffi.structural_mutate(function.body, (tirx.For, limit)))
