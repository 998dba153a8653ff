"""Samples that are in memory already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgec.data.samples import Sample, Samples


class Drawn(Samples):
    """Inputs by name, one mapping a sample."""

    def __init__(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> None:
        self._inputs = inputs

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> Sample:
        return Sample(f"sample {index}", self._inputs[index])
