"""`edgec sensitivity`: what pruning each layer would cost, as a report that `edgec prune` takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgec.cli.console import (
    Json,
    PlainConsole,
    Quiet,
    check_drawing,
    check_outputs,
    parse_shapes,
    print_json,
    progress,
    stderr,
    stdout,
)
from edgec.preprocessing import Preprocessing, parse_preprocessing

if TYPE_CHECKING:
    from edgec.compress.measuring import Measuring
    from edgec.compress.sensitivity_report import SensitivityReport

WIDEST = 1000
"""Columns of a table at most."""

Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="ONNX model.")]
Data = Annotated[
    str | None,
    typer.Option(metavar="PATH|MODULE:CALLABLE", help="Pictures, with labels if a metric needs them; as `edgec eval`."),
]
MetricName = Annotated[
    str | None, typer.Option(metavar="NAME", help="map, top1, ...; default: error of the outputs, without labels.")
]
DecoderName = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="How outputs are read, for the metric; as `edgec eval`.")
]
Preprocess = Annotated[str | None, typer.Option(metavar="KEY=VALUE,...", help="How pictures become input.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Take that many samples, evenly spread.")]
Criterion = Annotated[
    str, typer.Option(metavar="NAME", help="obs, reconstruction, l1, l2, l0, fpgm, or module:function.")
]
Include = Annotated[list[str], typer.Option(metavar="PATTERN", help="Prune only layers of such names (*, ?).")]
Exclude = Annotated[list[str], typer.Option(metavar="PATTERN", help="Keep layers of such names whole.")]
Shape = Annotated[list[str], typer.Option(metavar="NAME=DIMS", help="Shape of an input: where open, or another.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Processes; default: one a processor; 0: in this one.")]
Scheduler = Annotated[
    str | None, typer.Option(metavar="tcp://HOST:PORT", help="Dask scheduler that shares out the work.")
]


def command(
    model: Model,
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Report (JSON).")] = Path("sensitivity.json"),
    metric: MetricName = None,
    decoder: DecoderName = None,
    preprocess: Preprocess = None,
    limit: Limit = None,
    criterion: Criterion = "obs",
    include: Include = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    compensate: Annotated[bool, typer.Option(help="Let the layers behind make up for what goes, as a repair.")] = True,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves: .svg or .png.")] = None,
    shape: Shape = [],  # noqa: B006
    workers: Workers = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Prune each layer of MODEL.onnx alone, at 10 % to 90 %, and measure what is lost.

    An interrupted run goes on where it was: results are kept in OUTPUT.jsonl as they come.
    """
    from edgec.compress.pruning import sensitivity
    from edgec.report.sensitivity_curves import draw_curves

    check_outputs(model, output, plot)
    check_drawing(plot)
    with shown(silent=quiet or json) as (stage, count):
        report = sensitivity(
            model,
            measuring=measuring(data, metric, decoder, preprocess, limit, workers, scheduler),
            journal=output.with_name(output.name + "l"),
            shapes=parse_shapes(shape),
            stage=stage,
            progress=count,
            criterion=criterion,
            include=tuple(include),
            exclude=tuple(exclude),
            repair=compensate,
        )
    report.save(output)
    if json:
        print_json(report.model_dump())
    else:
        show(report)
        stdout.print(f"{output}: {len(report.groups)} groups, {report.samples} samples", highlight=False)
    if plot is not None:
        draw_curves(report, plot)


def measuring(
    data: str | None,
    metric: str | None,
    decoder: str | None,
    preprocess: str | None,
    limit: int | None,
    workers: int | None,
    scheduler: str | None,
) -> Measuring:
    """Return how losses are measured, of the options that say so."""
    from edgec.compress.measuring import Measuring

    how = parse_preprocessing(preprocess) if preprocess else Preprocessing()
    return Measuring(data, metric, decoder, how, limit, workers, scheduler)


def show(report: SensitivityReport) -> None:
    """Print losses as a table, one row a group, and what stays whole."""
    from rich.table import Table

    first = next(iter(report.groups.values()))
    table = Table("group", "units", *(f"{ratio:.0%}" for ratio in first.ratios), box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for name, group in report.groups.items():
        table.add_row(name, str(group.units), *(f"{loss:.3f}" for loss in group.losses))
    # Names are for --include: they stay whole, however narrow the terminal is.
    whole = stdout.measure(table, options=stdout.options.update(max_width=WIDEST)).maximum
    PlainConsole(width=max(whole, stdout.width)).print(table)
    stdout.print(f"{report.metric} of the whole network: {report.baseline:.4f}", highlight=False)
    for layer, reason in report.kept_whole.items():
        stdout.print(f"{layer} stays whole: {reason}", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def shown(*, silent: bool) -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Yield listeners for stages and for the number of results; an interrupt says that what there is was kept."""
    with progress(silent=silent) as stage:
        begun: list[tuple[float, int]] = []

        def count(done: int, total: int) -> None:
            begun.append((time.monotonic(), done))
            (start, first), now = begun[0], begun[-1][0]
            rest = (now - start) / (done - first) * (total - done) if done > first else None
            stage(f"measure {done}/{total}" + ("" if rest is None else f", {rest / 60:.0f} min left"))

        try:
            yield stage, count
        except KeyboardInterrupt:
            if begun:
                stderr.print("interrupted; what was measured is kept, and the same command goes on", highlight=False)
            raise
