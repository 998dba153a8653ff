"""`edgec explore`: accuracy against time and size, as a table of points of which each can be compiled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgec.cli import completion, options
from edgec.cli.arguments import parse_shapes
from edgec.cli.console import Json, PlainConsole, Quiet, print_json, progress, stdout
from edgec.options import CompileOptions, merged, read_config
from edgec.pruning import PruneOptions
from edgec.validation import parse_settings

if TYPE_CHECKING:
    from edgec.compress.front import Front

WIDTH = 140
"""Columns of text that the table may take, so that its cells are not cut."""


def command(
    model: options.Model,
    target: options.Target,
    data: options.Data = None,
    metric: options.Metric = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the table and the journals.")] = Path(
        "front"
    ),
    decoder: options.Decoder = None,
    preprocess: options.Preprocess = None,
    limit: options.Limit = None,
    precision: Annotated[
        str | None, typer.Option(autocompletion=completion.precisions, help="Points in this precision only.")
    ] = None,
    prune: Annotated[
        str | None, typer.Option(metavar="KEY=VALUE,...", help=options.field_help(CompileOptions, "prune"))
    ] = None,
    shape: options.Shape = [],  # noqa: B006
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML), as for `edgec compile`.")] = None,
    seed: Annotated[int | None, typer.Option(help=options.field_help(CompileOptions, "seed"))] = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure MODEL.onnx pruned and quantized to different times on a board, from untouched to far too small.

    An interrupted run continues where it stopped. `edgec compile FOLDER --point N` builds one of the points.
    """
    from edgec import explore

    measured = options.measuring_fields(
        data=data,
        metric=metric,
        decoder=decoder,
        preprocess=preprocess,
        limit=limit,
        workers=workers,
        scheduler=scheduler,
    )
    given: dict[str, Any] = {
        "target": target,
        "measuring": measured or None,
        "precision": precision,
        "prune": parse_settings(prune, PruneOptions, "--prune") if prune is not None else None,
        "shapes": parse_shapes(shape) or None,
        "seed": seed,
    }
    settings: dict[str, Any] = read_config(config) if config else {}
    settings = merged(settings, {key: value for key, value in given.items() if value is not None})
    with progress(silent=quiet or json) as listener:
        front = explore(model, output=output, progress=listener, **settings)
    if json:
        print_json(front.model_dump(mode="json"))
    else:
        _show(front, output)


def _show(front: Front, folder: Path) -> None:
    from rich.table import Table

    head, rows = front.table(str(folder))
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    PlainConsole(width=max(stdout.width, WIDTH)).print(table)
    for note in front.notes():
        stdout.print(note, highlight=False, soft_wrap=True)
    stdout.print(f"{folder} contains this as front.json, .md, .html and .svg.", highlight=False, soft_wrap=True)
