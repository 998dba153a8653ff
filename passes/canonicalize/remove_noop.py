"""Removes nodes that return their input unchanged: Identity, inference Dropout, Reshape to the same shape, x * 1 ..."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgec.model.edit import bypass
from edgec.model.graph import attribute, constant, label, scalar
from edgec.passes.canonicalize.merge_transpose import permutation
from edgec.passes.canonicalize.operands import static_shape, with_constant
from edgec.passes.canonicalize.rule import Outcome, rule


@rule(
    "Identity", "Dropout", "Cast", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile",
    "Slice", "Concat", "Pad", "Resize", "Sum", "Max", "Min", "Mean", "Add", "Sub", "Mul", "Div", "Pow",
    "Relu",
)  # fmt: skip
def remove_noop(node: ir.Node) -> Outcome:
    """Before: y = op(x), where y always equals x. After: the readers of y read x.

    Exact. A node between a graph input and a graph output stays as Identity, to keep both names.
    """
    x = _unchanged_input(node)
    if x is None or any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return None
    output = node.outputs[0]
    keeps_name = output.is_graph_output() and (x.is_graph_output() or x.producer() is None)
    if keeps_name and node.op_type == "Identity":
        return None
    done = f"{label(node)}: {node.op_type} without effect removed"
    bypass(node, x)
    return done


def _unchanged_input(node: ir.Node) -> ir.Value | None:
    """Return the input that `node` always returns, or None."""
    x = node.inputs[0] if node.inputs else None
    if node.op_type in ("Add", "Mul", "Sub", "Div", "Pow"):
        return _arithmetic(node)
    if x is None:
        return None
    same_shape = static_shape(x) is not None and static_shape(x) == static_shape(node.outputs[0])
    return x if _CHECKS[node.op_type](node, x, same_shape) else None


def _arithmetic(node: ir.Node) -> ir.Value | None:
    operands = with_constant(node)
    if operands is None or (operands.constant_is_first and node.op_type in ("Sub", "Div", "Pow")):
        return None
    neutral = 0 if node.op_type in ("Add", "Sub") else 1
    shape = static_shape(operands.variable)
    if shape is None or shape != static_shape(node.outputs[0]) or not np.all(operands.array == neutral):
        return None
    return operands.variable


def _dropout(node: ir.Node, x: ir.Value, same_shape: bool) -> bool:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    return training is None or scalar(training) == 0


def _pad(node: ir.Node, x: ir.Value, same_shape: bool) -> bool:
    pads = constant(node.inputs[1])
    return pads is not None and not pads.any()


def _slice(node: ir.Node, x: ir.Value, same_shape: bool) -> bool:
    if not same_shape or len(node.inputs) < 5:
        return same_shape
    steps = constant(node.inputs[4])
    return steps is not None and bool((steps > 0).all())


def _resize(node: ir.Node, x: ir.Value, same_shape: bool) -> bool:
    # Cropping and explicit scales can change values even if the shape stays the same.
    if not same_shape or attribute(node, "coordinate_transformation_mode") == "tf_crop_and_resize":
        return False
    scales = node.inputs[2] if len(node.inputs) > 2 else None
    array = constant(scales)
    return scales is None or (array is not None and bool(np.all(array == 1)))


def _relu(node: ir.Node, x: ir.Value, same_shape: bool) -> bool:
    producer = x.producer()
    return producer is not None and producer.op_type in ("Relu", "Sigmoid", "HardSigmoid", "Softmax")


_CHECKS: dict[str, Callable[[ir.Node, ir.Value, bool], bool]] = {
    "Identity": lambda node, x, same_shape: True,
    "Dropout": _dropout,
    "Cast": lambda node, x, same_shape: x.dtype is not None and x.dtype == attribute(node, "to"),
    "Transpose": lambda node, x, same_shape: (perm := permutation(node)) is not None and list(perm) == sorted(perm),
    "Reshape": lambda node, x, same_shape: same_shape,
    "Flatten": lambda node, x, same_shape: same_shape,
    "Squeeze": lambda node, x, same_shape: same_shape,
    "Unsqueeze": lambda node, x, same_shape: same_shape,
    "Expand": lambda node, x, same_shape: same_shape,
    "Tile": lambda node, x, same_shape: same_shape,
    "Slice": _slice,
    "Concat": lambda node, x, same_shape: len(node.inputs) == 1,
    "Pad": _pad,
    "Resize": _resize,
    "Relu": _relu,
    "Sum": lambda node, x, same_shape: len(node.inputs) == 1,
    "Max": lambda node, x, same_shape: len(node.inputs) == 1,
    "Min": lambda node, x, same_shape: len(node.inputs) == 1,
    "Mean": lambda node, x, same_shape: len(node.inputs) == 1,
}
