"""SSD: offsets and class scores for each prior box."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgec.data.decoders.base import REMEDY, Outputs, check_shape, pick
from edgec.data.decoders.detections import DetectionDecoder, Detections, by_class, corners
from edgec.errors import BadOption, reason

Array = np.ndarray[Any, Any]

PRIORS = "Give a .npy file with an array [n, 4]."
MAX_LOG_SCALE = 8.0  # maximum for a box relative to its prior, so that exp() stays finite


class Ssd(DetectionDecoder):
    """Offsets [1, n, 4], class scores [1, n, 1 + classes] whose first is the background, and n priors.

    With priors cx, cy, w, h as fractions of the input: centre = prior centre + offset * variance[0] * prior size,
    size = prior size * exp(offset * variance[1]) (Liu et al., "SSD", 2016). The background is not a class: class k of
    the detections is column k + 1.
    """

    boxes: str | None = None
    """Name of the output with the offsets; default: the first."""
    scores: str | None = None
    """Name of the output with the scores; default: the second."""
    priors: str | tuple[tuple[float, float, float, float], ...] | None = None
    """An output [n, 4] or [1, n, 4], a .npy file, or the priors themselves; default: the third output."""
    variances: tuple[float, float] = (0.1, 0.2)
    logits: bool = False
    """The scores are logits, to which a softmax over the classes is applied."""

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        offsets = check_shape(pick(outputs, self.boxes), "[1, n, 4]", "ssd")
        scores = check_shape(pick(outputs, self.scores, 1), "[1, n, 1 + classes]", "ssd")
        given = self.given_priors
        priors = given if given is not None else pick(outputs, self.output_of_priors, 2)
        priors = priors.reshape(-1, priors.shape[-1])
        if priors.shape != offsets.shape or len(scores) != len(offsets):
            counts = f"{len(offsets)} offsets, {len(scores)} scores, {len(priors)} priors"
            problem = f"decoder ssd: {counts} do not belong together"
            raise BadOption(problem, remedy=REMEDY)
        if self.logits:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = scores / scores.sum(axis=1, keepdims=True)
        centres = priors[:, :2] + offsets[:, :2] * np.float32(self.variances[0]) * priors[:, 2:]
        scales = np.exp(np.minimum(offsets[:, 2:] * np.float32(self.variances[1]), MAX_LOG_SCALE))
        boxes = corners(np.concatenate([centres, priors[:, 2:] * scales], axis=1))
        return by_class(boxes * np.array([*size, *size], np.float32), scores[:, 1:], self.min_score)

    def class_count(self, outputs: Outputs) -> int:
        """See `Decoder.class_count`."""
        return int(pick(outputs, self.scores, 1).shape[-1] - 1)

    def self_contained(self) -> dict[str, Any]:
        """See `Decoder.self_contained`."""
        given = self.given_priors
        return super().self_contained() | ({} if given is None else {"priors": given.reshape(-1, 4).tolist()})

    @property
    def output_of_priors(self) -> str | None:
        """Name of the output with the priors, if one was given."""
        return self.priors if isinstance(self.priors, str) else None

    @cached_property
    def given_priors(self) -> Array | None:
        """The priors if they are not an output, float32 [..., 4]."""
        if self.priors is None or (isinstance(self.priors, str) and not self.priors.endswith(".npy")):
            return None
        if not isinstance(self.priors, str):
            return np.array(self.priors, np.float32).reshape(-1, 4)
        try:
            with Path(self.priors).open("rb") as file:  # numpy.load would accept a .npz file of that name too
                priors: Array = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BadOption(f"decoder ssd: priors {self.priors}: {reason(error)}", remedy=PRIORS) from error
        if priors.ndim < 2 or priors.shape[-1] != 4:
            raise BadOption(f"decoder ssd: priors {self.priors} are not [n, 4]", remedy=PRIORS)
        return priors.astype(np.float32)
