"""Lowers nodes to the newest opset that the board's parser supports."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from edgec.model.edit import Builder, rewrite
from edgec.model.graph import attribute, constant, opset, shape_of
from edgec.targets.tensorrt.limits import Limits, schema

AXES_AS_INPUT = 18
"""First opset in which reductions (other than ReduceSum) and Pad take their axes as an input."""

OVER_NO_AXES = {"ReduceL1": "Abs", "ReduceL2": "Abs", "ReduceLogSum": "Log", "ReduceSumSquare": "Mul"}
"""Element-wise part of a reduction, which remains if there is nothing to reduce."""


def reduction(node: ir.Node, limits: Limits) -> str | None:
    """Write axes as an attribute: parsers up to 8.6 ignore the input, and reduce ALL axes without an error."""
    if len(node.inputs) < 2 and "noop_with_empty_axes" not in node.attributes:
        return None
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else np.zeros(0, np.int64)
    if axes is None:
        return None  # the check refuses computed axes
    if not axes.size and attribute(node, "noop_with_empty_axes", 0):
        make, x = Builder(node), node.inputs[0]
        op_type = OVER_NO_AXES.get(node.op_type, "Identity")
        make.finish(make.op(op_type, [x, x] if op_type == "Mul" else [x]))
        return f"{node.op_type} over no axes written as {op_type}"
    as_input = limits.max_opset >= AXES_AS_INPUT or node.op_type == "ReduceSum"
    if as_input and "noop_with_empty_axes" not in node.attributes:
        return None
    changes = {"noop_with_empty_axes": None}
    if as_input:
        rewrite(node, node.inputs, changes)
    else:
        rewrite(node, node.inputs[:1], changes | {"axes": axes.tolist() if axes.size else None})
    return f"axes of {node.op_type} written as the parser reads them"


def pad(node: ir.Node, limits: Limits) -> str | None:
    """Write the pads of all axes, because parsers before 10 do not read the axes."""
    if len(node.inputs) < 4 or node.inputs[3] is None or limits.max_opset >= AXES_AS_INPUT:
        return None
    pads, axes, shape = constant(node.inputs[1]), constant(node.inputs[3]), shape_of(node.inputs[0])
    if pads is None or axes is None or shape is None:
        return None
    rank, count = len(shape), axes.size
    full = np.zeros(2 * rank, np.int64)
    full[axes % rank] = pads[:count]
    full[axes % rank + rank] = pads[count:]
    rewrite(node, [node.inputs[0], Builder(node).constant(full), node.inputs[2]], {})
    return "Pad given the pads of all axes"


def split(node: ir.Node, limits: Limits) -> str | None:
    """Write the sizes of the parts as an input: `num_outputs` is not read, and parts need not be equal."""
    if "num_outputs" not in node.attributes:
        return None
    shapes = [shape_of(output) for output in node.outputs]
    axis = attribute(node, "axis", 0)
    if any(shape is None for shape in shapes):
        return None
    sizes = [shape[axis] for shape in shapes if shape is not None]
    rewrite(node, [node.inputs[0], Builder(node).constant(sizes, np.int64)], {"num_outputs": None})
    return "Split given the sizes of its parts"


def reshape(node: ir.Node, limits: Limits) -> str | None:
    """Remove `allowzero` if the opset lacks it, and write it explicitly otherwise: parsers have no default for it."""
    wanted = constant(node.inputs[1])
    if attribute(node, "allowzero", 0) and (wanted is None or 0 in wanted):
        return None
    explicit = None if min(limits.max_opset, _opset_of(node)) < 14 else 0
    if attribute(node, "allowzero") == explicit:
        return None
    rewrite(node, node.inputs, {"allowzero": explicit})
    return "allowzero of Reshape written as the parser reads it"


def resize(node: ir.Node, limits: Limits) -> str | None:
    """Write constant scales or sizes of all axes; attributes of opset 18 without effect are removed.

    `roi` is removed: only tf_crop_and_resize reads it, which no TensorRT supports.
    """
    shape, result = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    x, _, scales, sizes = (*node.inputs, None, None, None)[:4]
    if shape is None or attribute(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return None
    if attribute(node, "antialias", 0) or attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return None
    axes = np.array(attribute(node, "axes", range(len(shape)))) % len(shape)
    make = Builder(node)
    if scales is not None and (factors := constant(scales)) is not None and factors.size:
        full = np.ones(len(shape), np.float32)
        full[axes] = factors
        inputs: list[ir.Value | None] = [x, None, scales if np.array_equal(full, factors) else make.constant(full)]
    elif sizes is not None and result is not None:
        known = constant(sizes)
        kept = known is not None and np.array_equal(known, result)
        inputs = [x, None, None, sizes if kept else make.constant(result, np.int64)]
    else:
        return None
    gone = [name for name in ("antialias", "axes", "keep_aspect_ratio_policy") if name in node.attributes]
    if not gone and len(inputs) == len(node.inputs) and all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return None
    rewrite(node, inputs, dict.fromkeys(gone))
    return "Resize given constant scales or sizes of all axes"


def grid_sample(node: ir.Node, limits: Limits) -> str | None:
    """Write modes with the names that they had before opset 20."""
    older = {"linear": "bilinear", "cubic": "bicubic"}
    if min(limits.max_opset, _opset_of(node)) >= 20 or _opset_of(node) < 20:
        return None
    mode = attribute(node, "mode", "linear")
    if mode not in older:
        return None
    rewrite(node, node.inputs, {"mode": older[mode]})
    return "mode of GridSample under its older name"


def inert_attributes(node: ir.Node, limits: Limits) -> str | None:
    """Remove attributes that the older definition lacks, if they have their default value and so no effect."""
    new, old = schema(node.op_type, _opset_of(node)), schema(node.op_type, limits.max_opset)
    if new is None or old is None or new.since_version <= old.since_version:
        return None
    inert = [
        name
        for name in set(node.attributes) - set(old.attributes)
        if name in new.attributes and _is_default(node, name, new.attributes[name].default_value)
    ]
    if not inert:
        return None
    rewrite(node, node.inputs, dict.fromkeys(inert))
    return f"{', '.join(sorted(inert))} of {node.op_type} left out: the default"


def _opset_of(node: ir.Node) -> int:
    return opset(node.graph) if isinstance(node.graph, ir.Graph) else 0


def _is_default(node: ir.Node, name: str, default: onnx.AttributeProto) -> bool:
    value = attribute(node, name)
    if name == "dilations":
        return set(value) <= {1}
    if default.type == onnx.AttributeProto.UNDEFINED:
        return False
    stated = onnx.helper.get_attribute_value(default)
    return bool(value == (stated.decode() if isinstance(stated, bytes) else stated))


def obstacle(node: ir.Node, model_opset: int, max_opset: int) -> str | None:
    """Return the reason why `node`, written for `model_opset`, is not valid in `max_opset`; None if it is."""
    if model_opset <= max_opset:
        return None
    old = schema(node.op_type, max_opset)
    if old is None:
        return f"opset {max_opset}, the newest that TensorRT's parser supports, does not have it"
    if unknown := sorted(set(node.attributes) - set(old.attributes)):
        return f"opset {max_opset}, the newest that TensorRT's parser supports, has no attribute {unknown[0]!r} for it"
    if len(node.inputs) > old.max_input:
        return f"opset {max_opset}, the newest that TensorRT's parser supports, gives it at most {old.max_input} inputs"
    for index, value in enumerate(node.inputs):
        formal = old.inputs[min(index, len(old.inputs) - 1)]
        if value is not None and isinstance(value.type, ir.TensorType) and _type_name(value.type) not in formal.types:
            return f"opset {max_opset}, the newest it reads, does not give it data of type {value.type.dtype.name}"
    return None


def _type_name(type_: ir.TensorType) -> str:
    return f"tensor({onnx.TensorProto.DataType.Name(type_.dtype.value).lower()})"
