"""Keeps SiLU in one form, x * Sigmoid(x), because operator sets before 24 have no operator for it."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.edit import insert_before, substitute
from edgec.model.graph import attribute, label
from edgec.passes.canonicalize.operands import own_producer
from edgec.passes.canonicalize.rule import Outcome, rule


@rule("Mul")
def order_silu(node: ir.Node) -> Outcome:
    """Before: Sigmoid(x) * x. After: x * Sigmoid(x). Exact."""
    gate, x = node.inputs
    sigmoid = own_producer(gate, "Sigmoid")
    if sigmoid is None or x is None or sigmoid.inputs[0] is not x:
        return None
    done = f"{label(node)}: SiLU written as x * Sigmoid(x)"
    substitute(node, "Mul", [x, gate])
    return done


@rule("Swish")
def expand_swish(node: ir.Node) -> Outcome:
    """Before: Swish(x) of opset 24 with alpha 1. After: x * Sigmoid(x)."""
    x = node.inputs[0]
    if x is None or attribute(node, "alpha", 1.0) != 1.0:
        return None
    done = f"{label(node)}: Swish written as x * Sigmoid(x)"
    output = node.outputs[0]
    shape = None if output.shape is None or not output.shape.is_static() else output.shape.numpy()
    gate = insert_before(node, "Sigmoid", [x], stem=f"{output.name}_gate", shape=shape)
    substitute(node, "Mul", [x, gate])
    return done
