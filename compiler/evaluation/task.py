"""`Task`: samples, and the metric that is evaluated on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgec.data.metrics.base import Metric, MetricContext, make_metric
from edgec.data.samples import AnySamples, Sample

Outputs = Mapping[str, np.ndarray[Any, Any]]

UNLABELLED = "output-error"
"""The metric that needs no labels: the norm of the outputs' error relative to the norm of the outputs."""


def describe_loss(metric: str, loss: float) -> str:
    """Return a loss in words: without labels it is no loss of accuracy, but a difference of the outputs."""
    if metric == UNLABELLED:
        return f"outputs differ from the original's by {loss:.2%} ({metric})"
    return f"loss {loss:.4f} ({metric})"


@dataclass(frozen=True, eq=False)
class Task:
    """Samples and metric; a task can be sent to other processes if its samples can.

    Attributes:
        samples: The data.
        metric: Name of the metric.
        context: What the metric needs besides the outputs of the original model.
    """

    samples: AnySamples
    metric: str = UNLABELLED
    context: MetricContext = field(default_factory=MetricContext)

    def make(self, reference: Callable[[Sample], Outputs]) -> Metric:
        """Return the metric, ready for the first sample; `reference` returns the original's outputs for a sample.

        Raises:
            BadOption: There is no such metric, or it needs something that the context lacks.
        """
        return make_metric(self.metric, replace(self.context, reference=reference))
