"""`Figures`: the known figures of an artefact, a model, or a result in JSON, so that two can be compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgec.api.check import check
from edgec.api.inspect import inspect
from edgec.api.opened import Shapes
from edgec.artefact import evidence
from edgec.artefact.artefact import Artefact
from edgec.data.metrics.base import MetricResult
from edgec.errors import BadOption
from edgec.model.load import Source
from edgec.plain_file import read_json
from edgec.reference.compare import Noise, OutputComparison


@dataclass(frozen=True)
class Times:
    """Times of an inference in milliseconds, and their conditions: only times under equal conditions are compared."""

    median: float
    minimum: float
    where: str


@dataclass(frozen=True)
class Figures:
    """Known figures of one side; None or empty if unknown.

    Attributes:
        name: Name of the side.
        size: Size in bytes: of all files of an artefact, or of the weights of a model.
        macs: Multiply-accumulates of one inference.
        error: Largest error relative to ONNX Runtime, as a fraction of the range of the output.
        correct: Whether the verification accepted it.
        metrics: Name of each metric -> its result.
        lost: Name of a metric -> what compression lost of it, as measured when the artefact was compiled.
        data: Name of the data on which the metrics were measured, and number of samples.
        times: Times of one inference.
        kernels: Milliseconds of each kernel, by the first ONNX node it computes.
        kernels_where: Where, and with how many threads, the kernels were measured.
        refused: Names and reasons of the nodes that the board refuses; None if no board was given.
    """

    name: str
    size: int | None = None
    macs: int | None = None
    error: float | None = None
    correct: bool | None = None
    metrics: Mapping[str, MetricResult] = field(default_factory=dict)
    lost: Mapping[str, float] = field(default_factory=dict)
    data: str = ""
    times: Times | None = None
    kernels: Mapping[str, float] = field(default_factory=dict)
    kernels_where: str = ""
    refused: tuple[str, ...] | None = None


def figures_of(side: Source | Artefact, target: str | None = None, shapes: Shapes | None = None) -> Figures:
    """Return the known figures of `side`: an artefact or its folder, an ONNX model, or a .json file of bench or eval.

    Raises:
        EdgecError: It cannot be read, or is none of these.
    """
    if isinstance(side, Artefact):
        return _of_artefact(side)
    if isinstance(side, (str, os.PathLike)):
        path = Path(side)
        if path.is_dir():
            return _of_artefact(Artefact.open(path))
        if path.suffix == ".json":
            return _of_json(path)
    return _of_model(side, target, shapes)


def _of_artefact(artefact: Artefact) -> Figures:
    known = evidence.read(artefact.folder)
    try:
        verification = known.get("verification")
        ran = artefact.verification
        if ran is not None:
            error, correct = ran.worst, ran.ok
        elif verification:
            outputs = [_output(each) for each in verification["comparison"]["outputs"]]
            error = max((each.relative for each in outputs), default=0.0)
            correct = all(each.within(float(verification["tolerance"])) for each in outputs)
        else:
            error, correct = None, None
        times = _times(known["latency"]) if "latency" in known else None
        metrics, data = _metrics(known["evaluation"]) if "evaluation" in known else ({}, "")
        kernels, kernels_where = _kernels(known["kernels"]) if "kernels" in known else ({}, "")
    except (KeyError, TypeError, ValueError) as problem:
        raise BadOption(f"{artefact.folder}: the evidence is damaged", remedy="Verify and measure again.") from problem
    return Figures(
        str(artefact.folder),
        artefact.size,
        error=error,
        correct=correct,
        metrics=metrics,
        lost=_lost(artefact),
        data=data,
        times=times,
        kernels=kernels,
        kernels_where=kernels_where,
    )


def _lost(artefact: Artefact) -> dict[str, float]:
    found = artefact.manifest.compression
    if found is None:
        return {}
    loss = found.steps[-1].loss if found.loss is None else found.loss
    return {} if loss is None else {found.metric: loss}


def _of_json(path: Path) -> Figures:
    remedy = "Give the output of `edgec bench --json` or `edgec eval --json`."
    try:
        known = read_json(path)
        if isinstance(known, dict) and "metrics" in known:
            metrics, data = _metrics(known)
            return Figures(str(path), metrics=metrics, data=data)
        if isinstance(known, dict) and "median" in known:
            return Figures(str(path), times=_times(known))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadOption(f"{path}: {getattr(error, 'strerror', None) or 'it cannot be read'}", remedy=remedy) from error
    raise BadOption(f"{path} is not a result of edgec that can be compared", remedy=remedy)


def _of_model(model: Source, target: str | None, shapes: Shapes | None) -> Figures:
    seen = inspect(model, shapes=shapes)
    refused = None
    if target is not None:
        found = check(model, target=target, shapes=shapes).findings
        refused = tuple(f"{each.where}: {each.reason}" for each in found if each.verdict == "refused")
    name = str(model) if isinstance(model, (str, os.PathLike)) else seen.name
    return Figures(name, sum(layer.weight_bytes for layer in seen.layers), seen.macs, refused=refused)


def _output(known: Mapping[str, Any]) -> OutputComparison:
    noise = Noise(**known["noise"]) if known.get("noise") else None
    return OutputComparison(**{**known, "noise": noise})


def _times(known: Mapping[str, Any]) -> Times:
    where = f"{known['where']}, {int(known['threads'])} threads"
    return Times(float(known["median"]), float(known["minimum"]), where)


def _kernels(known: Mapping[str, Any]) -> tuple[dict[str, float], str]:
    times: dict[str, float] = {}
    for each in known["kernels"]:
        first = str(next(iter(each["nodes"]), each["function"]))
        times[first] = times.get(first, 0.0) + float(each["ms"])
    return times, f"{known['where']}, {int(known['threads'])} threads"


def _metrics(known: Mapping[str, Any]) -> tuple[dict[str, MetricResult], str]:
    results = {}
    for name, each in known["metrics"].items():
        value = float("inf") if each["value"] is None else float(each["value"])
        results[name] = MetricResult(value, bool(each["higher_is_better"]))
    return results, f"{int(known['samples'])} samples of {known['data']}"
