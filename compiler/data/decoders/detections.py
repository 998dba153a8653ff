"""`DetectionDecoder`: what all heads that give boxes share: score threshold, suppression, mapping to the original."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from edgec.data.decoders.base import Decoder, Kind, Outputs, network_size
from edgec.data.samples import Sample

Array = np.ndarray[Any, Any]


class Detections(NamedTuple):
    """Objects: float32 [n, 4] boxes x0 y0 x1 y1 in pixels, float32 [n] scores, int64 [n] classes."""

    boxes: Array
    scores: Array
    labels: Array


class DetectionDecoder(Decoder):
    """A head that gives boxes; a subclass gives the candidates, in pixels of the network's input."""

    kind: ClassVar[Kind] = "detections"

    min_score: float = Field(default=0.01, ge=0, le=1)
    """Lowest score of a detection; low, because a precision-recall curve needs the doubtful ones too."""
    max_overlap: float = Field(default=0.5, ge=0, le=1)
    """Largest IoU of two detections of a class; 1 suppresses none."""
    max_detections: int = Field(default=100, ge=1)

    @abstractmethod
    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """Return all boxes with a score of at least `min_score`, in any order.

        Args:
            outputs: The network's outputs for one sample.
            size: Width and height of the network's input, in pixels.
        """

    def __call__(self, outputs: Outputs, sample: Sample) -> Detections:
        """Return the detections, best first, in pixels of the original picture."""
        size = network_size(sample, type(self).__name__)
        boxes, scores, labels = self.candidates(outputs, size)
        # Clipped before the overlaps are computed: what lies outside the input says nothing about the picture.
        boxes = np.clip(boxes, 0, np.array([*size, *size], np.float32)).astype(np.float32)
        sound = np.isfinite(boxes).all(axis=1)
        boxes, scores, labels = boxes[sound], scores[sound], labels[sound]
        kept = suppress(boxes, scores, labels, self.max_overlap, self.max_detections)
        boxes = boxes[kept]
        if sample.placement is not None:
            boxes = sample.placement.boxes_to_original(boxes)
        return Detections(boxes, scores[kept], labels[kept])


def by_class(boxes: Array, scores: Array, min_score: float) -> Detections:
    """Return a candidate for each class that a box has a good score for.

    Args:
        boxes: float32 [n, 4].
        scores: float32 [n, classes].
        min_score: Lowest score.
    """
    box, label = np.nonzero(scores >= min_score)
    return Detections(boxes[box], scores[box, label], label)


def corners(centred: Array) -> Array:
    """Turn [n, 4] boxes centre x, centre y, width, height into x0 y0 x1 y1."""
    half = centred[:, 2:] / 2
    return np.concatenate([centred[:, :2] - half, centred[:, :2] + half], axis=1)


def suppress(boxes: Array, scores: Array, labels: Array, max_overlap: float, limit: int) -> Array:
    """Return the int64 indices, best first and at most `limit`, of boxes that overlap no better one of their class.

    Of equal scores, the earlier box is the better one.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size and len(kept) < limit:
        best, order = order[0], order[1:]
        kept.append(best)
        if max_overlap < 1:
            rival = labels[order] == labels[best]
            order = order[~(rival & (overlap(boxes[best], boxes[order]) > max_overlap))]
    return np.array(kept, np.int64)


def overlap(box: Array, others: Array) -> Array:
    """Return the IoU of one box [4] with others [n, 4]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    inner = np.clip(sides, 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - inner
    result: Array = inner / np.maximum(union, np.float32(1e-6))
    return result
