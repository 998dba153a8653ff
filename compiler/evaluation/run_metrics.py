"""`run_metrics`: runs a network over samples and evaluates any number of metrics at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from edgec.data.metrics.base import Metric, MetricResult
from edgec.data.samples import Sample

Arrays = Mapping[str, np.ndarray[Any, Any]]


def run_metrics(
    run: Callable[[Arrays], Arrays], samples: Iterable[Sample], metrics: Mapping[str, Metric]
) -> dict[str, MetricResult]:
    """Pass each of `samples` to `run` and return the result of each metric.

    Args:
        run: Inputs by name -> outputs by name, e.g. `Reference(model).run` or `edgec.load(folder).run`.
        samples: The data; one sample is in memory at a time.
        metrics: New metrics by name, see `make_metric`.

    Raises:
        BadOption: A metric or its decoder cannot read these outputs or labels.
    """
    for sample in samples:
        outputs = run(sample.inputs)
        for metric in metrics.values():
            metric.update(outputs, sample)
    return {name: metric.result() for name, metric in metrics.items()}
