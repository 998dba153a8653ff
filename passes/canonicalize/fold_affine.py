"""Folds Mul and Add by per-channel constants into the Conv, ConvTranspose, Gemm or MatMul beside them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import bypass
from edgec.model.graph import Array, label
from edgec.model.traits import LINEAR
from edgec.passes.canonicalize.operands import WithConstant, is_float, own_producer, static_shape, with_constant
from edgec.passes.canonicalize.rule import Outcome, Refused, rule
from edgec.passes.scale_shift import channel_axis, fold_into_consumers, fold_into_producer


@rule("Mul", "Add", "Sub")
def fold_affine(node: ir.Node) -> Outcome:
    """Before: Conv(x) * c or Conv(x) + c, where c is constant along all axes but that of the channels. After: Conv(x).

    Likewise c - Conv(x). Not folded if the output of the Conv has other readers, or if c varies over the picture.
    Sub and Div by a constant have been rewritten as Add and Mul before.
    """
    operands = _operands(node)
    linear = None if operands is None else own_producer(operands.variable, *LINEAR)
    if operands is None or linear is None or (linear.op_type == "MatMul" and node.op_type != "Mul"):
        return None  # a MatMul has no bias: the Add after it is its canonical form
    line = _scale_and_shift(node, operands, channel_axis(linear))
    if line is None:
        return None
    done = f"{label(linear)}: {node.op_type} by a constant folded"
    reason = fold_into_producer(linear, *line)
    if reason is not None:
        return Refused(f"not folded into {label(linear)} ({linear.op_type}): {reason}")
    bypass(node, operands.variable)
    return done


@rule("Mul", "Add")
def fold_affine_forward(node: ir.Node) -> Outcome:
    """Before: Conv(x * c) or Conv(x + c), where c is constant along all axes but that of the channels. After: Conv(x).

    All readers must be such Convs; for Conv(x + c) they must not pad. `fold_affine` is applied first.
    """
    operands = _operands(node)
    readers = node.outputs[0].uses()
    if operands is None or not readers or any(use.node.op_type != "Conv" or use.idx != 0 for use in readers):
        return None
    line = _scale_and_shift(node, operands, 1)
    if line is None or node.outputs[0].is_graph_output():
        return None
    scale, shift = line
    ones = np.ones_like(shift if scale is None else scale)
    done = f"{', '.join(label(use.node) for use in readers)}: {node.op_type} by a constant before it folded"
    reason = fold_into_consumers(
        node.outputs[0], ones if scale is None else scale, 0 * ones if shift is None else shift
    )
    if reason is not None:
        return Refused(f"not folded forward: {reason}")
    bypass(node, operands.variable)
    return done


def _operands(node: ir.Node) -> WithConstant | None:
    """Return the variable and the constant operand of a float node whose result has the variable's shape, or None."""
    operands = with_constant(node)
    if operands is None or not is_float(operands.variable):
        return None
    shape = static_shape(operands.variable)
    same = shape is not None and shape == static_shape(node.outputs[0])
    subtracts_constant = node.op_type == "Sub" and not operands.constant_is_first
    return operands if same and not subtracts_constant else None


def _scale_and_shift(node: ir.Node, operands: WithConstant, axis: int) -> tuple[Array | None, Array | None] | None:
    """Return scale and shift along `axis`, None for 1 and 0; or None if the constant varies along another axis."""
    shape = static_shape(operands.variable) or ()
    per_channel = _along_axis(operands.array, shape, axis)
    if per_channel is None:
        return None
    if node.op_type == "Mul":
        return per_channel, None
    return (None, per_channel) if node.op_type == "Add" else (np.full_like(per_channel, -1), per_channel)


def _along_axis(array: Array, shape: tuple[int, ...], axis: int) -> Array | None:
    """Return `array`, broadcast against `shape`, as float64 [shape[axis]] if it varies along `axis` only, else None."""
    rank = len(shape)
    if array.ndim > rank or rank < 2:
        return None
    full = (1,) * (rank - array.ndim) + array.shape
    if any(length != 1 for index, length in enumerate(full) if index != axis % rank):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (shape[axis],)).copy()
