"""Classification: the scores without further decoding."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from edgec.data.decoders.base import REMEDY, Decoder, Kind, Outputs, pick
from edgec.data.samples import Sample
from edgec.errors import BadOption


class Scores(Decoder):
    """[1, classes] (or with further axes of 1) -> scores or probabilities [classes]; a softmax changes no ranking."""

    kind: ClassVar[Kind] = "scores"

    output: str | None = None
    """Name of the output; default: the first."""
    logits: bool = False
    """The scores are logits, which a softmax turns into probabilities."""

    def class_count(self, outputs: Outputs) -> int:
        """See `Decoder.class_count`."""
        return pick(outputs, self.output).size

    def __call__(self, outputs: Outputs, sample: Sample) -> np.ndarray[Any, Any]:
        """Return the scores."""
        scores = pick(outputs, self.output)
        if scores.size == 0 or max(scores.shape, default=1) != scores.size:
            problem = f"decoder scores: the output is {list(scores.shape)}, not [1, classes]"
            raise BadOption(problem, remedy=REMEDY)
        scores = scores.reshape(-1)
        if not self.logits:
            return scores
        powers = np.exp(scores.astype(np.float32) - np.float32(scores.max()))
        result: np.ndarray[Any, Any] = powers / powers.sum()
        return result
