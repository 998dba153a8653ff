"""`DetectionDecoder`: common part of heads with boxes: score threshold, suppression, mapping to the original."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from edgec.data.decoders.base import Decoder, Kind, Outputs, network_size
from edgec.data.samples import Sample

Array = np.ndarray[Any, Any]

BLOCK = 64
"""Number of boxes whose overlaps with all others are computed at once."""


class Detections(NamedTuple):
    """Objects: float32 [n, 4] boxes x0 y0 x1 y1 in pixels, float32 [n] scores, int64 [n] classes."""

    boxes: Array
    scores: Array
    labels: Array


class DetectionDecoder(Decoder):
    """A head with boxes; a subclass returns the candidates, in pixels of the network's input."""

    kind: ClassVar[Kind] = "detections"

    min_score: float = Field(default=0.01, ge=0, le=1)
    """Minimum score of a detection; low, because a precision-recall curve needs the doubtful ones too."""
    max_overlap: float = Field(default=0.5, ge=0, le=1)
    """Maximum IoU of two detections of a class; 1 suppresses none."""
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
        return self.place(self.select(self.candidates(outputs, size), size)[0], sample)

    def select(self, found: Detections, size: tuple[int, int]) -> tuple[Detections, Array]:
        """Return the best of candidates, best first, in pixels of the input, and their int64 indices in `found`."""
        # Clipped before the overlaps are computed: parts outside the input do not belong to the picture.
        boxes = np.clip(found.boxes, 0, np.array([*size, *size], np.float32)).astype(np.float32)
        sound = np.flatnonzero(np.isfinite(boxes).all(axis=1))
        chosen = suppress(boxes[sound], found.scores[sound], found.labels[sound], self.max_overlap, self.max_detections)
        kept = sound[chosen]
        return Detections(boxes[kept], found.scores[kept], found.labels[kept]), kept

    def place(self, found: Detections, sample: Sample) -> Detections:
        """Return detections in pixels of the original picture instead of the input."""
        if sample.placement is None:
            return found
        return found._replace(boxes=sample.placement.boxes_to_original(found.boxes))


def by_class(boxes: Array, scores: Array, min_score: float) -> Detections:
    """Return a candidate for each class for which a box has a sufficient score.

    Args:
        boxes: float32 [n, 4].
        scores: float32 [n, classes].
        min_score: Minimum score.
    """
    return rows_by_class(boxes, scores, min_score)[0]


def rows_by_class(boxes: Array, scores: Array, min_score: float) -> tuple[Detections, Array]:
    """Return the same as `by_class`, and the row of each candidate in `boxes`, int64."""
    row, label = np.nonzero(scores >= min_score)
    return Detections(boxes[row], scores[row, label], label), row


def corners(centred: Array) -> Array:
    """Convert [n, 4] boxes centre x, centre y, width, height to x0 y0 x1 y1."""
    half = centred[:, 2:] / 2
    return np.concatenate([centred[:, :2] - half, centred[:, :2] + half], axis=1)


def suppress(boxes: Array, scores: Array, labels: Array, max_overlap: float, limit: int) -> Array:
    """Return the int64 indices, best first and at most `limit`, of boxes that overlap no better box of their class.

    Of equal scores, the earlier box is the better one.
    """
    order = np.argsort(-scores, kind="stable")
    if max_overlap >= 1:
        return order[:limit].astype(np.int64)
    kept: list[int] = []
    while order.size and len(kept) < limit:
        # A block of the best boxes against all that are left: one box at a time, calls would take most of the time.
        block = order[:BLOCK]
        rival = labels[block][:, None] == labels[order]
        clash = rival & (overlaps(boxes[block], boxes[order]) > max_overlap)
        alive = np.ones(len(order), bool)
        for place, box in enumerate(block.tolist()):
            if alive[place]:
                kept.append(box)
                alive &= ~clash[place]
        order = order[BLOCK:][alive[BLOCK:]]
    return np.array(kept[:limit], np.int64)


def overlaps(some: Array, others: Array) -> Array:
    """Return the IoU of boxes [m, 4] with others [n, 4], [m, n]."""
    first, second = some[:, None], others[None]
    wide, high = (
        np.maximum(
            np.minimum(first[..., side + 2], second[..., side + 2]) - np.maximum(first[..., side], second[..., side]), 0
        )
        for side in (0, 1)
    )
    inner = wide * high
    result: Array = inner / np.maximum(areas(some)[:, None] + areas(others) - inner, np.float32(1e-6))
    return result


def areas(boxes: Array) -> Array:
    """Return the areas of boxes [n, 4]."""
    result: Array = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return result
