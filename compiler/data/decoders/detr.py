"""DETR and its successors (RT-DETR, D-FINE, RF-DETR): boxes and scores of queries."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from edgec.data.decoders.base import REMEDY, Outputs, check_shape, pick, sigmoid
from edgec.data.decoders.detections import DetectionDecoder, Detections, by_class, corners
from edgec.errors import BadOption

Array = np.ndarray[Any, Any]


class Detr(DetectionDecoder):
    """Boxes [1, n, 4], centre and size as fractions of the input, and scores [1, n, classes]; or both in one output.

    Each query is at most one object, so nothing is suppressed (Carion et al., "End-to-End Object Detection with
    Transformers", 2020). In DETR the scores are logits of a softmax, whose last class is `no object`; in RT-DETR
    and other networks that select their queries they are logits of a sigmoid.
    """

    boxes: str | None = None
    """Name of the output with the boxes; default: the one with four values per query."""
    scores: str | None = None
    """Name of the output with the scores; default: the other one."""
    activation: Literal["none", "sigmoid", "softmax"] = "sigmoid"
    """Function that turns the scores into probabilities."""
    background: bool | None = None
    """Whether the last class is `no object`; default: yes with a softmax, else no."""
    max_overlap: float = Field(default=1.0, ge=0, le=1)
    max_detections: int = Field(default=300, ge=1)

    def class_count(self, outputs: Outputs) -> int:
        """See `Decoder.class_count`."""
        return int(self._parts(outputs)[1].shape[1] - int(self._has_background))

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        boxes, scores = self._parts(outputs)
        if self.activation == "sigmoid":
            scores = sigmoid(scores)
        elif self.activation == "softmax":
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = powers / powers.sum(axis=1, keepdims=True)
        if self._has_background:
            scores = scores[:, :-1]
        return by_class(corners(boxes) * np.array([*size, *size], np.float32), scores, self.min_score)

    @property
    def _has_background(self) -> bool:
        return self.activation == "softmax" if self.background is None else self.background

    def _parts(self, outputs: Outputs) -> tuple[Array, Array]:
        """Return boxes [n, 4] and scores [n, classes]."""
        if len(outputs) == 1 and self.scores is None:
            rows = check_shape(pick(outputs, self.boxes), "[1, n, 4 + classes]", "detr")
            if rows.shape[1] < 5:
                problem = f"decoder detr: each query has {rows.shape[1]} values, at least 5 are needed"
                raise BadOption(problem, remedy=REMEDY)
            return rows[:, :4], rows[:, 4:]
        of_four = [at for at, array in enumerate(outputs.values()) if array.ndim == 3 and array.shape[2] == 4]
        at = of_four[0] if of_four else 0
        boxes = check_shape(pick(outputs, self.boxes, at), "[1, n, 4]", "detr")
        scores = check_shape(pick(outputs, self.scores, 1 if at == 0 else 0), "[1, n, classes]", "detr")
        if len(boxes) != len(scores) or scores.shape[1] <= int(self._has_background):
            problem = f"decoder detr: {boxes.shape} boxes and {scores.shape} scores do not belong together"
            raise BadOption(problem, remedy=REMEDY)
        return boxes, scores
