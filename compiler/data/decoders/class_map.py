"""Segmentation: the class of each pixel."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from edgec.data.decoders.base import Decoder, Kind, Outputs, pick
from edgec.data.labels import IGNORED
from edgec.data.samples import Sample
from edgec.errors import BadOption


class ClassMap(Decoder):
    """Scores [1, classes, h, w] (the best wins) or classes, integers [1, h, w] or [1, 1, h, w] -> [height, width].

    With a single class and a `threshold`: 1 where the score [1, 1, h, w] is at least that, else 0.

    Each pixel of the original picture gets the class of the cell that contains its centre.
    """

    kind: ClassVar[Kind] = "mask"

    output: str | None = None
    """Name of the output; default: the first."""
    threshold: float | None = None
    """Minimum score of the class in a network that has only one."""

    def class_count(self, outputs: Outputs) -> int | None:
        """See `Decoder.class_count`; integer classes do not show how many there are."""
        output = pick(outputs, self.output)
        if output.dtype.kind != "f":
            return None
        return 2 if self.threshold is not None else output.shape[1]

    def __call__(self, outputs: Outputs, sample: Sample) -> np.ndarray[Any, Any]:
        """Return the classes.

        Raises:
            BadOption: The output is not a map of classes, or contains the scores of a single one.
        """
        output = pick(outputs, self.output)
        if output.dtype.kind in "iu" and output.ndim == 4 and output.shape[1] == 1:
            output = output[:, 0]
        if output.dtype.kind in "iu" and output.ndim == 3 and len(output) == 1:
            classes = output[0].astype(np.int64)
        elif self.threshold is not None and output.dtype.kind == "f" and output.ndim == 4 and output.shape[1] == 1:
            classes = (output[0, 0] >= self.threshold).astype(np.int64)
        elif output.dtype.kind == "f" and output.ndim == 4 and output.shape[:2] == (1, 1):
            problem = (
                f"decoder class-map: the output is {output.dtype}{list(output.shape)}, the scores of a single class"
            )
            remedy = "Give the minimum score of that class: class-map,threshold=0.5."
            raise BadOption(problem, remedy=remedy)
        elif output.dtype.kind == "f" and output.ndim == 4 and len(output) == 1:
            classes = output[0].argmax(axis=0)
        else:
            raise BadOption(
                f"decoder class-map: the output is {output.dtype}{list(output.shape)}, which is not a map of classes"
            )
        return classes if sample.placement is None else sample.placement.map_to_original(classes, outside=IGNORED)
