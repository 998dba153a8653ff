"""Embeddings: a vector by whose direction pictures are compared."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from edgec.data.decoders.base import REMEDY, Decoder, Kind, Outputs, pick
from edgec.data.samples import Sample
from edgec.errors import BadOption


class Embedding(Decoder):
    """[1, n] (or with further axes of 1) -> float32 [n] of length 1, so that a dot product is the cosine."""

    kind: ClassVar[Kind] = "embedding"

    output: str | None = None
    """Name of the output; default: the first."""

    def __call__(self, outputs: Outputs, sample: Sample) -> np.ndarray[Any, Any]:
        """Return the vector."""
        vector = pick(outputs, self.output)
        if vector.size < 2 or max(vector.shape) != vector.size:
            problem = f"decoder embedding: the output is {list(vector.shape)}, not [1, n]"
            raise BadOption(problem, remedy=REMEDY)
        flat = vector.reshape(-1).astype(np.float32)
        result: np.ndarray[Any, Any] = flat / max(float(np.linalg.norm(flat)), 1e-12)
        return result
