"""`quantize`: turns a float model and data into an integer model in standard ONNX."""

from __future__ import annotations

import os
from typing import Any

from typing_extensions import Unpack

from edgec.api.opened import Shapes, open_network, path_of
from edgec.compress.quantization import Quantization, quantize_model
from edgec.compress.tasks import SAMPLES, open_task
from edgec.errors import BadOption
from edgec.measuring import Measuring, MeasuringFields, take_measuring
from edgec.model.load import Source
from edgec.progress import Listener, Reporter
from edgec.quantization import CalibrationTable
from edgec.quantizing import QuantizeFields, QuantizeOptions
from edgec.validation import validated


class Fields(QuantizeFields, MeasuringFields, total=False):
    """Options that `quantize` takes by name."""


def quantize(
    model: Source,
    *,
    measuring: Measuring | None = None,
    table: CalibrationTable | str | os.PathLike[str] | None = None,
    shapes: Shapes | None = None,
    threads: int | None = None,
    progress: Listener | None = None,
    **options: Unpack[Fields],
) -> Quantization:
    """Calibrate, quantize and repair `model`, and keep the accepted loss, if there is one.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        measuring: Data, metric and decoder; labels are needed if the metric needs them.
        table: Table of `calibrate`, or its file; None: the ranges are calibrated now. `scales` is the same.
        shapes: Shapes of inputs that the model leaves open.
        threads: Number of threads of ONNX Runtime.
        progress: Called with each stage when it begins.
        options: Fields of `QuantizeOptions`: calibrator, weight_bits, max_loss ...; and those of `Measuring`, instead
            of `measuring`.

    Returns:
        The quantized model, `.model` or `.save("model.int8.onnx")`, and information on it.

    Raises:
        EdgecError: The model, the data, an option or the table is wrong.
    """
    given: dict[str, Any] = dict(options)
    measuring = take_measuring(given, measuring)
    settings = validated(QuantizeOptions, given, "quantize")
    if table is not None and settings.scales is not None:
        raise BadOption("table and scales are given", remedy="Give one of them.")
    table = settings.scales if table is None else table
    if settings.scheme is not None and table is not None:
        problem = f"scheme {settings.scheme} cannot be applied: the calibration table has one of its own"
        raise BadOption(problem, remedy="Leave the scheme out.")
    known = table if isinstance(table, CalibrationTable) or table is None else CalibrationTable.read(table)
    report = Reporter(progress)
    report.stage("load")
    network = open_network(model, shapes)
    task = open_task(measuring, network, path_of(model), limit=SAMPLES)
    return quantize_model(
        network,
        task.samples,
        settings,
        table=known,
        metric=task.metric,
        context=task.context,
        threads=threads,
        stage=report.stage,
    )
