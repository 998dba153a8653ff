"""Common part of heads with one column per box, such as YOLOv8's with masks, key points or angles."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.data.decoders.base import Outputs, check_shape, pick
from edgec.data.decoders.detections import DetectionDecoder, Detections, corners, rows_by_class
from edgec.errors import BadOption

Array = np.ndarray[Any, Any]


class ColumnsDecoder(DetectionDecoder):
    """[1, 4 + classes + further, n]: centre, size, class probabilities, and `further` values of each box."""

    output: str | None = None
    """Name of the output; default: the first."""

    @property
    def further(self) -> int:
        """Number of values of a box after its class probabilities."""
        raise NotImplementedError

    def class_count(self, outputs: Outputs) -> int:
        """See `Decoder.class_count`."""
        return int(pick(outputs, self.output).shape[1] - 4 - self.further)

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        return self.candidates_and_more(outputs)[0]

    def candidates_and_more(self, outputs: Outputs) -> tuple[Detections, Array]:
        """Return the candidates, and float32 [candidates, further]: the further values of each.

        Raises:
            BadOption: The output has too few values per box.
        """
        head = type(self).__name__.lower()
        rows = check_shape(pick(outputs, self.output), "[1, 4 + classes + further, n]", head).T
        end = rows.shape[1] - self.further
        if end < 5:
            problem = f"decoder {head}: each box has {rows.shape[1]} values, at least {5 + self.further} are needed"
            raise BadOption(problem, remedy="Choose another --decoder, or correct its settings.")
        found, row = rows_by_class(corners(rows[:, :4]), rows[:, 4:end], self.min_score)
        return found, np.ascontiguousarray(rows[row, end:])
