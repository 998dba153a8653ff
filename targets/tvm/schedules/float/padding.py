"""Convolution with large dilations: products with padding are skipped, tap by tap."""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import tirx

from edgec.targets.tvm.schedules.float.conv_plan import ConvShape
from edgec.targets.tvm.schedules.float.loops import first_places, only_where

TAPS_LOOP = "s"
"""TVM's name of the innermost loop over taps."""
ROW, COLUMN, VERTICAL, HORIZONTAL = 2, 3, 6, 7
"""Numbers of the axes of the output pixel and of the tap in the reduction, see `conv`."""


def skip_padding(function: Any, shape: ConvShape, pixels: int) -> Any:
    """Return `function` without the products of taps for which the row, or the tile of `pixels` columns, is padding.

    Args:
        function: Scheduled convolution; the innermost loop over taps is `TAPS_LOOP`.
        shape: The convolution.
        pixels: Number of columns of a tile.
    """
    (sh, sw), (dh, dw), (top, left) = shape.strides, shape.dilation, shape.padding[:2]

    def limit(loop: Any, mutator: Any) -> Any:
        if loop.loop_var.name != TAPS_LOOP:
            return mutator.default_mutate(loop)
        first = first_places(loop)
        row = first(ROW) * sh + first(VERTICAL) * dh - top
        column = first(COLUMN) * sw + first(HORIZONTAL) * dw - left
        inside = tirx.all(row >= 0, row < shape.height, column + (pixels - 1) * sw >= 0, column < shape.width)
        return only_where(inside, loop)

    return function.with_body(tvm_ffi.structural_mutate(function.body, (tirx.For, limit)))
