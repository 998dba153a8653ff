"""Fold Mul and Add by per-channel constants into the Conv, ConvTranspose, Gemm or MatMul before them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.graph import Array
from edgec.passes.canonicalize.operands import is_float, own_producer, static_shape, with_constant
from edgec.passes.canonicalize.rule import Outcome, Refused, label, rule
from edgec.passes.editing import bypass
from edgec.passes.scale_shift import LINEAR, channel_axis, fold_into_producer


@rule("Mul", "Add", "Sub")
def fold_affine(node: ir.Node) -> Outcome:
    """Before: Conv(x) * c or Conv(x) + c, c constant along all axes but that of the channels. After: Conv(x).

    Likewise c - Conv(x). Left alone where the output of the Conv has other readers, or where c varies over the picture.
    Sub and Div by a constant have become Add and Mul before.
    """
    operands = with_constant(node)
    if operands is None or not is_float(operands.variable):
        return None
    linear = own_producer(operands.variable, *LINEAR)
    shape = static_shape(operands.variable)
    if linear is None or shape is None or shape != static_shape(node.outputs[0]):
        return None
    if linear.op_type == "MatMul" and node.op_type != "Mul":
        return None  # it has no bias: the Add behind it is its canonical form
    if node.op_type == "Sub" and not operands.constant_is_first:
        return None
    per_channel = along_axis(operands.array, shape, channel_axis(linear))
    if per_channel is None:
        return None
    scale, shift = {
        "Mul": (per_channel, None),
        "Add": (None, per_channel),
        "Sub": (np.full_like(per_channel, -1), per_channel),
    }[node.op_type]
    done = f"{label(linear)}: {node.op_type} by a constant folded"
    reason = fold_into_producer(linear, scale, shift)
    if reason is not None:
        return Refused(f"not folded into {label(linear)} ({linear.op_type}): {reason}")
    bypass(node, operands.variable)
    return done


def along_axis(array: Array, shape: tuple[int, ...], axis: int) -> Array | None:
    """Return `array`, broadcast against `shape`, as float64 [shape[axis]] if it varies along `axis` only, else None."""
    rank = len(shape)
    if array.ndim > rank:
        return None
    full = (1,) * (rank - array.ndim) + array.shape
    axis %= rank
    if any(length != 1 for index, length in enumerate(full) if index != axis):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (shape[axis],)).copy()
