"""Output error: the error of the outputs relative to the original model's; it needs no labels."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from edgec.data.metrics.base import MetricContext, MetricResult, Outputs, refuse_empty
from edgec.data.samples import Sample
from edgec.errors import BadOption
from edgec.registry import suggest


class OutputError:
    """Relative error, 0 is best: |y - r| / |r| of each output (Frobenius norm over all samples), averaged over outputs.

    y are the outputs, r those of the original model. An output whose reference is all zero has error 0 if it is zero
    too, else infinity; the error is also infinite if an output is not finite and its reference is.
    """

    name = "output-error"

    def __init__(self, context: MetricContext) -> None:
        if context.reference is None:
            remedy = "Give the original model by --reference."
            raise BadOption(f"metric {self.name} needs the outputs of the original model", remedy=remedy)
        self._reference = context.reference
        self._difference: dict[str, float] = defaultdict(float)
        self._energy: dict[str, float] = defaultdict(float)
        self._samples = 0

    def update(self, outputs: Outputs, sample: Sample) -> None:
        """Process the outputs for one sample; a label is ignored."""
        self._samples += 1
        for name, expected in self._reference(sample).items():
            if name not in outputs:
                raise BadOption(f"metric {self.name}: there is no output {name!r}", remedy=suggest(name, outputs))
            wanted, got = np.asarray(expected, np.float64), np.asarray(outputs[name], np.float64)
            if wanted.shape != got.shape:
                problem = f"metric {self.name}: output {name!r} has shape {got.shape}, the original's {wanted.shape}"
                raise BadOption(problem)
            if not np.isfinite(wanted).all():
                raise BadOption(f"metric {self.name}: output {name!r} of the original is not finite for {sample.name}")
            finite = bool(np.isfinite(got).all())
            self._difference[name] += float(np.square(got - wanted).sum()) if finite else math.inf
            self._energy[name] += float(np.square(wanted).sum())

    def result(self) -> MetricResult:
        """Return the mean error, and that of each output."""
        refuse_empty(self._samples, self.name)
        errors = {name: _ratio(self._difference[name], self._energy[name]) for name in self._energy}
        return MetricResult(sum(errors.values()) / len(errors), False, {"per output": errors})


def _ratio(difference: float, energy: float) -> float:
    if difference == 0:
        return 0.0
    return math.sqrt(difference / energy) if energy else math.inf
