"""`Measuring`: how losses are measured, as a user says it: data, metric, decoder, and who does the work."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgec.data.decoders.read import read_decoder
from edgec.data.metrics.base import MetricContext
from edgec.data.samples import Samples, spread
from edgec.data.source import open_samples
from edgec.errors import BadOption
from edgec.evaluation.task import UNLABELLED, Task
from edgec.jobs.workers import Workers
from edgec.model.signature import inputs_of
from edgec.preprocessing import Preprocessing


@dataclass(frozen=True)
class Measuring:
    """How losses are measured, and where.

    Attributes:
        data: Pictures or arrays, with labels if the metric needs them: a path, `module:callable`, or `Samples`.
        metric: Name of a metric; None: the error of the outputs, which needs no labels.
        decoder: How outputs are read for the metric, as `edgec eval --decoder`.
        preprocessing: How pictures become the network's input.
        limit: Take that many samples, evenly spread.
        workers: Processes; None: one a processor; 0: in this one.
        scheduler: Address of a Dask scheduler that shares out the work instead.
    """

    data: str | os.PathLike[str] | Samples | None = None
    metric: str | None = None
    decoder: str | None = None
    preprocessing: Preprocessing = Preprocessing()  # noqa: RUF009  (frozen)
    limit: int | None = None
    workers: int | None = None
    scheduler: str | None = None

    @property
    def by(self) -> Workers:
        """Who does the work."""
        return Workers(self.workers, self.scheduler)

    def open(self, model: ir.Model, path: Path | None) -> Task:
        """Return what is measured on what, for `model`; `path` is the file it came from.

        Raises:
            BadOption: There is no data, or data, metric and decoder are wrong or do not fit.
        """
        if self.data is None:
            remedy = "Give --data; without labels the error of the outputs is measured."
            raise BadOption("this needs data", remedy=remedy)
        if isinstance(self.data, Samples):
            samples = self.data
        else:
            samples = open_samples(os.fspath(self.data), inputs_of(model), self.preprocessing)
        samples = samples if self.limit is None else spread(samples, self.limit)
        context = MetricContext(read_decoder(self.decoder, path) if self.decoder else None, samples.classes)
        return Task(samples, self.metric or UNLABELLED, context)
