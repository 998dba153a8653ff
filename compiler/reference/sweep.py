"""`sweep`: runs a model once over samples and passes every observed value to its observers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]


class Observer(Protocol):
    """Sees one value of every sample and keeps constant memory; observers are independent of each other."""

    def update(self, array: Array) -> None:
        """Process the value of one sample; the array must not be kept or modified."""


def sweep(
    model: ir.Model,
    samples: Iterable[Feeds],
    observers: Mapping[str, Sequence[Observer]],
    *,
    threads: int | None = None,
) -> int:
    """Pass the values of `model` to `observers`; return the number of samples.

    Args:
        model: Model, which is not modified.
        samples: Input arrays by name; one sample is in memory at a time.
        observers: Name of a value (input or computed) -> its observers. One run serves all of them.
        threads: Number of threads, as for `Reference`.

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
