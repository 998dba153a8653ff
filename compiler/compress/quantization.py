"""`quantize_model`: the whole way from a float network and samples to an integer one, step by step."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx_ir as ir
from pydantic import BaseModel, ConfigDict, Field

from edgec import registry
from edgec.compress.mixed_precision import FloatLayer, keep_loss
from edgec.compress.refine_ranges import Refined, refine
from edgec.data.metrics.base import MetricContext
from edgec.data.samples import Samples, spread
from edgec.errors import BadOption
from edgec.evaluate.judge import Judge
from edgec.model.graph import label
from edgec.passes.quantize.calibrate import ASYMMETRIC, calibrate, checked_feeds
from edgec.passes.quantize.codecs import CODECS
from edgec.passes.quantize.equalize import apply_scales, find_scales
from edgec.passes.quantize.insert_pairs import insert_pairs
from edgec.passes.quantize.placement import LAYERS, place
from edgec.passes.quantize.quantize import Quantized, QuantizeOptions, quantize
from edgec.quantization import CalibrationTable, Kind, Scheme
from edgec.registry import suggest

REPAIR_SAMPLES = 128
"""Beyond, the moments hardly change."""


class QuantizeSettings(BaseModel):
    """Settings of a quantization; each is also a flag of `edgec quantize`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibrator: str = Field(default="mse", description="How ranges are found (entry point or module:Class).")
    scheme: Kind | None = Field(
        default=None, description="asymmetric (default), symmetric (TensorRT's), or power-of-two; of activations."
    )
    weight_bits: int = Field(default=8, ge=1, le=8, description="Width of the weights: 8, 4, 3, 2; binary: 1.")
    codec: str = Field(default="linear", description="Storage of weights: linear, kmeans, log2 or binary.")
    activations: bool = Field(default=True, description="Quantize activations too; else weights alone.")
    repair: bool = Field(default=True, description="Refit each layer to the float network's outputs.")
    style: str = Field(default="runtime", description="runtime (ONNX Runtime, OpenVINO, TVM) or tensorrt.")
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of layers that stay in float.")
    equalize: bool = Field(default=True, description="Bring channels to like ranges first.")
    refine: bool = Field(default=False, description="Move ranges one by one while the metric gets better.")
    max_loss: float | None = Field(
        default=None, ge=0, description="Leave layers in float until the loss is at most that."
    )

    def used_scheme(self) -> Scheme:
        """Return the scheme: TensorRT's files are symmetric, whatever was asked for."""
        return Scheme(kind=self.scheme or ("symmetric" if self.style == "tensorrt" else "asymmetric"))


@dataclass(frozen=True)
class Result:
    """What `quantize_model` made.

    Attributes:
        quantized: The network and the story of its layers.
        table: The ranges used; None where activations stay in float.
        loss: Measured loss against the float network, in the metric's units; None where nothing was measured.
        float_layers: Layers left in float for `max_loss`.
        refined: What `refine` did.
    """

    quantized: Quantized
    table: CalibrationTable | None
    loss: float | None = None
    float_layers: tuple[FloatLayer, ...] = field(default=())
    refined: Refined | None = None


