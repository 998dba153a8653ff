"""`edgec eval`: measures a model or an artefact on data, by the metrics of its task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgec.cli import completion, options
from edgec.cli.arguments import parse_shapes
from edgec.cli.console import Json, Quiet, Threads, print_json, progress, stderr, stdout
from edgec.errors import BadOption

if TYPE_CHECKING:
    from edgec.data.metrics.base import MetricResult

SMALL = 1e-3  # an output error below this is printed with an exponent


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL|ARTEFACT", help="ONNX model, or `edgec compile`'s folder.")],
    data: options.NeededData,
    metric: Annotated[
        list[str],
        typer.Option(
            autocompletion=completion.metrics,
            metavar="NAME",
            help="Name of a metric (map, top1, ...); the option may be repeated.",
        ),
    ],
    decoder: options.Decoder = None,
    preprocess: options.Preprocess = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="MODEL.onnx", help="Original model, for the metric output-error.")
    ] = None,
    limit: options.Limit = None,
    shape: options.Shape = [],  # noqa: B006
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure MODEL, or ARTEFACT as it runs here, on labelled data."""
    from edgec import evaluate

    with progress(silent=quiet or json) as listener:
        evaluation = evaluate(
            model,
            measuring=options.measuring(data=data, decoder=decoder, preprocess=preprocess, limit=limit),
            metrics=metric,
            reference=reference,
            shapes=parse_shapes(shape),
            threads=threads,
            progress=listener,
        )
    if json:
        print_json(evaluation.as_json())
    else:
        _print(evaluation.metrics)
        stdout.print(f"{evaluation.samples} samples, {evaluation.where}", highlight=False)
    if model.is_dir():
        try:
            evaluation.keep(model)
        except BadOption as error:  # the results have been printed, and are valid without being stored
            stderr.print(f"not kept: {error.problem}", highlight=False, markup=False, soft_wrap=True)


def _print(results: Mapping[str, MetricResult]) -> None:
    """Print one line for each metric, and one for each table of its details."""
    for name, result in results.items():
        numbers = {name: result.value} | {k: v for k, v in result.details.items() if not isinstance(v, dict)}
        tables = {k: v for k, v in result.details.items() if isinstance(v, dict)}
        lines = ["  ".join(f"{k} {_number(v)}" for k, v in numbers.items())]
        lines += [
            f"  {key}: " + ", ".join(f"{k} {_number(v)}" for k, v in table.items()) for key, table in tables.items()
        ]
        stdout.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:.2e}" if 0 < abs(value) < SMALL else f"{value:.4f}"
