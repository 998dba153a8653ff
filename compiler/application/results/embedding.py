"""`Embedding`: a vector by which pictures are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from edgec.application.results.base import Result, number
from edgec.errors import BadOption


@dataclass(frozen=True, eq=False, repr=False)
class Embedding(Result):
    """A vector of length 1.

    Attributes:
        vector: float32 [n].
    """

    kind: ClassVar[str] = "embedding"

    vector: np.ndarray[Any, Any]

    def similarity(self, other: Embedding) -> float:
        """Return the cosine of the angle between both vectors, -1..1.

        Raises:
            BadOption: The vectors have different lengths.
        """
        if self.vector.shape != other.vector.shape:
            sizes = f"{len(self.vector)} and {len(other.vector)} numbers"
            raise BadOption(f"embeddings of {sizes} cannot be compared", remedy="Compute both with one network.")
        return float(self.vector @ other.vector)

    def _fields(self) -> dict[str, Any]:
        return {"vector": [number(value) for value in self.vector]}

    def _summary(self) -> str:
        shown = " ".join(f"{value:.3f}" for value in self.vector[:4])
        return f"{len(self.vector)} numbers: {shown} ..."

    def _draw(self, canvas: Image.Image) -> Image.Image:
        return canvas
