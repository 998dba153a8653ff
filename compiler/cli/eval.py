"""`edgec eval`: measure a model or an artefact on data, by the metric of its task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgec.cli.console import Json, Quiet, Threads, parse_shapes, print_json, progress, stderr, stdout
from edgec.errors import BadOption
from edgec.preprocessing import Preprocessing, parse_preprocessing

if TYPE_CHECKING:
    from edgec.data.metrics.base import MetricResult
    from edgec.data.samples import Sample, Samples
    from edgec.model.signature import TensorSpec

SMALL = 1e-3  # an output error below needs its exponent to be read

Run = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """What was measured: on which data, on how many samples, where it ran, and each `MetricResult`, fit for JSON."""

    data: str
    samples: int
    where: str
    metrics: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Network:
    """Something that can be run: a model in ONNX Runtime, or an artefact."""

    run: Run
    inputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing
    where: str


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL|ARTEFACT", help="ONNX model, or `edgec compile`'s folder.")],
    data: Annotated[
        str,
        typer.Option(
            metavar="PATH|MODULE:CALLABLE", help="Folder, COCO .json, VOC, YOLO, text list, .npy, .npz, or callable."
        ),
    ],
    metric: Annotated[list[str], typer.Option(metavar="NAME", help="map, top1, ...; may be given several times.")],
    decoder: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="How outputs are read: yolov8, yolox, ctc, ... or a record.")
    ] = None,
    preprocess: Annotated[
        str | None, typer.Option(metavar="KEY=VALUE,...", help="How pictures become input; an artefact knows its own.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="MODEL.onnx", help="Original model, for output-error.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take that many samples, evenly spread.")] = None,
    shape: Annotated[
        list[str], typer.Option(metavar="NAME=DIMS", help="Shape of an input: where open, or another.")
    ] = [],  # noqa: B006
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure MODEL, or ARTEFACT as it runs here, on labelled data."""
    from edgec.artefact.evidence import keep
    from edgec.data.decoders.read import read_decoder
    from edgec.data.metrics.base import MetricContext, make_metric
    from edgec.data.samples import spread
    from edgec.data.source import open_samples
    from edgec.evaluation.run_metrics import run_metrics

    shapes = parse_shapes(shape)
    with progress(silent=quiet or json) as listener:
        listener("load")
        network = (
            _open_artefact(model, threads, preprocess, shapes)
            if model.is_dir()
            else _open_model(model, threads, preprocess, shapes)
        )
        samples = open_samples(data, network.inputs, network.preprocessing)
        samples = samples if limit is None else spread(samples, limit)
        reads = read_decoder(decoder, None if model.is_dir() else model) if decoder else None
        context = MetricContext(reads, samples.classes, _reference(reference, shapes))
        metrics = {name: make_metric(name, context) for name in metric}
    with _shown(samples, silent=quiet or json) as shown:
        results = run_metrics(network.run, shown, metrics)
    evaluation = Evaluation(
        data, len(samples), network.where, {name: _finite(asdict(result)) for name, result in results.items()}
    )
    if json:
        print_json(asdict(evaluation))
    else:
        _print(results)
        stdout.print(f"{len(samples)} samples, {network.where}", highlight=False)
    if model.is_dir():
        try:
            keep(model, "evaluation", evaluation)
        except BadOption as error:  # what was measured has been printed and holds, kept or not
            stderr.print(f"not kept: {error.problem}", highlight=False, markup=False, soft_wrap=True)


def _print(results: Mapping[str, MetricResult]) -> None:
    """Print a line for each metric, and one for each table of its details."""
    for name, result in results.items():
        numbers = {name: result.value} | {k: v for k, v in result.details.items() if not isinstance(v, dict)}
        tables = {k: v for k, v in result.details.items() if isinstance(v, dict)}
        lines = ["  ".join(f"{k} {_number(v)}" for k, v in numbers.items())]
        lines += [
            f"  {key}: " + ", ".join(f"{k} {_number(v)}" for k, v in table.items()) for key, table in tables.items()
        ]
        stdout.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _number(value: float) -> str:
    return f"{value:.2e}" if 0 < abs(value) < SMALL else f"{value:.4f}"


def _open_artefact(folder: Path, threads: int | None, preprocess: str | None, shapes: dict[str, Any]) -> _Network:
    from edgec.artefact.artefact import Artefact

    if preprocess or shapes:
        option = "--preprocess" if preprocess else "--shape"
        raise BadOption(f"{option} was fixed when {folder} was compiled", remedy="Compile again to change it.")
    artefact = Artefact.open(folder)
    runner = artefact.runner(threads)
    return _Network(
        runner.run,
        tuple(port.spec for port in artefact.manifest.inputs),
        artefact.manifest.options.preprocess,
        runner.description,
    )


def _open_model(path: Path, threads: int | None, preprocess: str | None, shapes: dict[str, Any]) -> _Network:
    from edgec.model.load import load
    from edgec.model.shapes import fix_shapes
    from edgec.model.signature import inputs_of
    from edgec.reference.session import Reference

    fixed = fix_shapes(load(path).model, shapes)
    how = parse_preprocessing(preprocess) if preprocess else Preprocessing()
    return _Network(Reference(fixed, threads=threads).run, inputs_of(fixed), how, "onnxruntime")


def _reference(path: Path | None, shapes: dict[str, Any]) -> Callable[[Sample], Mapping[str, Any]] | None:
    if path is None:
        return None
    run = _open_model(path, None, None, shapes).run
    return lambda sample: run(sample.inputs)


@contextmanager
def _shown(samples: Samples, *, silent: bool) -> Iterator[Iterable[Sample]]:
    """Yield the samples, counted on a progress bar that ends with the block.

    A generator that owns the bar would, if evaluation fails, be closed by the garbage collector in whatever thread it
    runs; in the thread that draws a bar that is a deadlock.
    """
    from rich.progress import Progress

    with Progress(console=stderr, disable=silent, transient=True) as bar:
        task = bar.add_task("evaluate", total=len(samples))

        def counted() -> Iterator[Sample]:
            for sample in samples:
                yield sample
                bar.advance(task)

        yield counted()


def _finite(data: Any) -> Any:
    """Replace what JSON has no number for, an infinite error, by null."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return None if isinstance(data, float) and not math.isfinite(data) else data
