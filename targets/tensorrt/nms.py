"""NonMaxSuppression as TensorRT's plugin EfficientNMS_TRT, for the user's own build flows (trtexec, DeepStream).

`edgec compile` does not use it by itself: outputs change, ONNX Runtime cannot check a plugin, and the plugin of
TensorRT 8.2.1 (Nano, TX2) was seen to return negative scores (Linaom1214/TensorRT-For-YOLO-Series issue 73).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgec.errors import UnsupportedModel
from edgec.model.graph import attribute, scalar, shape_of, unique_name

Array = np.ndarray[Any, Any]

DOMAIN, PLUGIN = "TRT", "EfficientNMS_TRT"
MOST_BOXES = 4096
"""Maximum number of boxes of a picture that the plugin keeps."""


@dataclass(frozen=True)
class NmsSettings:
    """Attributes of the plugin. `centre`: boxes are (x centre, y centre, width, height), otherwise two corners."""

    max_boxes: int
    iou: float
    score: float
    centre: bool


def efficient_nms(model: ir.Model) -> ir.Model:
    """Return a copy of `model` whose NonMaxSuppression, and all nodes after it, are replaced by the plugin.

    Its outputs replace those after the NonMaxSuppression: num_detections int32 [batch, 1], detection_boxes
    float32 [batch, n, 4] in the form of the input boxes, detection_scores float32 [batch, n], detection_classes int32
    [batch, n]; by descending score, where n is the plugin's limit. Other outputs stay. The limit is for all classes
    together, while ONNX has one per class.

    Raises:
        UnsupportedModel: There is not exactly one NonMaxSuppression, or its settings are computed.
    """
    copy = model.clone()
    found = [node for node in copy.graph if node.op_type == "NonMaxSuppression"]
    if len(found) != 1:
        raise UnsupportedModel(f"the model has {len(found)} NonMaxSuppression nodes, but must have exactly one")
    node, graph = found[0], copy.graph
    settings = settings_of(node)
    boxes, scores = node.inputs[:2]
    batch = (shape_of(boxes) or (1,))[0]
    by_box = ir.node("Transpose", [scores], {"perm": [0, 2, 1]}, name=unique_name(graph, "nms_scores"))
    by_box.outputs[0].name = unique_name(graph, "nms_scores_by_box")
    plugin = ir.Node(
        DOMAIN,
        PLUGIN,
        [boxes, by_box.outputs[0]],
        ir.convenience.convert_attributes(
            {
                "plugin_version": "1",
                "background_class": -1,
                "max_output_boxes": settings.max_boxes,
                "score_threshold": settings.score,
                "iou_threshold": settings.iou,
                "score_activation": 0,
                "box_coding": int(settings.centre),
            }
        ),
        num_outputs=4,
        name=unique_name(graph, "nms"),
    )
    behind = _behind(node)
    kept = [value for value in graph.outputs if value.producer() not in behind]
    graph.extend([by_box, plugin])
    for value, (name, kind, shape) in zip(
        plugin.outputs,
        (
            ("num_detections", ir.DataType.INT32, [batch, 1]),
            ("detection_boxes", ir.DataType.FLOAT, [batch, settings.max_boxes, 4]),
            ("detection_scores", ir.DataType.FLOAT, [batch, settings.max_boxes]),
            ("detection_classes", ir.DataType.INT32, [batch, settings.max_boxes]),
        ),
        strict=True,
    ):
        value.name, value.type, value.shape = unique_name(graph, name), ir.TensorType(kind), ir.Shape(shape)
    graph.outputs[:] = [*kept, *plugin.outputs]
    graph.opset_imports[DOMAIN] = 1
    RemoveUnusedNodesPass()(copy)
    return copy


def settings_of(node: ir.Node) -> NmsSettings:
    """Return the plugin's settings for the NonMaxSuppression `node`.

    Raises:
        UnsupportedModel: A setting or a shape is not constant.
    """
    limit, iou, score = (
        (scalar(node.inputs[index]) if node.inputs[index] is not None else default)
        if index < len(node.inputs)
        else default
        for index, default in ((2, 0.0), (3, 0.0), (4, 0.0))
    )
    shape = shape_of(node.inputs[1])
    if limit is None or iou is None or score is None or shape is None:
        raise UnsupportedModel(f"NonMaxSuppression node {node.name!r}: its settings and shapes must be constant")
    _, classes, count = shape
    most = min(int(limit) * classes, count * classes, MOST_BOXES)
    return NmsSettings(most, iou, max(score, 0.0), bool(attribute(node, "center_point_box", 0)))


def plugin_result(boxes: Array, scores: Array, settings: NmsSettings) -> tuple[Array, Array, Array, Array]:
    """Compute in numpy what the plugin returns according to its documentation.

    Args:
        boxes: float32 [batch, count, 4].
        scores: float32 [batch, count, classes].
        settings: Its attributes.

    Returns:
        num_detections, detection_boxes, detection_scores, detection_classes; unused places contain 0.
    """
    batch = len(boxes)
    numbers = np.zeros((batch, 1), np.int32)
    kept_boxes = np.zeros((batch, settings.max_boxes, 4), np.float32)
    kept_scores = np.zeros((batch, settings.max_boxes), np.float32)
    classes = np.zeros((batch, settings.max_boxes), np.int32)
    for picture in range(batch):
        corners = _corners(boxes[picture], centre=settings.centre)
        places = np.argwhere(scores[picture] > settings.score)
        order = np.argsort(-scores[picture][tuple(places.T)], kind="stable")
        chosen: list[tuple[int, int]] = []
        for box, kind in places[order].tolist():
            rivals = [other for other, same in chosen if same == kind]
            if len(chosen) < settings.max_boxes and all(
                _iou(corners[box], corners[other]) <= settings.iou for other in rivals
            ):
                chosen.append((box, kind))
        numbers[picture] = len(chosen)
        for place, (box, kind) in enumerate(chosen):
            kept_boxes[picture, place], classes[picture, place] = boxes[picture, box], kind
            kept_scores[picture, place] = scores[picture, box, kind]
    return numbers, kept_boxes, kept_scores, classes


def _behind(node: ir.Node) -> set[ir.Node]:
    found, waiting = {node}, [node]
    while waiting:
        for output in waiting.pop().outputs:
            fresh = {use.node for use in output.uses()} - found
            found |= fresh
            waiting += fresh
    return found


def _corners(boxes: Array, *, centre: bool) -> Array:
    first, second = boxes[:, :2], boxes[:, 2:]
    if centre:
        first, second = first - second / 2, first + second / 2
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)


def _iou(a: Array, b: Array) -> float:
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    both = float(np.prod(sides))
    union = float(np.prod(a[2:] - a[:2])) + float(np.prod(b[2:] - b[:2])) - both
    return both / union if union > 0 else 0.0
