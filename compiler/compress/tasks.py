"""`open_tasks`: the data that a compression is decided on, other data that it is checked on, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgec.data.decoders.read import read_decoder
from edgec.data.kept import KeptSamples
from edgec.data.metrics.base import MetricContext, make_metric
from edgec.data.samples import split, spread
from edgec.data.source import open_samples
from edgec.errors import BadOption
from edgec.evaluation.task import UNLABELLED, Task
from edgec.model.signature import inputs_of
from edgec.options import CompileOptions

DECIDE = 0.6
"""Share of the data that is decided on where a loss is promised; the rest is held out to check the promise."""


@dataclass(frozen=True, eq=False)
class Tasks:
    """One metric on two parts of the data.

    Attributes:
        decide: Calibration, sensitivity, repair and every decision come from its samples.
        held_out: None of the above comes from its samples; None where no loss is promised.
    """

    decide: Task
    held_out: Task | None


def open_tasks(model: ir.Model, options: CompileOptions, path: Path | None) -> Tasks:
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
    return Tasks(
        decide=Task(KeptSamples(spread(decide, options.samples)), metric, context),
        held_out=None if held_out is None else Task(held_out, metric, context),
    )
