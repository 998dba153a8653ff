"""Moves Transposes towards the outputs, so that the pairs around NHWC layers meet and cancel."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.edit import erase, graph_of, insert_before, substitute
from edgec.model.graph import add_constant, attribute, constant, label
from edgec.passes.canonicalize.merge_transpose import permutation
from edgec.passes.canonicalize.operands import static_shape
from edgec.passes.canonicalize.rule import Outcome, rule

UNARY = (
    "Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Clip", "Elu", "Selu", "Softplus", "Softsign",
    "Mish", "Erf", "Exp", "Log", "Sqrt", "Abs", "Neg", "Reciprocal", "Floor", "Ceil", "Round", "Cast",
    "ThresholdedRelu",
)  # fmt: skip
"""Element-wise operators whose first input alone is a picture; the others are scalars."""
ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu", "Concat", "Mean", "Sum")
"""Operators whose inputs are all pictures, or constants that broadcast against them."""
REDUCING = (
    "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare",
)  # fmt: skip
SINKABLE = (*UNARY, *ELEMENTWISE, *REDUCING, "Pad", "Softmax")


@rule(*SINKABLE)
def sink_transpose(node: ir.Node) -> Outcome:
    """Before: op(Transpose(x), Transpose(y), constant). After: Transpose(op(x, y, constant transposed back)).

    All Transposes must have the same permutation, and each may be read only by nodes that it can sink through or cancel
    with, so that their number does not grow in the end. Axis attributes are adapted. Exact.
    """
    perm = _common_permutation(node)
    shape = static_shape(node.outputs[0])
    if perm is None or shape is None or (node.op_type in REDUCING and not attribute(node, "keepdims", 1)):
        return None
    if len(shape) != len(perm):  # a constant of higher rank adds axes that the permutation does not cover
        return None
    inverse = [int(axis) for axis in np.argsort(perm)]
    rewired = _rewired(node, perm, inverse)
    if rewired is None:
        return None
    inputs, attributes = rewired
    transposes = [p for value in node.inputs if (p := _transpose(value)) is not None]
    done = f"{label(node)}: Transpose moved after it"
    inner = insert_before(
        node, node.op_type, inputs, attributes, stem=f"{node.outputs[0].name}_nchw", shape=[shape[i] for i in inverse]
    )
    inner.type = node.outputs[0].type
    substitute(node, "Transpose", [inner], {"perm": perm})
    for transpose in transposes:
        erase(transpose)
    return done


def _common_permutation(node: ir.Node) -> list[int] | None:
    """Return the permutation of the Transposes before `node`, or None if there is none or they differ."""
    pictures = node.inputs if node.op_type in ELEMENTWISE else node.inputs[:1]
    found: set[tuple[int, ...]] = set()
    for value in pictures:
        transpose = _transpose(value)
        if transpose is None:
            if value is None or constant(value) is None:
                return None
            continue
        perm = permutation(transpose)
        if perm is None or not _can_sink(transpose):
            return None
        found.add(perm)
    return list(found.pop()) if len(found) == 1 else None


def _transpose(value: ir.Value | None) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.domain == "" and node.op_type == "Transpose" else None


def _can_sink(transpose: ir.Node) -> bool:
    """Return whether `transpose` can sink through every reader that is not a Transpose itself."""
    output = transpose.outputs[0]
    readers = [use.node for use in output.uses()]
    if output.is_graph_output() or any(reader.graph is not transpose.graph for reader in readers):
        return False
    return len(readers) == 1 or all(reader.op_type in (*SINKABLE, "Transpose") for reader in readers)


def _rewired(node: ir.Node, perm: list[int], inverse: list[int]) -> tuple[list[ir.Value | None], dict[str, Any]] | None:
    """Return inputs and attributes of `node` for pictures in the order before the Transpose, or None if impossible."""
    attributes: dict[str, Any] = dict(node.attributes)
    inputs: list[ir.Value | None] = list(node.inputs)
    rank = len(perm)
    if node.op_type in ELEMENTWISE:
        for index, value in enumerate(inputs):
            transpose = _transpose(value)
            inputs[index] = transpose.inputs[0] if transpose is not None else _constant_back(node, value, inverse)
    else:
        transpose = _transpose(inputs[0])
        inputs[0] = None if transpose is None else transpose.inputs[0]
    if node.op_type in ("Concat", "Softmax"):
        attributes["axis"] = perm[attribute(node, "axis", -1) % rank]
    if node.op_type in REDUCING:
        axes = constant(inputs[1]) if len(inputs) > 1 else None
        if axes is None:
            return None
        moved = sorted(perm[axis % rank] for axis in axes.tolist())
        inputs[1] = add_constant(graph_of(node), f"{node.outputs[0].name}_axes", np.array(moved, np.int64))
    if node.op_type == "Pad":
        widths = constant(inputs[1])
        if widths is None or len(inputs) > 3:
            return None
        moved_widths = widths.reshape(2, rank)[:, inverse].reshape(-1)
        inputs[1] = add_constant(graph_of(node), f"{node.outputs[0].name}_pads", moved_widths)
    return inputs, attributes


def _constant_back(node: ir.Node, value: ir.Value | None, inverse: list[int]) -> ir.Value | None:
    array = constant(value)
    if value is None or array is None or array.size == 1:
        return value
    full = array.reshape((1,) * (len(inverse) - array.ndim) + array.shape)
    return add_constant(graph_of(node), f"{value.name}_nchw", full.transpose(inverse))
