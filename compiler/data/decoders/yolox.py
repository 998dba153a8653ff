"""YOLOX: one output with a row for each cell of the grids, boxes relative to the cell."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from edgec.data.decoders.base import REMEDY, Outputs, check_shape, pick
from edgec.data.decoders.detections import DetectionDecoder, Detections, by_class, corners
from edgec.errors import BadOption

MAX_LOG_SIZE = 8.0  # maximum for a box relative to its stride, so that exp() stays finite


class Yolox(DetectionDecoder):
    """[1, n, 5 + classes]: x, y, w, h relative to the cell, objectness and class probabilities.

    Per cell: centre = (xy + cell) * stride, size = exp(wh) * stride, score = objectness * class probability
    (Ge et al., "YOLOX", 2021; demo_postprocess in its repository). Grids follow each other in the order of `strides`.
    """

    output: str | None = None
    """Name of the output; default: the first."""
    strides: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(8, 16, 32), min_length=1)

    def class_count(self, outputs: Outputs) -> int:
        """See `Decoder.class_count`."""
        return int(pick(outputs, self.output).shape[-1] - 5)

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        rows = check_shape(pick(outputs, self.output), "[1, n, 5 + classes]", "yolox")
        cells, stride = grid(size, self.strides)
        if len(rows) != len(cells) or rows.shape[1] < 6:
            got, want = "x".join(map(str, rows.shape)), f"{len(cells)} boxes of 5 + classes"
            problem = f"decoder yolox: output [{got}], but strides {self.strides} at {size} give {want}"
            raise BadOption(problem, remedy=REMEDY)
        centres = (rows[:, :2] + cells) * stride
        sizes = np.exp(np.minimum(rows[:, 2:4], MAX_LOG_SIZE)) * stride
        boxes = corners(np.concatenate([centres, sizes], axis=1))
        return by_class(boxes, rows[:, 4:5] * rows[:, 5:], self.min_score)


def grid(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the float32 [n, 2] cell x, y and [n, 1] stride of each row."""
    cells, steps = [], []
    for stride in strides:
        width, height = size[0] // stride, size[1] // stride
        ys, xs = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
        cells.append(np.stack([xs, ys], axis=-1).reshape(-1, 2))
        steps.append(np.full((width * height, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32)
