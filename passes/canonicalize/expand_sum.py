"""Write Sum of two or more values as Add, the one form of addition that later steps look for."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.edit import insert_before, substitute
from edgec.model.graph import label
from edgec.passes.canonicalize.rule import Outcome, rule


@rule("Sum")
def expand_sum(node: ir.Node) -> Outcome:
    """Before: Sum(a, b, c). After: Add(Add(a, b), c). Same order of additions as ONNX Runtime, so exact."""
    values = [value for value in node.inputs if value is not None]
    if len(values) < 2:
        return None
    done = f"{label(node)}: Sum of {len(values)} written as Add"
    total = values[0]
    for value in values[1:-1]:
        total = insert_before(node, "Add", [total, value], stem=f"{node.outputs[0].name}_partial")
    substitute(node, "Add", [total, values[-1]])
    return done
