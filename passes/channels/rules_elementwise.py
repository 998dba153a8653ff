"""Channels through operators without weights that leave every index where it is."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import REDUCTIONS, attribute, constant
from edgec.passes.channels.atoms import FIXED
from edgec.passes.channels.propagate import Propagation, fixed, rule
from edgec.passes.channels.rules_layers import broadcast

UNARY = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitwiseNot",
    "Cast",
    "Ceil",
    "Celu",
    "Cos",
    "Cosh",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
]
BROADCAST = [
    "Add",
    "And",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "Pow",
    "PRelu",
    "Sub",
    "Sum",
    "Where",
    "Xor",
]


@rule(*UNARY)
def unary(found: Propagation, node: ir.Node) -> str | None:
    """One element in, one out."""
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "has a second output that is read"
    found.give(node, list(found.axes(node, 0)))
    return None


@rule("Clip")
def clip(found: Propagation, node: ir.Node) -> str | None:
    """Bounds are scalars."""
    return unary(found, node)


@rule(*BROADCAST)
def elementwise(found: Propagation, node: ir.Node) -> str | None:
    """Operands with numpy's broadcasting."""
    indices = [index for index, value in enumerate(node.inputs) if value is not None]
    result = broadcast(found, node, [found.axes(node, index) for index in indices])
    for index in indices:
        if constant(node.inputs[index]) is not None:
            operand = found.operand(node, index)
            for axis, ids in enumerate(operand.axes):
                if len(ids) > 1:
                    found.note(node, operand, axis, "follows")
    found.give(node, result)
    return None


@rule("Softmax", "LogSoftmax", "Hardmax", "LpNormalization")
def along_axis(found: Propagation, node: ir.Node) -> str | None:
    """Mixes all of one axis."""
    x = found.axes(node, 0)
    found.fix(node, x[attribute(node, "axis", -1)], "mixes them")
    found.give(node, list(x))
    return None


@rule("LayerNormalization")
def layer_normalization(found: Propagation, node: ir.Node) -> str | None:
    """Mixes the last axes."""
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "has a second output that is read"
    x = found.axes(node, 0)
    for ids in x[attribute(node, "axis", -1) :]:
        found.fix(node, ids, "mixes them")
    for index in range(1, len(node.inputs)):
        for ids in found.axes(node, index) if node.inputs[index] is not None else ():
            found.fix(node, ids, "scales by them")
    found.give(node, list(x))
    return None


@rule("LRN")
def local_response(found: Propagation, node: ir.Node) -> str | None:
    """Mixes neighbouring channels."""
    x = found.axes(node, 0)
    found.fix(node, x[1], "mixes neighbours among them")
    found.give(node, list(x))
    return None


@rule(*REDUCTIONS)
def reduce(found: Propagation, node: ir.Node) -> str | None:
    """What it reduces over stays, the other axes pass."""
    x = found.axes(node, 0)
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if axes is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        return "reduces over axes that are computed"
    if axes is not None and axes.size == 0:
        axes = None
    if axes is None and attribute(node, "noop_with_empty_axes", 0):
        return unary(found, node)
    reduced = {int(axis) % len(x) for axis in (range(len(x)) if axes is None else axes.reshape(-1))}
    for axis in reduced:
        found.fix(node, x[axis], "reduces over them")
    keep = attribute(node, "keepdims", 1)
    found.give(node, [fixed(1) if a in reduced else ids for a, ids in enumerate(x) if keep or a not in reduced])
    return None


@rule("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def pool(found: Propagation, node: ir.Node) -> str | None:
    """Channels of x [n, c, *space] pass; space is mixed."""
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "has a second output that is read"
    x, shape = found.axes(node, 0), node.outputs[0].shape
    for ids in x[2:]:
        found.fix(node, ids, "slides over them")
    found.give(node, [*x[:2], *(fixed(size) for size in (shape.numpy()[2:] if shape is not None else ()))])
    return None


@rule("Resize")
def resize(found: Propagation, node: ir.Node) -> str | None:
    """Axes of unchanged size pass."""
    if attribute(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return "crops"
    for value in node.inputs[2:]:
        if value is not None and constant(value) is None:
            return "has a size that is computed"
    x, shape = found.axes(node, 0), node.outputs[0].shape
    scales = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    axes = attribute(node, "axes", tuple(range(len(x))))
    factors = {} if scales is None else {a % len(x): s for a, s in zip(axes, scales.tolist(), strict=False)}
    result = []
    for axis, (ids, size) in enumerate(zip(x, shape.numpy() if shape is not None else (), strict=True)):
        if len(ids) != size or factors.get(axis, 1.0) != 1 or (ids == FIXED).all():
            found.fix(node, ids, "resizes them")
            result.append(fixed(size))
        else:
            result.append(ids)
    found.give(node, result)
    return None
