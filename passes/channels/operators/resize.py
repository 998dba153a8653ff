"""Resize: channels along axes of unchanged size pass through."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import attribute, constant
from edgec.passes.channels.coupling import FIXED
from edgec.passes.channels.masks import Masks, kept_shape, set_input
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.channels.propagation import Propagation, fixed


def follow(found: Propagation, node: ir.Node) -> str | None:
    """Pass channels along axes of unchanged size."""
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


def adapt(graph: ir.Graph, node: ir.Node, masks: Masks) -> None:
    """Set the sizes to those of the output; scales stay. Both may omit axes that are not resized."""
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        sizes, axes = kept_shape(masks, node.outputs[0]), attribute(node, "axes")
        set_input(graph, node, 3, sizes if axes is None else sizes[list(axes)])


OPERATORS = (ChannelOperator(("Resize",), follow, adapt),)
