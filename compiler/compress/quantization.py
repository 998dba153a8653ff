"""`quantize_model`: turns a float network and samples into an integer network within an accepted loss."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import onnx_ir as ir

from edgec.compress.mixed_precision import FloatLayer, Mixed, MixedPrecision
from edgec.compress.quantize_options import check_symmetric, quantize_options, used_scheme
from edgec.compress.refine_ranges import SEARCHES, Refined, refine_ranges
from edgec.data.kept import KeptSamples
from edgec.data.metrics.base import MetricContext
from edgec.data.samples import AnySamples, spread
from edgec.errors import BadOption
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.task import UNLABELLED, Task, describe_loss
from edgec.model.serialize import save, weight_bytes
from edgec.passes.layerwise.gram import MOMENT_SAMPLES
from edgec.passes.quantize.calibrate import calibrate_model, checked_feeds
from edgec.passes.quantize.equalize import apply_scales, find_scales
from edgec.passes.quantize.insert_pairs import insert_pairs
from edgec.passes.quantize.quantize import Quantized, quantize
from edgec.quantization import CalibrationTable
from edgec.quantizing import QuantizeOptions
from edgec.reference.sweep import Feeds


@dataclass(frozen=True, repr=False)
class Quantization:
    """Result of `quantize_model`.

    Attributes:
        quantized: The quantized network, and what was done to each layer.
        table: The ranges used; None if activations stay in float.
        loss: Measured loss relative to the float network, in the metric's units; None if nothing was measured.
        metric: Name of the metric of `loss`.
        unmeasured: Why the outputs cannot be compared with those of the float network, where they cannot.
        float_layers: Layers that were left in float for `max_loss`.
        refined: What `refine` did; None without it.
    """

    quantized: Quantized
    table: CalibrationTable | None
    loss: float | None = None
    metric: str = UNLABELLED
    unmeasured: str = ""
    float_layers: tuple[FloatLayer, ...] = field(default=())
    refined: Refined | None = None

    @property
    def model(self) -> ir.Model:
        """The quantized network: standard ONNX with QuantizeLinear and DequantizeLinear nodes."""
        return self.quantized.model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the quantized network as an ONNX file; raises BadOption if it cannot be written."""
        save(self.model, path)

    def __repr__(self) -> str:
        layers = len(self.quantized.placement.layers)
        loss = "loss not measured" if self.loss is None else describe_loss(self.metric, self.loss)
        size = weight_bytes(self.model)
        in_float = f", {len(self.float_layers)} layers in float" if self.float_layers else ""
        return f"<Quantization: {layers} quantized layers{in_float}, weights {size:,} bytes, {loss}>"


def quantize_model(
    model: ir.Model,
    samples: AnySamples,
    settings: QuantizeOptions,
    *,
    table: CalibrationTable | None = None,
    metric: str | None = None,
    context: MetricContext | None = None,
    checkpoint: Path | None = None,
    threads: int | None = None,
    stage: Callable[[str], None] = lambda name: None,
) -> Quantization:
    """Calibrate, refine, quantize and repair a network, and keep the accepted loss.

    Args:
        model: Model as `prepare` returns it; it is not modified.
        samples: Calibration data; labelled if `metric` needs labels.
        settings: Settings of the quantization.
        table: Ranges found before, possibly edited; None: they are calibrated now.
        metric: Metric for `refine` and `max_loss`; None: the relative error of the outputs.
        context: What the metric needs besides the outputs.
        checkpoint: Checkpoint file of the calibration, see `calibrate`.
        threads: Number of threads, as for `Reference`.
        stage: Called with the name of each stage when it begins.

    Raises:
        BadOption: A setting, the table or the data is wrong.
    """
    evaluator = None
    if settings.refine is not None or settings.max_loss is not None or metric is not None:
        samples = KeptSamples(samples)  # they are read many times
        evaluator = Evaluator(model, Task(samples, metric or UNLABELLED, context or MetricContext()), threads=threads)
    quantizer = Quantizer(
        model,
        samples,
        settings,
        evaluator=evaluator,
        table=table,
        checkpoint=checkpoint,
        threads=threads,
        stage=stage,
    )
    return quantizer.within(settings.max_loss)


