"""Removes the first of two Casts if it loses nothing that the second one keeps."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import substitute
from edgec.model.graph import label
from edgec.passes.canonicalize.rule import Outcome, Refused, rule


@rule("Cast")
def merge_cast(node: ir.Node) -> Outcome:
    """Before: Cast(Cast(x)). After: Cast(x).

    Exact, because it is done only if the type between holds every value of x (int32 through int64 or double).
    """
    first = node.inputs[0].producer() if node.inputs[0] is not None else None
    if first is None or first.domain != "" or first.op_type != "Cast" or first.inputs[0] is None:
        return None
    x = first.inputs[0]
    source, between = x.dtype, first.outputs[0].dtype
    if source is None or between is None:
        return None
    if not _holds(between, source):
        return Refused(f"the cast before it, from {source.name} to {between.name}, may change values")
    done = f"{label(node)}: merged with the Cast before it"
    substitute(node, "Cast", [x], node.attributes)
    return done


def _holds(between: ir.DataType, source: ir.DataType) -> bool:
    """Return whether `between` holds every value of `source`."""
    # numpy also calls these safe: 64-bit integers to double, numbers to strings, integers to 8-bit floats.
    if source in (ir.DataType.INT64, ir.DataType.UINT64) and between == ir.DataType.DOUBLE:
        return False
    return np.issubdtype(between.numpy(), np.number) and np.can_cast(source.numpy(), between.numpy(), casting="safe")
