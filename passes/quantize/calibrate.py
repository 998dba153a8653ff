"""`calibrate`: computes a calibration table from samples, with any registered calibrator."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec import registry
from edgec.data.samples import AnySamples, Subset, fingerprint, spread
from edgec.errors import BadOption
from edgec.model.serialize import sha256
from edgec.model.signature import check_feeds, inputs_of
from edgec.passes.layerwise.gram import MOMENT_SAMPLES
from edgec.passes.quantize.calibrators.base import Calibrator, HistogramCalibrator
from edgec.passes.quantize.checkpoint import Checkpoint
from edgec.passes.quantize.equalize import apply_scales, find_scales
from edgec.passes.quantize.histogram import NotFinite, check_extremes
from edgec.passes.quantize.placement import place
from edgec.quantization import CalibrationTable, Scheme
from edgec.reference.sweep import sweep

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]

LARGEST_NORMALIZED = 32.0
"""Input magnitude above which a warning is given: networks expect inputs of spread 1, raw pixels reach 255."""

ASYMMETRIC = Scheme()


class Checked:
    """Observer that refuses values that are not finite, naming the tensor, before a calibrator sees them."""

    def __init__(self, name: str, calibrator: Calibrator) -> None:
        self._name = name
        self.calibrator = calibrator

    def update(self, array: Array) -> None:
        """Process the values of one sample.

        Raises:
            BadOption: A value is NaN or infinite.
        """
        try:
            # A histogram computes the extremes anyway, which show NaN or infinity; a plugin may not check.
            if not isinstance(self.calibrator, HistogramCalibrator):
                check_extremes(float(array.min(initial=0)), float(array.max(initial=0)))
            self.calibrator.update(array)
        except NotFinite as error:
            problem = f"tensor {self._name!r} contains NaN or infinity on a calibration sample"
            remedy = "Check the data and its preprocessing; the float model fails there too."
            raise BadOption(problem, remedy=remedy) from error


def calibrate(
    model: ir.Model,
    samples: AnySamples,
    tensors: Sequence[str],
    *,
    calibrator: str = "mse",
    scheme: Scheme = ASYMMETRIC,
    progress: Callable[[int, int], None] = lambda done, total: None,
    checkpoint: Path | None = None,
    threads: int | None = None,
) -> CalibrationTable:
    """Run the samples through `model` once and find the range of each tensor.

    Memory does not grow with the number of samples.

    Args:
        model: Model with static shapes.
        samples: At least one sample.
        tensors: Names of values of the main graph.
        calibrator: Registered name (`edgec.calibrators`), or `module:Class`.
        scheme: Scheme in which the ranges will be used; a calibrator for one kind of scheme overrides the kind.
        progress: Called with the number of finished samples and of all samples.
        checkpoint: File in which the state is stored during the run, removed at the end; if it exists, the run
            continues from there.
        threads: Number of threads, as for `Reference`.

    Raises:
        BadOption: There are no samples or one does not fit the model, a tensor is not finite, the calibrator is
            unknown, or the checkpoint belongs to another run.
    """
    if len(samples) == 0:
        raise BadOption("the data contains no samples", remedy="Give at least one picture, better a hundred.")
    make = registry.load("calibrators", calibrator)
    kind = getattr(make, "kind", None)
    used = scheme if kind is None else scheme.model_copy(update={"kind": kind})
    calibrators: dict[str, Calibrator] = {name: make(used) for name in tensors}
    state = None
    if checkpoint is not None:
        state = Checkpoint(
            checkpoint, calibrators, len(samples), _sweep_name(model, samples, tensors, calibrator, used)
        )
    notes: list[str] = []
    with contextlib.closing(_feeds(model, samples, notes, progress, state)) as feeds:
        observers = {name: [Checked(name, each)] for name, each in calibrators.items()}
        sweep(model, feeds, observers, threads=threads)
    ranges = {name: each.result() for name, each in calibrators.items()}
    notes += [f"{name} is always {each.low:g}" for name, each in ranges.items() if each.low == each.high]
    if state is not None:
        state.remove()
    return CalibrationTable(
        scheme=used, calibrator=calibrator, samples=len(samples), notes=tuple(notes), tensors=ranges
    ).filled()


def _sweep_name(model: ir.Model, samples: AnySamples, tensors: Sequence[str], calibrator: str, scheme: Scheme) -> str:
    """Return a digest of everything that determines the calibration, including the first sample as preprocessed."""
    parts = [sha256(model), *tensors, calibrator, scheme.model_dump_json(), fingerprint(next(iter(samples)))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _feeds(
    model: ir.Model,
    samples: AnySamples,
    notes: list[str],
    progress: Callable[[int, int], None],
    state: Checkpoint | None,
) -> Generator[Feeds]:
    start = 0 if state is None else state.restore()
    largest: dict[str, float] = {}
    for index, feeds in enumerate(checked_feeds(model, Subset(samples, range(start, len(samples)))), start + 1):
        for name, array in feeds.items():
            if array.dtype.kind == "f":
                largest[name] = max(largest.get(name, 0.0), float(np.abs(array).max(initial=0)))
        yield feeds
        progress(index, len(samples))
        if state is not None:
            state.save(index)
    for name, value in largest.items():
        if value > LARGEST_NORMALIZED:
            notes.append(f"input {name} reaches {value:g}: check if pictures must be normalized (--preprocess)")


def checked_feeds(model: ir.Model, samples: AnySamples) -> Iterator[Feeds]:
    """Yield the inputs of each sample.

    Raises:
        BadOption: A sample does not fit the model; the message names it.
    """
    specs = inputs_of(model)
    for sample in samples:
        try:
            check_feeds(sample.inputs, specs)
        except BadOption as error:
            raise BadOption(f"sample {sample.name}: {error.problem}", remedy=error.remedy) from error
        yield sample.inputs


def calibrate_model(
    model: ir.Model,
    samples: AnySamples,
    *,
    calibrator: str = "mse",
    scheme: Scheme = ASYMMETRIC,
    equalize: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
    checkpoint: Path | None = None,
    threads: int | None = None,
) -> CalibrationTable:
    """Find the range of every tensor that `place` names, after equalization; arguments are those of `calibrate`."""
    scales = {}
    if equalize:
        if len(samples) == 0:
            raise BadOption("the data contains no samples", remedy="Give at least one picture, better a hundred.")
        made = registry.load("calibrators", calibrator)
        power_of_two = "power-of-two" in (getattr(made, "kind", None), scheme.kind)
        few = spread(samples, MOMENT_SAMPLES)
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