class Quantizer:
    """Quantizes one network with one set of samples, for one accepted loss after the other.

    Calibration, refined ranges, and every network that was built and measured are kept for the next loss.

    Args:
        model: Model as `prepare` returns it; it is not modified.
        samples: Calibration data.
        settings: Settings of the quantization; `max_loss` is ignored.
        evaluator: Measures losses relative to `model`; None: nothing is measured.
        table: Ranges found before, possibly edited; None: they are calibrated when needed.
        checkpoint: Checkpoint file of the calibration, see `calibrate`.
        threads: Number of threads, as for `Reference`.
        stage: Called with the name of each stage when it begins.

    Raises:
        BadOption: A setting or the table is wrong.
    """

    def __init__(
        self,
        model: ir.Model,
        samples: AnySamples,
        settings: QuantizeOptions,
        *,
        evaluator: Evaluator | None = None,
        table: CalibrationTable | None = None,
        checkpoint: Path | None = None,
        threads: int | None = None,
        stage: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._original = model
        self._samples = samples
        self._settings = settings
        self._options = quantize_options(model, settings)
        self._evaluator = evaluator
        self._metric = UNLABELLED if evaluator is None else evaluator.task.metric
        self._given = table
        self._checkpoint = checkpoint
        self._threads = threads
        self._stage = stage
        if settings.style == "tensorrt":
            check_symmetric(settings, table)

    def within(self, max_loss: float | None) -> Quantization:
        """Return the network with layers in float until it loses at most `max_loss`; BadOption if data is wrong."""
        table = self._table
        self._stage("quantize")
        if max_loss is not None:
            return self._mixed_as(self._mixed.within(max_loss))
        quantized = self._make(frozenset())
        loss, why = self._measured(quantized.simulated)
        return Quantization(quantized, table, loss, self._metric, why, (), self._refined)

    def in_time(self, time: Callable[[frozenset[str]], float], seconds: float) -> Quantization:
        """Return the network quantized as `MixedPrecision.in_time`; errors as for `within`."""
        return self._mixed_as(self._mixed.in_time(time, seconds))

    def _mixed_as(self, found: Mixed) -> Quantization:
        return Quantization(
            found.quantized, self._table, found.loss, self._metric, "", found.float_layers, self._refined
        )

    def _measured(self, model: ir.Model) -> tuple[float | None, str]:
        """Return the loss of a network, or None and the reason why the outputs cannot be compared."""
        if self._evaluator is None:
            return None, ""
        try:
            return self._evaluator.loss(self._evaluator.evaluate(model)), ""
        except BadOption as error:
            if self._metric != UNLABELLED:
                raise
            return None, error.problem

    @cached_property
    def _calibrated(self) -> CalibrationTable | None:
        """The ranges of the activations; None if these stay in float."""
        settings = self._settings
        if not settings.activations:
            return None
        if self._given is not None:
            return self._given
        self._stage("calibrate")
        return calibrate_model(
            self._original,
            self._samples,
            calibrator=settings.calibrator,
            scheme=used_scheme(settings),
            equalize=settings.equalize,
            checkpoint=self._checkpoint,
            threads=self._threads,
        )

    @cached_property
    def _equalized(self) -> ir.Model:
        """The float network that is quantized, with equalized ranges if that is asked for."""
        if self._calibrated is not None:
            return apply_scales(self._original, self._calibrated.equalized)
        if not (self._settings.equalize and self._settings.repair):
            return self._original
        few = checked_feeds(self._original, spread(self._samples, MOMENT_SAMPLES))
        return apply_scales(self._original, find_scales(self._original, few, threads=self._threads))

    @cached_property
    def _feeds(self) -> list[Feeds]:
        return [sample.inputs for sample in spread(self._samples, MOMENT_SAMPLES)]

    @cached_property
    def _refined(self) -> Refined | None:
        table, evaluator = self._calibrated, self._evaluator
        if self._settings.refine is None or table is None or evaluator is None:
            return None
        self._stage("refine")
        # The weights are refitted to float activations: otherwise they would favour the present ranges.
        options = replace(self._options, activations=False)
        first = quantize(self._equalized, table, self._feeds, options, threads=self._threads)
        insert_pairs(first.simulated, first.placement, table)
        search = SEARCHES[self._settings.refine]
        return refine_ranges(first.simulated, first.placement, table, evaluator, search, threads=self._threads)

    @property
    def _table(self) -> CalibrationTable | None:
        """The ranges in use, after refinement if that is asked for."""
        return self._calibrated if self._refined is None else self._refined.table

    @cached_property
    def _mixed(self) -> MixedPrecision:
        if self._evaluator is not None:
            return MixedPrecision(self._equalized, self._make, self._evaluator, threads=self._threads)
        raise ValueError("a quantizer without an evaluator cannot measure losses")

    def _make(self, in_float: frozenset[str]) -> Quantized:
        options = replace(self._options, exclude=self._options.exclude | in_float)
        return quantize(self._equalized, self._table, self._feeds, options, threads=self._threads)
