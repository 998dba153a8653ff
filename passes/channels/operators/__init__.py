"""Operators whose channels are followed: a file for each kind, a line here; more come from plugins."""

from __future__ import annotations

from functools import cache

import onnx_ir as ir

from edgec import registry
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.operators import (
    concat_split,
    convolution,
    elementwise,
    expand,
    matrix_product,
    normalization,
    pad,
    pooling,
    recurrent,
    reduction,
    reshape,
    resize,
    slicing,
    space_depth,
    transpose,
)

OWN = (
    concat_split,
    convolution,
    elementwise,
    expand,
    matrix_product,
    normalization,
    pad,
    pooling,
    recurrent,
    reduction,
    reshape,
    resize,
    slicing,
    space_depth,
    transpose,
)


def operator_of(node: ir.Node) -> ChannelOperator | None:
    """Return what is known of the operator of `node`; None: its channels cannot be followed.

    Raises:
        BadOption: An operator of a plugin cannot be imported.
    """
    return _operators().get((node.domain, node.op_type))


@cache
def _operators() -> dict[tuple[str, str], ChannelOperator]:
    own = [each for module in OWN for each in module.OPERATORS]
    plugins: list[ChannelOperator] = [
        registry.load("channel_operators", name) for name in registry.names("channel_operators")
    ]
    return {(each.domain, op): each for each in (*plugins, *own) for op in each.ops}
