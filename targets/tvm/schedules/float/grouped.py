"""Grouped convolution in dense tiles: a tile of output channels reads the inputs of all groups that it overlaps."""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import tirx

from edgec.targets.tvm.schedules.common.kernel import SIMPLIFIED, floordiv
from edgec.targets.tvm.schedules.float.conv_plan import ConvShape, first_group, group_span
from edgec.targets.tvm.schedules.float.loops import first_places, only_where

GROUPS_LOOP = "rc_0"
"""TVM's name of the outer part of the loop `rc`, which runs over the groups of a tile's window."""


def skip_foreign_groups(function: Any, shape: ConvShape, vectors: int, channels: int) -> Any:
    """Return `function` without the products of groups that contain no channel of the tile: their weights are zero.

    All windows are as wide as the widest, but most tiles of a network with wide groups lie in one group.

    Args:
        function: Scheduled convolution; the window's groups are its loop `GROUPS_LOOP`.
        shape: The convolution.
        vectors: Vectors of output channels in a tile.
        channels: Output channels in a tile.
    """
    span, each = group_span(shape, channels), shape.out // shape.groups

    def limit(loop: Any, mutator: Any) -> Any:
        if loop.loop_var.name != GROUPS_LOOP:
            return mutator.default_mutate(loop)
        tile = floordiv(first_places(loop)(1), vectors)
        first = floordiv(tile * channels, each)
        last = floordiv(tirx.min((tile + 1) * channels, shape.out) - 1, each)
        group = first_group(tile, channels, span, shape) + loop.loop_var
        return only_where(tirx.all(group >= first, group <= last), loop)

    if shape.groups == 1:
        return function
    if span > 1:
        function = function.with_body(tvm_ffi.structural_mutate(function.body, (tirx.For, limit)))
    return function.with_attr(SIMPLIFIED, True)  # without this LLVM leaves more conditions: 15 % more instructions
