"""`Trial`: the data that a compression is decided on, other data that it is judged on, and what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.decoders.read import read_decoder
from edgec.data.metrics.base import MetricContext, MetricResult, make_metric
from edgec.data.samples import Sample, Samples, split, spread
from edgec.data.source import open_samples
from edgec.errors import BadOption
from edgec.evaluate.evaluate import evaluate
from edgec.model.signature import inputs_of
from edgec.options import CompileOptions
from edgec.reference.session import Reference

UNLABELLED = "output-error"
DECIDE = 0.6
"""Share of the data that is decided on where a loss is promised; the rest is held out to check the promise."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Data and metric of one compression.

    Attributes:
        decide: Calibration, sensitivity, repair and every decision come from these.
        held_out: None of the above; None where no loss is promised.
        metric: Name of the metric.
        context: What it needs besides the original's outputs.
    """

    decide: Samples
    held_out: Samples | None
    metric: str
    context: MetricContext

    @classmethod
    def open(cls, model: ir.Model, options: CompileOptions, path: Path | None) -> Trial:
        """Open the data of `options` for `model`.

        Args:
            model: Gives the inputs.
            options: data, samples, preprocess, metric, decoder, seed and max_loss are looked at.
            path: File of the model, which a decoder may read metadata from.

        Raises:
            BadOption: There is no data, it does not fit, or metric and decoder do not.
        """
        if options.data is None:
            raise BadOption("this needs pictures to decide and to calibrate on", remedy="Give --data.")
        samples = open_samples(options.data, inputs_of(model), options.preprocess)
        decide, held_out = samples, None
        if options.max_loss is not None:
            decide, held_out = split(samples, (DECIDE, 1 - DECIDE), options.seed)
        decoder = read_decoder(options.decoder, path) if options.decoder else None
        context = MetricContext(decoder, samples.classes)
        metric = options.metric or UNLABELLED
        if metric != UNLABELLED:
            make_metric(metric, context)  # what does not fit is said before anything is run
        return cls(spread(decide, options.samples), held_out, metric, context)

    def judge(self, model: ir.Model, original: ir.Model) -> MetricResult:
        """Return the metric of `model` on the held-out samples."""
        if self.held_out is None:
            raise ValueError("nothing was held out")
        compare = Reference(original)

        def expected(sample: Sample) -> Mapping[str, np.ndarray[Any, Any]]:
            return compare.run(sample.inputs)

        metric = make_metric(self.metric, replace(self.context, reference=expected))
        return evaluate(Reference(model).run, self.held_out, {"metric": metric})["metric"]
