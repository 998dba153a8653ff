"""YOLOv8-pose and its successors: boxes with key points."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from edgec.data.decoders.base import Kind, Outputs, network_size
from edgec.data.decoders.columns import ColumnsDecoder
from edgec.data.samples import Sample

Array = np.ndarray[Any, Any]


class Poses(NamedTuple):
    """Objects like `Detections`, each with float32 [points, 3] key points: x, y in pixels, visibility 0..1."""

    boxes: Array
    scores: Array
    labels: Array
    points: Array


class Yolov8Pose(ColumnsDecoder):
    """[1, 4 + classes + points * values, n] like yolov8 with key points: x, y in pixels, with 3 values visibility."""

    kind: ClassVar[Kind] = "keypoints"

    points: int = Field(default=17, ge=1)
    """Number of key points of an object."""
    values: int = Field(default=3, ge=2, le=3)
    """Number of values of a key point: 2 or 3."""

    @property
    def further(self) -> int:
        """See `ColumnsDecoder.further`."""
        return self.points * self.values

    def __call__(self, outputs: Outputs, sample: Sample) -> Any:
        """Return the `Poses`, best first, in pixels of the original picture."""
        size = network_size(sample, "yolov8-pose")
        candidates, more = self.candidates_and_more(outputs)
        found, kept = self.select(candidates, size)
        points = more[kept].reshape(-1, self.points, self.values).astype(np.float32)
        seen = points[..., 2:] if self.values == 3 else np.ones_like(points[..., :1])
        places = points[..., :2]
        if sample.placement is not None:
            places = sample.placement.to_original(places)
        return Poses(*self.place(found, sample), np.concatenate([places, seen], axis=-1))
