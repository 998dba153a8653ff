"""Rewrites Compress with a constant condition as Gather, whose size does not depend on the data."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of, substitute
from edgec.model.graph import add_constant, attribute, constant, label
from edgec.passes.canonicalize.rule import Outcome, rule


@rule("Compress")
def constant_compress(node: ir.Node) -> Outcome:
    """Before: Compress(x, constant) along an axis. After: Gather(x, indices at which the constant is true). Exact."""
    condition, axis = constant(node.inputs[1]), attribute(node, "axis")
    if condition is None or axis is None or not condition.any():
        return None
    places = add_constant(graph_of(node), f"{node.outputs[0].name}_places", np.flatnonzero(condition))
    done = f"{label(node)}: Compress with a constant condition written as Gather"
    substitute(node, "Gather", [node.inputs[0], places], {"axis": axis})
    return done
