"""SSD: offsets and class scores for each prior box."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgec.data.decoders.base import Outputs, check_shape, pick
from edgec.data.decoders.detections import DetectionDecoder, Detections, by_class, corners
from edgec.errors import BadOption

Array = np.ndarray[Any, Any]

MAX_LOG_SCALE = 8.0  # of a box relative to its prior, so that exp() stays finite


class Ssd(DetectionDecoder):
    """Offsets [1, n, 4], class scores [1, n, 1 + classes] whose first is the background, and n priors.

    With priors cx, cy, w, h as shares of the input: centre = prior centre + offset * variance[0] * prior size,
    size = prior size * exp(offset * variance[1]) (Liu et al., "SSD", 2016). Background is not a class: class k of the
    detections is column k + 1.
    """

    boxes: str | None = None
    """Name of the output with the offsets; default: the first."""
    scores: str | None = None
    """Name of the output with the scores; default: the second."""
    priors: str | None = None
    """An output [n, 4] or [1, n, 4], or a .npy file with them; default: the third output."""
    variances: tuple[float, float] = (0.1, 0.2)
    logits: bool = False
    """The scores are logits: a softmax over the classes follows."""

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        offsets = check_shape(pick(outputs, self.boxes), "[1, n, 4]", "ssd")
        scores = check_shape(pick(outputs, self.scores, 1), "[1, n, 1 + classes]", "ssd")
        priors = self._file_priors if self._from_file else pick(outputs, self.priors, 2)
        priors = priors.reshape(-1, priors.shape[-1])
        if priors.shape != offsets.shape or len(scores) != len(offsets):
            counts = f"{len(offsets)} offsets, {len(scores)} scores, {len(priors)} priors"
            raise BadOption(f"decoder ssd: {counts} do not belong together")
        if self.logits:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = scores / scores.sum(axis=1, keepdims=True)
        centres = priors[:, :2] + offsets[:, :2] * np.float32(self.variances[0]) * priors[:, 2:]
        scales = np.exp(np.minimum(offsets[:, 2:] * np.float32(self.variances[1]), MAX_LOG_SCALE))
        boxes = corners(np.concatenate([centres, priors[:, 2:] * scales], axis=1))
        return by_class(boxes * np.array([*size, *size], np.float32), scores[:, 1:], self.min_score)

    @property
    def _from_file(self) -> bool:
        return self.priors is not None and self.priors.endswith(".npy")

    @cached_property
    def _file_priors(self) -> Array:
        try:
            with Path(self.priors or "").open("rb") as file:  # numpy.load would take a .npz file of that name too
                priors: Array = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BadOption(f"decoder ssd: priors {self.priors}: {error}") from error
        if priors.ndim < 2 or priors.shape[-1] != 4:
            raise BadOption(f"decoder ssd: priors {self.priors} are not [n, 4]")
        return priors.astype(np.float32)
