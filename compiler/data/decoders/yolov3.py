"""YOLOv3: raw maps, one per stride, with anchors."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edgec.data.decoders.base import REMEDY, Outputs, check_shape, pick, sigmoid
from edgec.data.decoders.detections import DetectionDecoder, Detections, by_class
from edgec.errors import BadOption

Array = np.ndarray[Any, Any]

MAX_LOG_SCALE = 4.0  # maximum for a box relative to its anchor, so that exp() stays finite


class Scale(BaseModel):
    """One output map: its stride and its anchors' widths and heights, in pixels of the input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    stride: int = Field(ge=1)
    anchors: tuple[tuple[float, float], ...] = Field(min_length=1)


class Yolov3(DetectionDecoder):
    """Maps [1, anchors * (5 + classes), H / stride, W / stride] of logits x, y, w, h, objectness, classes.

    Per cell and anchor (Redmon and Farhadi, "YOLOv3", 2018): centre = (sigmoid(xy) + cell) * stride,
    size = anchor * exp(wh), score = sigmoid(objectness) * sigmoid(class).
    """

    outputs: tuple[Scale, ...] = Field(min_length=1)

    def class_count(self, outputs: Outputs) -> int:
        """See `Decoder.class_count`."""
        return int(pick(outputs, self.outputs[0].name).shape[1] // len(self.outputs[0].anchors) - 5)

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        maps = [_boxes_and_scores(pick(outputs, scale.name), scale) for scale in self.outputs]
        boxes = np.concatenate([boxes for boxes, _ in maps])
        return by_class(boxes, np.concatenate([scores for _, scores in maps]), self.min_score)


def _boxes_and_scores(output: Array, scale: Scale) -> tuple[Array, Array]:
    """Decode one map to float32 [n, 4] boxes and [n, classes] scores."""
    output = check_shape(output, "[1, anchors * (5 + classes), h, w]", "yolov3")
    anchors = np.array(scale.anchors, np.float32)
    channels, height, width = output.shape
    if channels % len(anchors) or channels // len(anchors) < 6:
        problem = f"decoder yolov3: output {scale.name!r} has {channels} channels for {len(anchors)} anchors"
        raise BadOption(problem, remedy=REMEDY)
    raw = output.reshape(len(anchors), channels // len(anchors), height, width).transpose(0, 2, 3, 1)
    ys, xs = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    centres = (sigmoid(raw[..., :2]) + np.stack([xs, ys], axis=-1)) * scale.stride
    halves = np.exp(np.minimum(raw[..., 2:4], MAX_LOG_SCALE)) * anchors[:, None, None] / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=-1).reshape(-1, 4)
    scores = sigmoid(raw[..., 4:5]) * sigmoid(raw[..., 5:])
    return boxes.astype(np.float32), scores.reshape(len(boxes), -1)
