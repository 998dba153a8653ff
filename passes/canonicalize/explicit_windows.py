"""Writes kernel, strides, dilations, pads and groups of convolutions and pools explicitly."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import label
from edgec.model.windows import CONVOLUTIONS, POOLS, unwritten, windows_of, write_out
from edgec.passes.canonicalize.rule import Outcome, Refused, rule

WINDOWED = CONVOLUTIONS | POOLS


@rule(*WINDOWED)
def explicit_windows(node: ir.Node) -> Outcome:
    """Before: `auto_pad`, `output_shape`, or attributes left to their defaults. After: all of them are explicit.

    Exact; later steps need not know the defaults.
    """
    windows = windows_of(node)
    if windows is None:
        return Refused("its shapes are unknown")
    changed = write_out(node, windows)
    return f"{label(node)}: {', '.join(changed)} made explicit" if changed else None


def left_implicit(node: ir.Node) -> int:
    """Return the number of attributes of `node`, one of `WINDOWED`, that are not explicit yet, or are superfluous."""
    windows = windows_of(node)
    return 0 if windows is None else sum(map(len, unwritten(node, windows)))
