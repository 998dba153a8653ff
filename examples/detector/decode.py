"""Decode the raw maps of a YOLOv3 network to boxes, by numpy alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

MAX_LOG_SCALE = 4.0  # of a box relative to its anchor, so that exp() stays finite


class Detections(NamedTuple):
    """One picture's objects, best first: float32 [n, 4] x0 y0 x1 y1 in pixels, float32 [n] scores, int64 [n] labels."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Settings:
    """What a decoder needs to know of a network; `anchors` is float32 [scales, anchors, 2] in pixels."""

    size: tuple[int, int]  # height, width of the input
    classes: tuple[str, ...]
    outputs: tuple[str, ...]
    strides: tuple[int, ...]
    anchors: np.ndarray

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """Read the JSON that the training wrote next to the network."""
        document = json.loads(path.read_text(encoding="utf-8"))
        outputs = document["outputs"]
        return cls(
            size=(document["input"]["height"], document["input"]["width"]),
            classes=tuple(document["classes"]),
            outputs=tuple(output["name"] for output in outputs),
            strides=tuple(output["stride"] for output in outputs),
            anchors=np.array([output["anchors"] for output in outputs], np.float32),
        )


def preprocess(picture: np.ndarray) -> np.ndarray:
    """Turn a uint8 [H, W, 3] RGB picture of the input's size into the float32 [1, 3, H, W] input."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def decode(
    outputs: Sequence[np.ndarray],
    settings: Settings,
    *,
    min_score: float = 0.3,
    max_overlap: float = 0.5,
    max_detections: int = 100,
) -> Detections:
    """Decode the outputs of one picture and suppress overlapping boxes of a class.

    Args:
        outputs: raw maps in the order of `settings.outputs`, float32 [anchors * (5 + classes), H / s, W / s].
        settings: anchors, strides and input size.
        min_score: lowest product of objectness and class probability.
        max_overlap: largest IoU of two detections of a class.
        max_detections: how many of the best are returned.
    """
    maps = [_boxes_and_scores(*scale) for scale in zip(outputs, settings.anchors, settings.strides, strict=True)]
    boxes = np.concatenate([boxes for boxes, _ in maps])
    scores = np.concatenate([scores for _, scores in maps])
    height, width = settings.size
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    box, label = np.nonzero(scores >= min_score)
    kept = _suppress(boxes[box], scores[box, label], label, max_overlap)[:max_detections]
    return Detections(boxes[box[kept]], scores[box[kept], label[kept]], label[kept])


def _boxes_and_scores(output: np.ndarray, anchors: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Decode one map to float32 [n, 4] boxes and [n, classes] scores."""
    channels, height, width = output.shape
    raw = output.reshape(len(anchors), channels // len(anchors), height, width).transpose(0, 2, 3, 1)
    ys, xs = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    centres = (_sigmoid(raw[..., :2]) + np.stack([xs, ys], axis=-1)) * stride
    halves = np.exp(np.minimum(raw[..., 2:4], MAX_LOG_SCALE)) * anchors[:, None, None] / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=-1).reshape(-1, 4)
    scores = _sigmoid(raw[..., 4:5]) * _sigmoid(raw[..., 5:])
    return boxes.astype(np.float32), scores.reshape(len(boxes), -1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function of float32 values; tanh does not overflow."""
    return np.float32(0.5) * (1 + np.tanh(x * np.float32(0.5)))


def _suppress(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, max_overlap: float) -> np.ndarray:
    """Return int64 indices, best first, of the boxes that overlap no better one of their class."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        rival = labels[order] == labels[best]
        order = order[~(rival & (_overlap(boxes[best], boxes[order]) > max_overlap))]
    return np.array(kept, np.int64)


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the IoU of one box [4] with others [n, 4]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    inner = np.clip(sides, 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - inner
    return inner / np.maximum(union, np.float32(1e-6))
