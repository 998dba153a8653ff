"""Brings arithmetic with constants to one form: x * c + d, the constant second, at most one Mul and one Add."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of, insert_before, substitute
from edgec.model.graph import Array, add_constant, label
from edgec.passes.canonicalize.operands import is_float, own_producer, rank_of, static_shape, with_constant
from edgec.passes.canonicalize.rule import Outcome, rule


@rule("Sub", "Div")
def constant_sub_div(node: ir.Node) -> Outcome:
    """Before: x - c, x / c in floating point. After: x + (-c), x * (1 / c).

    The reciprocal is rounded once: relative error 2**-24 in float32. A quotient whose reciprocal overflows stays.
    """
    operands = with_constant(node)
    if operands is None or operands.constant_is_first or not is_float(operands.variable):
        return None
    array = operands.array
    if node.op_type == "Sub":
        new, op_type = -array, "Add"
    else:
        with np.errstate(divide="ignore", over="ignore"):
            new, op_type = (1 / array.astype(np.float64)).astype(array.dtype), "Mul"
        tiny = ml_dtypes.finfo(array.dtype).tiny  # type: ignore[no-untyped-call]
        if not np.isfinite(new).all() or (np.abs(new) < tiny).any():
            return None
    done = f"{label(node)}: {node.op_type} by a constant written as {op_type}"
    stem = f"{operands.value.name}_{'negated' if op_type == 'Add' else 'reciprocal'}"
    substitute(node, op_type, [operands.variable, add_constant(graph_of(node), stem, new)])
    return done


@rule("Mul", "Add")
def constant_second(node: ir.Node) -> Outcome:
    """Before: c * x, c + x. After: x * c, x + c. Exact."""
    operands = with_constant(node)
    if operands is None or not operands.constant_is_first:
        return None
    done = f"{label(node)}: constant operand moved to second place"
    substitute(node, node.op_type, [operands.variable, operands.value])
    return done


@rule("Mul", "Add")
def merge_constants(node: ir.Node) -> Outcome:
    """Before: (x * a) * b, (x + a) + b, (x + a) * b. After: x * (a * b), x + (a + b), x * b + (a * b).

    Only in floating point, only where the merged constant is no larger than the larger of a and b, and only where the
    first result has no other reader.
    """
    operands = with_constant(node)
    if operands is None or operands.constant_is_first or not is_float(operands.variable):
        return None
    first = own_producer(operands.variable, "Mul", "Add")
    inner = None if first is None else with_constant(first)
    if first is None or inner is None or (first.op_type, node.op_type) == ("Mul", "Add"):
        return None
    combine = np.add if node.op_type == "Add" else np.multiply
    merged = _combined(combine, inner.array, operands.array)
    if merged is None or rank_of(inner.variable) is None:
        return None
    done = f"{label(node)}: constants merged with {label(first)}"
    variable = inner.variable
    if first.op_type != node.op_type:
        shape = static_shape(variable)
        if shape is None or shape != static_shape(node.outputs[0]):
            return None
        variable = insert_before(
            node, "Mul", [variable, operands.value], stem=f"{node.outputs[0].name}_scaled", shape=shape
        )
    merged_value = add_constant(graph_of(node), f"{operands.value.name}_merged", merged)
    substitute(node, first.op_type, [variable, merged_value])
    return done


def _combined(combine: np.ufunc, first: Array, second: Array) -> Array | None:
    """Return the combination in the dtype of both, or None if it is larger than both, or not finite."""
    try:
        wide = combine(first.astype(np.float64), second.astype(np.float64))
    except ValueError:  # shapes that do not broadcast against each other, only against x
        return None
    with np.errstate(over="ignore"):
        merged = np.asarray(wide.astype(first.dtype))
    if merged.size > max(first.size, second.size) or not np.isfinite(merged).all():
        return None
    return merged
