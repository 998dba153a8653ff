"""`calibrate`: finds the range of every tensor of a model that will be quantized."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from edgec import registry
from edgec.api.opened import Shapes, open_network, path_of
from edgec.compress.tasks import open_task
from edgec.measuring import Measuring, MeasuringFields, take_measuring
from edgec.model.load import Source
from edgec.passes.quantize.calibrate import calibrate_model
from edgec.progress import Listener, Reporter
from edgec.quantization import CalibrationTable, Scheme
from edgec.quantizing import Kind

SAMPLES = 512
"""Maximum number of samples unless a limit is given: a calibration needs more of them than a repair."""


def calibrate(
    model: Source,
    *,
    measuring: Measuring | None = None,
    calibrator: str = "mse",
    scheme: Kind = "asymmetric",
    equalize: bool = True,
    shapes: Shapes | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Listener | None = None,
    **fields: Unpack[MeasuringFields],
) -> CalibrationTable:
    """Find the range of every tensor of `model` that will be quantized. Memory does not grow with the data.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        measuring: Data; its labels, metric and decoder are not used.
        calibrator: Name of the method that finds the ranges, or `module:Class`.
        scheme: asymmetric, symmetric or power-of-two.
        equalize: Whether the ranges of a tensor's channels are equalized first; the table stores the divisors.
        shapes: Shapes of inputs that the model leaves open.
        checkpoint: File from which an interrupted run continues, if the calibrator supports it; removed at the end.
        threads: Number of threads of ONNX Runtime.
        progress: Called with each stage when it begins, and with the number of finished samples.
        fields: Fields of `Measuring`, instead of `measuring`.

    Returns:
        The ranges: `table.save("scales.json")` writes them, `quantize(..., table=table)` uses them.

    Raises:
        EdgecError: The model, the data or the calibrator is wrong.
    """
    given: dict[str, Any] = dict(fields)
    measuring = take_measuring(given, measuring)
    made = registry.load("calibrators", calibrator)
    resumes = hasattr(made, "state") and hasattr(made, "restore")
    report = Reporter(progress)
    report.stage("load")
    network = open_network(model, shapes)
    samples = open_task(measuring, network, path_of(model), limit=SAMPLES).samples
    report.stage("calibrate")
    return calibrate_model(
        network,
        samples,
        calibrator=calibrator,
        scheme=Scheme(kind=scheme),
        equalize=equalize,
        progress=report.counter("calibrate"),
        checkpoint=Path(checkpoint) if checkpoint is not None and resumes else None,
        threads=threads,
    )
