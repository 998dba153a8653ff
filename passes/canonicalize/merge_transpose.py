"""Merges two Transposes in a row, and rewrites one that moves only axes of length 1 as Reshape."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of, substitute
from edgec.model.graph import add_constant, attribute, label
from edgec.passes.canonicalize.operands import rank_of, static_shape
from edgec.passes.canonicalize.rule import Outcome, rule


@rule("Transpose")
def merge_transpose(node: ir.Node) -> Outcome:
    """Before: Transpose(Transpose(x)). After: one Transpose of the combined permutation. Exact."""
    x = node.inputs[0]
    first = x.producer() if x is not None else None
    if x is None or first is None or first.domain != "" or first.op_type != "Transpose":
        return None
    inner, outer = permutation(first), permutation(node)
    if inner is None or outer is None:
        return None
    done = f"{label(node)}: merged with the Transpose before it"
    substitute(node, "Transpose", [first.inputs[0]], {"perm": [inner[axis] for axis in outer]})
    return done


@rule("Transpose")
def reshape_unit_transpose(node: ir.Node) -> Outcome:
    """Before: Transpose that keeps the order of all axes longer than 1. After: Reshape. Exact."""
    x, output = node.inputs[0], node.outputs[0]
    perm, shape, after = permutation(node), static_shape(x), static_shape(output)
    if perm is None or shape is None or after is None or list(perm) == sorted(perm):
        return None
    moved = [axis for axis in perm if shape[axis] != 1]
    if moved != sorted(moved) or 0 in shape:
        return None
    done = f"{label(node)}: Transpose that moves no data written as Reshape"
    target = add_constant(graph_of(node), f"{output.name}_shape", np.array(after, np.int64))
    substitute(node, "Reshape", [x, target])
    return done


def permutation(node: ir.Node) -> tuple[int, ...] | None:
    """Return the permutation of a Transpose, the default (all axes reversed) written out, or None if unknown."""
    perm = attribute(node, "perm")
    if perm is not None:
        return tuple(perm)
    rank = rank_of(node.inputs[0])
    return None if rank is None else tuple(reversed(range(rank)))
