"""YOLOv5 (and v7, and v3 by Ultralytics): one output of decoded boxes."""

from __future__ import annotations

from edgec.data.decoders.base import REMEDY, Outputs, check_shape, pick
from edgec.data.decoders.detections import DetectionDecoder, Detections, by_class, corners
from edgec.errors import BadOption


class Yolov5(DetectionDecoder):
    """[1, n, 5 + classes]: centre x, centre y, width, height in pixels, objectness, class probabilities.

    score = objectness * class probability (Ultralytics yolov5, utils/general.py).
    """

    output: str | None = None
    """Name of the output; default: the first."""

    def class_count(self, outputs: Outputs) -> int:
        """See `Decoder.class_count`."""
        return int(pick(outputs, self.output).shape[-1] - 5)

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        rows = check_shape(pick(outputs, self.output), "[1, n, 5 + classes]", "yolov5")
        if rows.shape[1] < 6:
            problem = f"decoder yolov5: each box has {rows.shape[1]} values, at least 6 are needed"
            raise BadOption(problem, remedy=REMEDY)
        return by_class(corners(rows[:, :4]), rows[:, 4:5] * rows[:, 5:], self.min_score)
