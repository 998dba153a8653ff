"""Refuses Resize nodes that TensorRT's parser rejects."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import attribute, constant, shape_of
from edgec.targets.tensorrt.limits import Limits

COORDINATES = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")


def refuse_resize(node: ir.Node, limits: Limits) -> str | None:
    """Return the reason why the Resize `node` is rejected, or None."""
    mode = attribute(node, "mode", "nearest")
    coordinates = attribute(node, "coordinate_transformation_mode", "half_pixel")
    nearest = attribute(node, "nearest_mode", "round_prefer_floor")
    policy = attribute(node, "keep_aspect_ratio_policy", "stretch")
    scales = node.inputs[2] if len(node.inputs) > 2 else None
    obstacles = {
        f"coordinate_transformation_mode {coordinates} is not available": coordinates not in COORDINATES,
        "mode cubic is not available": mode == "cubic" and limits.version == "8.2",
        "antialias is not available": bool(attribute(node, "antialias", 0)),
        f"keep_aspect_ratio_policy {policy} is not available": policy != "stretch",
        "exclude_outside is not read": bool(attribute(node, "exclude_outside", 0)),
        "its scales are computed": limits.version == "8.2" and scales is not None and constant(scales) is None,
        f"tf_half_pixel_for_nn does not go with nearest_mode {nearest}": (
            coordinates == "tf_half_pixel_for_nn" and nearest != "round_prefer_floor"
        ),
    }
    return next((reason for reason, stands in obstacles.items() if stands), None) or _outer_axes(node, mode)


def _outer_axes(node: ir.Node, mode: str) -> str | None:
    """Linear supports at most the last three axes, cubic the last two."""
    before, after = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if mode == "nearest" or before is None or after is None:
        return None
    inner = 2 if mode == "cubic" else 3
    outer = max(len(before) - inner, 0)
    return None if before[:outer] == after[:outer] else f"mode {mode} on axes other than the last {inner}"
