"""Rewrites Sum of two or more values as Add, the only form of addition that later steps handle."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.edit import insert_before, substitute
from edgec.model.graph import label
from edgec.passes.canonicalize.rule import Outcome, rule


@rule("Sum")
def expand_sum(node: ir.Node) -> Outcome:
    """Before: Sum(a, b, c). After: Add(Add(a, b), c). Exact, as ONNX Runtime adds in the same order."""
    values = [value for value in node.inputs if value is not None]
    if len(values) < 2:
        return None
    done = f"{label(node)}: Sum of {len(values)} written as Add"
    total = values[0]
    for value in values[1:-1]:
        total = insert_before(node, "Add", [total, value], stem=f"{node.outputs[0].name}_partial")
    substitute(node, "Add", [total, values[-1]])
    return done
