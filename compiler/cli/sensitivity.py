"""`edgec sensitivity`: what pruning each layer would cost, as a report that `edgec prune` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgec.cli.console import (
    Json,
    Quiet,
    check_drawing,
    check_output,
    parse_shapes,
    print_json,
    progress,
    stderr,
    stdout,
)
from edgec.errors import BadOption
from edgec.preprocessing import Preprocessing, parse_preprocessing

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgec.data.samples import Samples
    from edgec.passes.prune.probe import Measure
    from edgec.passes.prune.report import SensitivityReport
    from edgec.passes.prune.study import Study
    from edgec.pruning import PruneOptions

UNLABELLED = "output-error"

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
Criterion = Annotated[str, typer.Option(metavar="NAME", help="obs, taylor, l1, l2, l0, fpgm, or module:function.")]
Include = Annotated[list[str], typer.Option(metavar="PATTERN", help="Prune only layers of such names (*, ?).")]
Exclude = Annotated[list[str], typer.Option(metavar="PATTERN", help="Keep layers of such names whole.")]
Shape = Annotated[list[str], typer.Option(metavar="NAME=DIMS", help="Shape of an input left open.")]
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
    from edgec.passes.prune.curves import draw_curves
    from edgec.pruning import PruneOptions

    silent = quiet or json
    check_output(output)
    check_drawing(plot)
    with progress(silent=silent) as listener:
        listener("load")
        prepared = open_model(model, shape)
        work = open_data(prepared, model, data, metric, decoder, preprocess, limit)
        options = PruneOptions(
            ratio=0.5, criterion=criterion, include=tuple(include), exclude=tuple(exclude), repair=compensate
        )
        listener("rank channels")
        study = study_of(prepared, options, work)
    report = measure(study, options, work, output, workers=workers, scheduler=scheduler, silent=silent)
    report.save(output)
    if plot is not None:
        draw_curves(report, plot)
    if json:
        print_json(report.model_dump())
        return
    show(report)
    for blocked in study.channels.blocked:
        stdout.print(f"{blocked.layer} stays whole: {blocked.reason}", highlight=False, markup=False, soft_wrap=True)
    stdout.print(f"{output}: {len(report.groups)} groups, {report.samples} samples", highlight=False)


@dataclass(frozen=True)
class Work:
    """Data, and what is measured on it."""

    samples: Samples
    measure: Measure


def open_model(path: Path, shape: list[str]) -> ir.Model:
    """Return the model, shapes fixed, in the form in which it is pruned.

    Raises:
        EdgecError: It cannot be read, or has no canonical form.
    """
    from edgec.model.load import load
    from edgec.model.shapes import fix_shapes
    from edgec.passes.prepare import prepare

    return prepare(fix_shapes(load(path).model, parse_shapes(shape)))


def open_data(
    prepared: ir.Model,
    path: Path,
    data: str | None,
    metric: str | None,
    decoder: str | None,
    preprocess: str | None,
    limit: int | None,
) -> Work:
    """Open the data, and say what is measured on it.

    Raises:
        EdgecError: There is none, or data, metric and decoder are wrong or do not fit.
    """
    from edgec.data.decoders.read import read_decoder
    from edgec.data.metrics.base import MetricContext
    from edgec.data.samples import spread
    from edgec.data.source import open_samples
    from edgec.model.signature import inputs_of
    from edgec.passes.prune.probe import Measure

    if data is None:
        raise BadOption("this needs data", remedy="Give --data; without labels the error of the outputs is measured.")
    how = parse_preprocessing(preprocess) if preprocess else Preprocessing()
    samples = open_samples(data, inputs_of(prepared), how)
    samples = samples if limit is None else spread(samples, limit)
    context = MetricContext(read_decoder(decoder, path) if decoder else None, samples.classes)
    return Work(samples, Measure(samples, metric or UNLABELLED, context))


def study_of(prepared: ir.Model, options: PruneOptions, work: Work | None) -> Study:
    """Find and rank the groups, on as many samples as moments need."""
    from edgec.data.samples import spread
    from edgec.passes.prune.study import CALIBRATION_SAMPLES, Study

    calibration = None if work is None else spread(work.samples, CALIBRATION_SAMPLES)
    return Study.of(prepared, options, calibration)


def measure(
    study: Study,
    options: PruneOptions,
    work: Work,
    output: Path,
    *,
    workers: int | None,
    scheduler: str | None,
    silent: bool,
) -> SensitivityReport:
    """Measure all groups, going on with the journal beside `output` if there is one; remove it when done."""
    from edgec.passes.prune.sensitivity import measure_sensitivity

    journal = output.with_name(output.name + "l")
    with _bar(silent=silent) as show:
        report = measure_sensitivity(
            study.model,
            study.groups,
            study.rankings,
            work.measure,
            criterion=options.criterion,
            journal=journal,
            moments=study.moments if options.repair else None,
            workers=workers,
            scheduler=scheduler,
            progress=show,
        )
    journal.unlink()
    return report


def show(report: SensitivityReport) -> None:
    """Print losses as a table, one row a group."""
    from rich.table import Table

    first = next(iter(report.groups.values()))
    table = Table("group", "units", *(f"{ratio:.0%}" for ratio in first.ratios), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    table.columns[0].overflow = "fold"
    for name, group in report.groups.items():
        table.add_row(name, str(group.units), *(f"{loss:.3f}" for loss in group.losses))
    stdout.print(table)
    stdout.print(f"{report.metric} of the whole network: {report.baseline:.4f}", highlight=False)


@contextmanager
def _bar(*, silent: bool) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [TextColumn("measure"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=stderr, transient=True, disable=silent) as bar:
        task = bar.add_task("measure", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
