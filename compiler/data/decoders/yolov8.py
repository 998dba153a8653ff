"""YOLOv8 (and v9, v11): one output of decoded boxes, boxes along the last axis, no objectness."""

from __future__ import annotations

from edgec.data.decoders.base import REMEDY, Outputs, check_shape, pick
from edgec.data.decoders.detections import DetectionDecoder, Detections, by_class, corners
from edgec.errors import BadOption


class Yolov8(DetectionDecoder):
    """[1, 4 + classes, n]: centre x, centre y, width, height in pixels, class probabilities.

    Source: Ultralytics, utils/ops.py, non_max_suppression.
    """

    output: str | None = None
    """Name of the output; default: the first."""

    def class_count(self, outputs: Outputs) -> int:
        """See `Decoder.class_count`."""
        return int(pick(outputs, self.output).shape[1] - 4)

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        rows = check_shape(pick(outputs, self.output), "[1, 4 + classes, n]", "yolov8").T
        if rows.shape[1] < 5:
            problem = f"decoder yolov8: each box has {rows.shape[1]} values, at least 5 are needed"
            raise BadOption(problem, remedy=REMEDY)
        return by_class(corners(rows[:, :4]), rows[:, 4:], self.min_score)
