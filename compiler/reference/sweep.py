"""`sweep`: run a model once over samples and hand every value that is observed to its observers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]


class Observer(Protocol):
    """Sees one value of every sample, keeps constant memory; observers know nothing of one another."""

    def update(self, array: Array) -> None:
        """Take in the value of one sample; the array must not be kept or altered."""


def sweep(
    model: ir.Model,
    samples: Iterable[Feeds],
    observers: Mapping[str, Sequence[Observer]],
    *,
    threads: int | None = None,
) -> int:
    """Feed the values of `model` to `observers`; return the number of samples.

    Args:
        model: Is not altered.
        samples: Inputs by name; one sample is in memory at a time.
        observers: Name of a value (input or computed) -> who looks at it. Any number, all served by one run.
        threads: As for `Reference`.

    Raises:
        BadOption: There is no such value, or a sample does not fit the inputs.
    """
    inputs = {value.name for value in model.graph.inputs}
    reference = Reference(model, taps=[name for name in observers if name not in inputs], threads=threads)
    count = 0
    for feeds in samples:
        values = {**feeds, **reference.run(feeds)}
        for name, watching in observers.items():
            for each in watching:
                each.update(values[name])
        count += 1
    return count
