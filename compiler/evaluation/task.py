"""`Task`: samples and the metric that outputs for them are measured by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgec.data.metrics.base import Metric, MetricContext, make_metric
from edgec.data.samples import AnySamples, Sample

Outputs = Mapping[str, np.ndarray[Any, Any]]

UNLABELLED = "output-error"
"""The metric that needs no labels: the length of the outputs' error as a share of the outputs'."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is measured on what; can be handed to other processes if its samples can.

    Attributes:
        samples: The data.
        metric: Name of the metric.
        context: What it needs besides the outputs of the original model.
    """

    samples: AnySamples
    metric: str = UNLABELLED
    context: MetricContext = field(default_factory=MetricContext)

    def make(self, reference: Callable[[Sample], Outputs]) -> Metric:
        """Return the metric, ready for the first sample; `reference` gives the original's outputs for a sample.

        Raises:
            BadOption: There is no such metric, or it needs something that the context lacks.
        """
        return make_metric(self.metric, replace(self.context, reference=reference))
