"""YOLOv8-obb and its successors: rotated boxes."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from edgec.data.decoders.base import Kind, Outputs, network_size
from edgec.data.decoders.columns import ColumnsDecoder
from edgec.data.decoders.detections import Detections
from edgec.data.samples import Sample

Array = np.ndarray[Any, Any]


class Rotated(NamedTuple):
    """Objects like `Detections`, with upright boxes, each with float32 [4, 2] corners x, y in pixels."""

    boxes: Array
    scores: Array
    labels: Array
    corners: Array


class Yolov8Obb(ColumnsDecoder):
    """[1, 4 + classes + 1, n] like yolov8, with an angle in radians by which the box is rotated about its centre.

    Overlap is the similarity of the normal distributions of two boxes (Llerena et al., "Gaussian Bounding Boxes and
    Probabilistic Intersection-over-Union", 2021), as in Ultralytics' suppression.
    """

    kind: ClassVar[Kind] = "rotated"

    @property
    def further(self) -> int:
        """See `ColumnsDecoder.further`."""
        return 1

    def __call__(self, outputs: Outputs, sample: Sample) -> Any:
        """Return the `Rotated`, best first, in pixels of the original picture."""
        size = network_size(sample, "yolov8-obb")
        found, angles = self.candidates_and_more(outputs)
        sound = np.isfinite(found.boxes).all(axis=1) & np.isfinite(angles[:, 0])
        found = Detections(*(each[sound] for each in found))
        angle = angles[sound, 0]
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        kept = _suppress(centres, sides, angle, found, self.max_overlap, self.max_detections)
        corners = _corners(centres[kept], sides[kept], angle[kept])
        if sample.placement is not None:
            corners = sample.placement.to_original_plane(corners)
        limit = np.array(size if sample.placement is None else sample.placement.original, np.float32)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        boxes = np.clip(boxes, 0, np.concatenate([limit, limit])).astype(np.float32)
        return Rotated(boxes, found.scores[kept], found.labels[kept], corners.astype(np.float32))


def _corners(centres: Array, sides: Array, angle: Array) -> Array:
    """Return float32 [n, 4, 2] corners of boxes that are rotated by `angle` about their centres."""
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    along = np.concatenate([cosine, sine], axis=1) * sides[:, :1] / 2
    across = np.concatenate([-sine, cosine], axis=1) * sides[:, 1:] / 2
    result: Array = centres[:, None] + np.stack(
        [-along - across, along - across, along + across, across - along], axis=1
    )
    return result


def _suppress(centres: Array, sides: Array, angle: Array, found: Detections, max_overlap: float, limit: int) -> Array:
    """Return the indices, best first, of boxes that overlap no better box of their class."""
    order = np.argsort(-found.scores, kind="stable")
    if max_overlap >= 1:
        return order[:limit]
    moments = _moments(sides, angle)
    kept: list[int] = []
    while order.size and len(kept) < limit:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        rival = found.labels[order] == found.labels[best]
        clash = rival & (_similarity(centres, moments, best, order) > max_overlap)
        order = order[~clash]
    return np.array(kept, np.int64)


def _moments(sides: Array, angle: Array) -> Array:
    """Return the covariances a, b, c (xx, yy, xy) of uniform distributions over boxes, float64 [n, 3]."""
    wide, high = (sides.astype(np.float64) ** 2 / 12).T
    cosine, sine = np.cos(angle.astype(np.float64)), np.sin(angle.astype(np.float64))
    return np.stack(
        [wide * cosine**2 + high * sine**2, wide * sine**2 + high * cosine**2, (wide - high) * cosine * sine], axis=1
    )


def _similarity(centres: Array, moments: Array, one: int, others: Array) -> Array:
    """Return one minus the Hellinger distance of box `one` from `others`."""
    tiny = 1e-7
    a, b, c = (moments[one] + moments[others]).T
    x, y = (centres[one].astype(np.float64) - centres[others]).T
    area = a * b - c**2
    distance = (a * y**2 + b * x**2 - 2 * c * x * y) / (area + tiny) / 4
    own = np.maximum(moments[:, 0] * moments[:, 1] - moments[:, 2] ** 2, 0)
    spread = np.log(area / (4 * np.sqrt(own[one] * own[others]) + tiny) + tiny) / 2
    bhattacharyya = np.clip(distance + spread, tiny, 100)
    result: Array = 1 - np.sqrt(1 - np.exp(-bhattacharyya) + tiny)
    return result
