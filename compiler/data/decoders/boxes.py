"""Plain boxes: networks that choose their boxes themselves (YOLOv10, exports with NMS, detectors in two stages)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, model_validator

from edgec.data.decoders.base import REMEDY, Outputs, pick
from edgec.data.decoders.detections import DetectionDecoder, Detections, corners
from edgec.errors import BadOption


class PlainBoxes(DetectionDecoder):
    """[n, 6] or [1, n, 6]: x0, y0, x1, y1 in pixels of the input, score, class; or these in three outputs.

    Ultralytics' export of RT-DETR returns centre and size, as fractions of the input: `centred=true,shares=true`.
    torchvision's detectors have `boxes=boxes,scores=scores,labels=labels`, TensorFlow's y before x and fractions.
    """

    output: str | None = None
    """Name of the output; default: the first."""
    boxes: str | None = None
    """Name of the output with the boxes alone, [n, 4] or [1, n, 4]; `scores` and `labels` must be given, too."""
    scores: str | None = None
    """Name of the output with the scores, [n] or [1, n]."""
    labels: str | None = None
    """Name of the output with the classes, [n] or [1, n], integers or floats."""
    count: str | None = None
    """Name of the output with the number of boxes, if those behind it mean nothing."""
    rows_first: bool = False
    """y comes before x."""
    centred: bool = False
    """Boxes are centre x, centre y, width and height instead of corners."""
    shares: bool = False
    """Boxes are fractions of the input's width and height instead of pixels."""
    max_overlap: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _all_three(self) -> PlainBoxes:
        if len({name is None for name in (self.boxes, self.scores, self.labels)}) > 1:
            raise ValueError("boxes, scores and labels must be given together")
        return self

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        rows = self._rows(outputs) if self.boxes is None else self._joined(outputs)
        rows = rows[(rows[:, 4] >= self.min_score) & np.isfinite(rows[:, 5])]
        boxes = rows[:, [1, 0, 3, 2]] if self.rows_first else rows[:, :4]
        boxes = corners(boxes) if self.centred else boxes
        if self.shares:
            boxes = boxes * np.array([*size, *size], np.float32)
        return Detections(boxes, rows[:, 4], rows[:, 5].astype(np.int64))

    def _rows(self, outputs: Outputs) -> np.ndarray[Any, Any]:
        """Return the only output as float32 [n, 6]."""
        rows = pick(outputs, self.output)
        if rows.shape[-1:] != (6,) or rows.ndim not in (2, 3) or (rows.ndim == 3 and len(rows) != 1):
            problem = f"decoder boxes: the output is {list(rows.shape)}, not [n, 6] or [1, n, 6]"
            raise BadOption(problem, remedy=REMEDY)
        return rows.reshape(-1, 6).astype(np.float32)

    def _joined(self, outputs: Outputs) -> np.ndarray[Any, Any]:
        """Return boxes, scores and classes of three outputs as float32 [n, 6]."""
        boxes, scores, labels = (pick(outputs, name) for name in (self.boxes, self.scores, self.labels))
        shapes = [list(array.shape) for array in (boxes, scores, labels)]
        rows = shapes[0][:-1]
        if shapes != [[*rows, 4], rows, rows] or len(rows) not in (1, 2) or (len(rows) == 2 and rows[0] != 1):
            problem = f"decoder boxes: the outputs are {shapes}, not [n, 4], [n] and [n], or the same of 1 picture"
            raise BadOption(problem, remedy=REMEDY)
        columns = (boxes.reshape(-1, 4), scores.reshape(-1, 1), labels.reshape(-1, 1))
        joined = np.concatenate([column.astype(np.float32) for column in columns], axis=1)
        if self.count is None:
            return joined
        count = pick(outputs, self.count)
        if count.size != 1:
            raise BadOption(f"decoder boxes: the count is {list(count.shape)}, not one number", remedy=REMEDY)
        return joined[: max(0, int(count.reshape(-1)[0]))]
