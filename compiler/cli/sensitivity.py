"""`edgec sensitivity`: the loss when each layer is pruned, as a report that `edgec prune` uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgec.cli import options
from edgec.cli.arguments import parse_shapes
from edgec.cli.console import (
    Json,
    PlainConsole,
    Quiet,
    check_drawing,
    check_outputs,
    print_json,
    progress,
    stderr,
    stdout,
)
from edgec.cli.options import field_help
from edgec.progress import Listener, Progress
from edgec.pruning import PruneOptions

if TYPE_CHECKING:
    from edgec.compress.sensitivity_report import SensitivityReport

WIDEST = 1000
"""Maximum width of a table in columns."""


def command(
    model: options.Model,
    data: options.Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Report (JSON).")] = Path("sensitivity.json"),
    metric: options.Metric = None,
    decoder: options.Decoder = None,
    preprocess: options.Preprocess = None,
    limit: options.Limit = None,
    criterion: options.Criterion = "obs",
    include: options.Include = [],  # noqa: B006
    exclude: options.Exclude = [],  # noqa: B006
    repair: Annotated[
        bool,
        typer.Option("--repair/--no-repair", "--compensate/--no-compensate", help=field_help(PruneOptions, "repair")),
    ] = True,
    plot: Annotated[Path | None, typer.Option(help="Draw the loss of each group over its ratio: .svg or .png.")] = None,
    shape: options.Shape = [],  # noqa: B006
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Prune each layer of MODEL.onnx alone, at 10 % to 90 %, and measure the loss.

    An interrupted run continues where it stopped: results are stored in OUTPUT.jsonl when they are known.
    """
    from edgec import sensitivity
    from edgec.report.sensitivity_curves import draw_curves

    check_outputs(model, output, plot)
    check_drawing(plot)
    measured: dict[str, Any] = {"data": data, "metric": metric, "decoder": decoder, "preprocess": preprocess}
    measured |= {"limit": limit, "workers": workers, "scheduler": scheduler}
    with shown(silent=quiet or json) as listener:
        report = sensitivity(
            model,
            measuring=options.measuring(**measured),
            journal=output.with_name(output.name + "l"),
            shapes=parse_shapes(shape),
            progress=listener,
            criterion=criterion,
            include=tuple(include),
            exclude=tuple(exclude),
            repair=repair,
        )
    report.save(output)
    if json:
        print_json(report.model_dump())
    else:
        show(report)
        stdout.print(f"{output}: {len(report.groups)} groups, {report.samples} samples", highlight=False)
    if plot is not None:
        draw_curves(report, plot)


def show(report: SensitivityReport) -> None:
    """Print losses as a table, one row per group, and the layers that cannot be pruned."""
    from rich.table import Table

    first = next(iter(report.groups.values()))
    table = Table("group", "units", *(f"{ratio:.0%}" for ratio in first.ratios), box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for name, group in report.groups.items():
        table.add_row(name, str(group.units), *(f"{loss:.3f}" for loss in group.losses))
    # Names are needed for --include, so they are printed in full, however narrow the terminal is.
    whole = stdout.measure(table, options=stdout.options.update(max_width=WIDEST)).maximum
    PlainConsole(width=max(whole, stdout.width)).print(table)
    stdout.print(f"{report.metric} of the whole network: {report.baseline:.4f}", highlight=False)
    for layer, reason in report.kept_whole.items():
        stdout.print(f"{layer} is not pruned: {reason}", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def shown(*, silent: bool) -> Iterator[Listener]:
    """Yield a listener for the stages; an interrupt prints that all measurements so far are kept."""
    with progress(silent=silent) as listener:
        counted = []

        def listen(progress: Progress) -> None:
            if progress.total:
                counted.append(progress)
            listener(progress)

        try:
            yield listen
        except KeyboardInterrupt:
            if counted:
                stderr.print(
                    "Interrupted: what was measured is kept, and the same command continues from there.",
                    highlight=False,
                )
            raise
