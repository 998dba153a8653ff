"""`evaluate`: the accuracy of a model or an artefact on data, by the metrics of its task."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from edgec.api.opened import Shapes, path_of
from edgec.application.record import Application
from edgec.application.settle import settle
from edgec.artefact.artefact import Artefact
from edgec.artefact.evidence import keep
from edgec.compress.tasks import open_context
from edgec.data.metrics.base import MetricResult, make_metric
from edgec.errors import BadOption
from edgec.evaluation.run_metrics import run_metrics
from edgec.evaluation.task import UNLABELLED
from edgec.measuring import Measuring, MeasuringFields, take_measuring
from edgec.model.load import Source, load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import TensorSpec, inputs_of
from edgec.preprocessing import Preprocessing
from edgec.progress import Listener, Reporter
from edgec.reference.session import Reference

Run = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Results of an evaluation.

    Attributes:
        data: Name of the data.
        samples: Number of samples.
        where: Where the network ran, e.g. `onnxruntime` or `native`.
        metrics: Name of each metric -> its result.
    """

    data: str
    samples: int
    where: str
    metrics: dict[str, MetricResult] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """Value of the first metric."""
        return next(iter(self.metrics.values())).value

    def keep(self, artefact: str | os.PathLike[str]) -> None:
        """Store the evaluation in the evidence of the artefact in that folder, where `Report` finds it.

        Raises:
            BadOption: The evidence cannot be written.
        """
        keep(Path(artefact), "evaluation", self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Return the evaluation as values that JSON can store; an infinite value becomes None."""
        finite = {name: _finite(vars(result)) for name, result in self.metrics.items()}
        return {"data": self.data, "samples": self.samples, "where": self.where, "metrics": finite}

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {result.value:.4g}" for name, result in self.metrics.items())
        return f"<Evaluation: {values} on {self.samples} samples, {self.where}>"


@dataclass(frozen=True)
class _Network:
    """A network that can be run: a model in ONNX Runtime, or an artefact."""

    run: Run
    inputs: tuple[TensorSpec, ...]
    preprocess: Preprocessing
    where: str
    application: Application | None


def evaluate(
    model: Source | Artefact,
    *,
    measuring: Measuring | None = None,
    metrics: Sequence[str] = (),
    reference: Source | None = None,
    shapes: Shapes | None = None,
    threads: int | None = None,
    progress: Listener | None = None,
    **fields: Unpack[MeasuringFields],
) -> Evaluation:
    """Measure the accuracy of `model` on data.

    Args:
        model: An ONNX model (path, bytes, or in memory), which runs in ONNX Runtime; or an artefact, or its folder,
            which runs as on the board, emulated if necessary.
        measuring: Data, metric, decoder and preprocessing; an artefact has its own preprocessing.
        metrics: Further metrics to measure in the same run.
        reference: The original model, for the metric output-error.
        shapes: Shapes of inputs that the model leaves open.
        threads: Number of worker threads.
        progress: Called with each stage when it begins, and with the number of finished samples.
        fields: Fields of `Measuring`, instead of `measuring`.

    Raises:
        EdgecError: The model, the data, the metric or the decoder is wrong, or they do not fit each other.
    """
    given: dict[str, Any] = dict(fields)
    measuring = take_measuring(given, measuring)
    report = Reporter(progress)
    report.stage("load")
    artefact = _artefact(model)
    network = (
        _of_artefact(artefact, threads, measuring, shapes) if artefact else _of_model(model, threads, measuring, shapes)
    )
    path = None if artefact else path_of(model)
    reads = None if network.application is None or measuring.decoder else network.application.open()
    samples, context = open_context(measuring, network.inputs, network.preprocess, path, recognized=reads)
    if reference is not None:
        original = _of_model(reference, None, measuring, shapes).run
        context = context.compared_with(lambda sample: original(sample.inputs))
    names = dict.fromkeys([*([measuring.metric] if measuring.metric else []), *metrics] or [UNLABELLED])
    made = {name: make_metric(name, context) for name in names}
    count = report.counter("evaluate")

    def counted() -> Any:
        for number, sample in enumerate(samples):
            yield sample
            count(number + 1, len(samples))

    results = run_metrics(network.run, counted(), made)
    data = measuring.data if isinstance(measuring.data, str) else "samples in memory"
    return Evaluation(data, len(samples), network.where, results)


def _artefact(model: object) -> Artefact | None:
    if isinstance(model, Artefact):
        return model
    if isinstance(model, (str, os.PathLike)) and Path(model).is_dir():
        return Artefact.open(Path(model))
    return None


def _of_artefact(artefact: Artefact, threads: int | None, measuring: Measuring, shapes: Shapes | None) -> _Network:
    if shapes or measuring.preprocess != Preprocessing():
        option = "--shape" if shapes else "--preprocess"
        problem = f"{option} was fixed when {artefact.folder} was compiled"
        raise BadOption(problem, remedy="Compile again to change it.")
    runner = artefact.runner(threads)
    inputs = tuple(port.spec for port in artefact.manifest.inputs)
    manifest = artefact.manifest
    return _Network(runner.run, inputs, manifest.options.preprocess, runner.description, manifest.application)


def _of_model(model: Any, threads: int | None, measuring: Measuring, shapes: Shapes | None) -> _Network:
    fixed = fix_shapes(load(model).model, dict(shapes or {}))
    settled = settle(fixed, decoder=measuring.decoder, preprocess=measuring.preprocess, path=path_of(model))
    run = Reference(fixed, threads=threads).run
    return _Network(run, inputs_of(fixed), settled.preprocess, "onnxruntime", settled.application)


def _finite(data: Any) -> Any:
    """Replace infinite and NaN errors, for which JSON has no number, by None."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return None if isinstance(data, float) and not math.isfinite(data) else data