def quantize_model(
    model: ir.Model,
    samples: Samples,
    settings: QuantizeSettings,
    *,
    table: CalibrationTable | None = None,
    metric: str | None = None,
    context: MetricContext | None = None,
    checkpoint: Path | None = None,
    threads: int | None = None,
    stage: Callable[[str], None] = lambda name: None,
) -> Result:
    """Calibrate, refine, quantize, repair, and keep the accepted loss.

    Args:
        model: As `prepare` returns it; is not altered.
        samples: Calibration data; labelled if `metric` needs labels.
        settings: See there.
        table: Ranges found before, perhaps edited; None: they are found now.
        metric: For `refine` and `max_loss`; None: the relative error of the outputs.
        context: What the metric needs.
        checkpoint: Of the calibration, see `calibrate`.
        threads: As for `Reference`.
        stage: Called with the name of each step as it begins.

    Raises:
        BadOption: A setting, the table or the data is wrong.
    """
    options = _options(model, settings)
    if settings.style == "tensorrt" and table is None:
        _check_symmetric(
            getattr(registry.load("calibrators", settings.calibrator), "kind", settings.used_scheme().kind)
        )
    if settings.activations and table is None:
        stage("calibrate")
        table = calibrate_model(
            model,
            samples,
            calibrator=settings.calibrator,
            scheme=settings.used_scheme(),
            equalize=settings.equalize,
            checkpoint=checkpoint,
            threads=threads,
        )
    if settings.style == "tensorrt" and table is not None:
        _check_symmetric(table.scheme.kind)
    used = table if settings.activations else None
    scales = used.equalized if used is not None else {}
    if not settings.activations and settings.equalize and settings.repair:
        scales = find_scales(model, checked_feeds(model, spread(samples, REPAIR_SAMPLES)), threads=threads)
    original, model = model, apply_scales(model, scales)
    feeds = [sample.inputs for sample in spread(samples, REPAIR_SAMPLES)]

    def make(exclude: frozenset[str]) -> Quantized:
        changed = replace(options, exclude=options.exclude | exclude)
        return quantize(model, used, feeds, changed, threads=threads)

    judge = None
    if settings.refine or settings.max_loss is not None or metric is not None:
        stage("run the float network")
        judge = Judge(original, samples, metric, context, threads=threads)
    refined = None
    if settings.refine and used is not None and judge is not None:
        stage("refine")
        # Weights refitted to float activations: refitted to the present ranges they would speak for these.
        first = quantize(model, used, feeds, replace(options, activations=False), threads=threads)
        insert_pairs(first.simulated, first.placement, used)
        refined = refine(first.simulated, first.placement, used, judge, threads=threads)
        used = refined.table
    stage("quantize")
    if settings.max_loss is None or judge is None:
        quantized = make(frozenset())
        loss = None if judge is None else judge.loss(judge.run(quantized.simulated)[0])
        return Result(quantized, used, loss, (), refined)
    mixed = keep_loss(model, make, judge, settings.max_loss, threads=threads)
    loss = judge.loss(judge.run(mixed.quantized.simulated)[0])
    return Result(mixed.quantized, used, loss, mixed.float_layers, refined)


def _check_symmetric(kind: str) -> None:
    if kind == "asymmetric":
        remedy = "Calibrate with --scheme symmetric or power-of-two."
        raise BadOption("TensorRT takes no zero points, but the scheme is asymmetric", remedy=remedy)


def calibrate_model(
    model: ir.Model,
    samples: Samples,
    *,
    calibrator: str = "mse",
    scheme: Scheme = ASYMMETRIC,
    equalize: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
    checkpoint: Path | None = None,
    threads: int | None = None,
) -> CalibrationTable:
    """Find the range of every tensor that `place` names, after equalization; arguments as for `calibrate`."""
    scales = {}
    if equalize:
        if len(samples) == 0:
            raise BadOption("the data holds no samples", remedy="Give at least one picture, better a hundred.")
        made = registry.load("calibrators", calibrator)
        power_of_two = "power-of-two" in (getattr(made, "kind", None), scheme.kind)
        few = spread(samples, REPAIR_SAMPLES)
        scales = find_scales(model, checked_feeds(model, few), power_of_two=power_of_two, threads=threads)
    scaled = apply_scales(model, scales)
    table = calibrate(
        scaled,
        samples,
        place(scaled).tensors,
        calibrator=calibrator,
        scheme=scheme,
        progress=progress,
        checkpoint=checkpoint,
        threads=threads,
    )
    return table.model_copy(update={"equalized": scales})


def _options(model: ir.Model, settings: QuantizeSettings) -> QuantizeOptions:
    if settings.style not in ("runtime", "tensorrt"):
        raise BadOption(f"style {settings.style!r} is unknown", remedy="Known: runtime, tensorrt.")
    layers = [label(node) for node in model.graph if node.op_type in LAYERS]
    if settings.codec not in CODECS:
        raise BadOption(f"unknown codec {settings.codec!r}", remedy=suggest(settings.codec, CODECS))
    if settings.style == "tensorrt" and settings.weight_bits != 8:
        raise BadOption(
            f"weights of {settings.weight_bits} bits for TensorRT: its convolutions take 8", remedy="Leave them at 8."
        )
    if settings.codec == "linear" and settings.weight_bits < 2:
        raise BadOption("weights of 1 bit have a codec of their own", remedy="Give --codec binary.")
    excluded = set()
    for pattern in settings.exclude:
        matches = fnmatch.filter(layers, pattern)
        if not matches:
            raise BadOption(f"--exclude {pattern!r} matches no layer", remedy=_examples(layers))
        excluded.update(matches)
    return QuantizeOptions(
        weight_bits=settings.weight_bits,
        codec=settings.codec,
        activations=settings.activations,
        repair=settings.repair,
        style="tensorrt" if settings.style == "tensorrt" else "runtime",
        exclude=frozenset(excluded),
    )


def _examples(layers: Sequence[str]) -> str:
    return f"Layers are called {', '.join(layers[:4])} ..." if layers else "The model has no Conv, Gemm or MatMul."
