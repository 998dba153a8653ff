"""Plain boxes: networks that include non-maximum suppression (YOLOv10, exports with NMS inside)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from edgec.data.decoders.base import REMEDY, Outputs, pick
from edgec.data.decoders.detections import DetectionDecoder, Detections, corners
from edgec.errors import BadOption


class PlainBoxes(DetectionDecoder):
    """[n, 6] or [1, n, 6]: x0, y0, x1, y1 in pixels of the input, score, class.

    Ultralytics' export of RT-DETR returns centre and size, as fractions of the input: `centred=true,shares=true`.
    """

    output: str | None = None
    """Name of the output; default: the first."""
    centred: bool = False
    """Boxes are centre x, centre y, width and height instead of corners."""
    shares: bool = False
    """Boxes are fractions of the input's width and height instead of pixels."""
    max_overlap: float = Field(default=1.0, ge=0, le=1)

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        rows = pick(outputs, self.output)
        if rows.shape[-1:] != (6,) or rows.ndim not in (2, 3) or (rows.ndim == 3 and len(rows) != 1):
            problem = f"decoder boxes: the output is {list(rows.shape)}, not [n, 6] or [1, n, 6]"
            raise BadOption(problem, remedy=REMEDY)
        rows = rows.reshape(-1, 6).astype(np.float32)
        rows = rows[(rows[:, 4] >= self.min_score) & np.isfinite(rows[:, 5])]
        boxes = corners(rows[:, :4]) if self.centred else rows[:, :4]
        if self.shares:
            boxes = boxes * np.array([*size, *size], np.float32)
        return Detections(boxes, rows[:, 4], rows[:, 5].astype(np.int64))
