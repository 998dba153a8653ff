"""`ChannelOperator`: all that pruning needs to know about one kind of operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from edgec.passes.channels.masks import Masks
from edgec.passes.channels.propagation import Propagation

Follow = Callable[[Propagation, ir.Node], "str | None"]
"""Extends the propagation by one node; or returns why it cannot: then no channel of the node is pruned."""
Adapt = Callable[[ir.Graph, ir.Node, Masks], None]
"""Adapts constants and attributes of a node that loses channels, except its weights: groups, shapes, indices ..."""


@dataclass(frozen=True)
class ChannelOperator:
    """How channels pass through some operators, and how these are adapted when channels are removed.

    A plugin registers one in the entry point group `edgec.channel_operators`.

    Attributes:
        ops: Names of the operators.
        follow: Follows channels through a node.
        adapt: Adapts a node; None: nothing has to be adapted.
        domain: Domain of the operators; empty: the standard one.
    """

    ops: tuple[str, ...]
    follow: Follow
    adapt: Adapt | None = None
    domain: str = ""
