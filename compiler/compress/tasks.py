"""Opens the data of a `Measuring` for a model, and splits it if a loss is promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from edgec.application.settle import settle
from edgec.data.decoders.base import Decoder
from edgec.data.decoders.read import read_decoder
from edgec.data.kept import KeptSamples
from edgec.data.metrics.base import MetricContext, make_metric
from edgec.data.samples import Samples, split, spread
from edgec.data.source import open_samples
from edgec.errors import BadOption
from edgec.evaluation.task import UNLABELLED, Task
from edgec.measuring import Measuring
from edgec.model.signature import TensorSpec, inputs_of
from edgec.options import CompileOptions
from edgec.preprocessing import Preprocessing

DECIDE = 0.6
"""Fraction of the data for decisions if a loss is promised; the rest is held out to check the promise."""
SAMPLES = 128
"""Number of samples for decisions of a compilation, and for calibration, unless a limit is given."""


def open_task(measuring: Measuring, model: ir.Model, path: Path | None, *, limit: int | None = None) -> Task:
    """Return the samples and the metric for `model`.

    Args:
        measuring: Data, metric and decoder.
        model: Model that gives the inputs.
        path: File of the model, in which a decoder may read metadata.
        limit: Maximum number of samples if `measuring` gives none; None: all samples are used.

    Raises:
        BadOption: There is no data, or data, metric or decoder do not fit the model.
    """
    settled = settle(model, decoder=measuring.decoder, preprocess=measuring.preprocess, path=path)
    recognized = None if settled.application is None else settled.application.open()
    samples, context = open_context(
        measuring, inputs_of(model), settled.preprocess, path, limit=limit, recognized=recognized
    )
    metric = measuring.metric or UNLABELLED
    if metric != UNLABELLED:
        make_metric(metric, context)  # reports a metric that does not fit before anything runs
    return Task(samples, metric, context)


def open_context(
    measuring: Measuring,
    inputs: Sequence[TensorSpec],
    preprocess: Preprocessing,
    path: Path | None,
    *,
    limit: int | None = None,
    recognized: Decoder | None = None,
) -> tuple[Samples, MetricContext]:
    """Return the samples for a network with these inputs, and the context of its metrics.

    The arguments are those of `open_task`; `recognized` is the decoder to use if none is given.
    """
    if measuring.data is None:
        remedy = "Give --data; without labels the error of the outputs is measured."
        raise BadOption("this needs data: pictures for measuring and calibration", remedy=remedy)
    samples = open_samples(measuring.data, inputs, preprocess)
    most = limit if measuring.limit is None else measuring.limit
    decoder = read_decoder(measuring.decoder, path) if measuring.decoder else recognized
    context = MetricContext(decoder, samples.classes, recognized=measuring.decoder is None)
    return samples if most is None else spread(samples, most), context


@dataclass(frozen=True, eq=False)
class Tasks:
    """One metric on two parts of the data.

    Attributes:
        decide: Its samples are used for calibration, sensitivity, repair and every decision.
        held_out: Its samples are used for none of these; None if nothing is promised.
    """

    decide: Task
    held_out: Task | None


def open_tasks(model: ir.Model, options: CompileOptions, path: Path | None) -> Tasks:
    """Open the data of `options` for `model`; errors as for `open_task`.

    Args:
        model: Gives the inputs.
        options: Options; `measuring`, `seed` and `has_promise` are used.
        path: File of the model, in which a decoder may read metadata.
    """
    measuring = options.measuring
    whole = open_task(replace(measuring, limit=None), model, path)
    decide, held_out = whole.samples, None
    if options.has_promise:
        decide, held_out = split(whole.samples, (DECIDE, 1 - DECIDE), options.seed)
    few = spread(decide, SAMPLES if measuring.limit is None else measuring.limit)
    return Tasks(
        decide=replace(whole, samples=KeptSamples(few)),
        held_out=None if held_out is None else replace(whole, samples=held_out),
    )
