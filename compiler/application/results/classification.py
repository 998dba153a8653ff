"""`Classification`: the class of a picture as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from edgec.application.results.base import Result, caption, colour_of, number

TOP = 5
"""Number of classes that are printed and drawn."""


@dataclass(frozen=True, eq=False, repr=False)
class Classification(Result):
    """Scores of classes, best first.

    Attributes:
        classes: int64 [classes], class numbers, best first.
        scores: float32 [classes], scores as the network returns them: probabilities if it ends in a softmax.
        names: Class names.
    """

    kind: ClassVar[str] = "classification"

    classes: np.ndarray[Any, Any]
    scores: np.ndarray[Any, Any]
    names: tuple[str, ...]

    @property
    def label(self) -> int:
        """Number of the best class."""
        return int(self.classes[0])

    @property
    def name(self) -> str:
        """Name of the best class."""
        return self.names[0]

    @property
    def score(self) -> float:
        """Score of the best class."""
        return float(self.scores[0])

    def _best(self) -> list[tuple[int, float, str]]:
        return list(zip(self.classes[:TOP].tolist(), self.scores[:TOP].tolist(), self.names[:TOP], strict=True))

    def _fields(self) -> dict[str, Any]:
        best = [{"class": label, "name": name, "score": number(score)} for label, score, name in self._best()]
        return {"class": self.label, "name": self.name, "score": number(self.score), "best": best}

    def _summary(self) -> str:
        return ", ".join(f"{name} {score:.3g}" for _, score, name in self._best())

    def _draw(self, canvas: Image.Image) -> Image.Image:
        caption(ImageDraw.Draw(canvas), (0, 0), f"{self.name} {self.score:.2f}", colour_of(self.label), self.size)
        return canvas
