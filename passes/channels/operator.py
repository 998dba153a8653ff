"""`ChannelOperator`: all that pruning has to know of one kind of operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from edgec.passes.channels.masks import Masks
from edgec.passes.channels.propagation import Propagation

Follow = Callable[[Propagation, ir.Node], "str | None"]
"""Extends the propagation by one node; or returns why it cannot, and then all channels of the node stay."""
Adapt = Callable[[ir.Graph, ir.Node, Masks], None]
"""Adapts what a node that loses channels holds besides weights: groups, shapes, sizes, ranges, indices."""


@dataclass(frozen=True)
class ChannelOperator:
    """How channels pass some operators, and what these need when channels go.

    A plugin registers one in the entry point group `edgec.channel_operators`.

    Attributes:
        ops: Names of the operators.
        follow: How channels pass.
        adapt: What has to be adapted; None: nothing.
        domain: Of the operators; empty: the standard one.
    """

    ops: tuple[str, ...]
    follow: Follow
    adapt: Adapt | None = None
    domain: str = ""
